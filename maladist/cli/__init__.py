"""The command `maladist`: parses, calls the function of the same name, prints; no logic.

app      the command itself; errors become one line and a status
predict  predict, plan, observe
dynamics md, relax
data     dft, oneshot, check, align, export
files    info, models, card, import-mala, export-mala
machine  bench, cluster, doctor
train    train, distil
convert, sample, learn, evaluate, rank, tune, report,
thermodynamics, diffraction, structure, difference, charges     each its own
options  options that several verbs share, and the cluster that they name
words    letters of options, and what is said of those that are missing or unknown
output   the files of --json and its like
streams  where they all print
console  progress on a terminal, plain lines elsewhere
stopping Ctrl-C and the signals of schedulers
help     examples and completion
"""

from maladist.cli.app import main as main  # what the script `maladist` calls
