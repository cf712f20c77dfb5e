"""The command `maladist`: parses, calls the function of the same name, prints; no logic.

app      the command itself: predict, plan, observe, info, bench, cluster; errors become one line and a status
data     convert, dft, check, align, export
sample, train, evaluate, tune, report      a file a group of verbs
options  options that several verbs share
streams  where they all print
console  progress on a terminal, plain lines elsewhere
stopping Ctrl-C and the signals of schedulers
help     examples and completion
"""

from maladist.cli.app import main as main  # what the script `maladist` calls
