"""The command `maladist`: parses, calls the function of the same name, prints; no logic.

app      the command itself; errors become one line and a status
predict  predict, plan, observe
dynamics md, relax
data     dft, check, align, export
files    info, import-mala
machine  bench, cluster, doctor
convert, sample, train, evaluate, tune, report      each its own
options  options that several verbs share, and how the cluster is reached that they name
output   the files of --json and its like
streams  where they all print
console  progress on a terminal, plain lines elsewhere
stopping Ctrl-C and the signals of schedulers
help     examples and completion
"""

from maladist.cli.app import main as main  # what the script `maladist` calls
