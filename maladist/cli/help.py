"""What the command line says of itself beside the parameters: an example for each command, completion for shells."""

from __future__ import annotations

from functools import reduce
from typing import Final

from cyclopts import App

EXAMPLES: Final = {
    "predict": "maladist predict be.extxyz --model be.maladist --output be.zarr --report be.html",
    "plan": "maladist plan be.extxyz --model be.maladist --cluster slurm.yaml",
    "observe": "maladist observe data.zarr/snapshots/001 --temperature 1000 --output 001.zarr",
    "md": "maladist md be.extxyz --model be.maladist --steps 1000 --output be-md/",
    "relax": "maladist relax be.extxyz --model be.maladist --output be-relax/",
    "import-mala": "maladist import-mala Be_model.zip --pseudopotentials upf/ --output be.maladist",
    "info": "maladist info be.maladist",
    "bench": "maladist bench --twojmax 6 --twojmax 10",
    "cluster": "maladist cluster slurm.yaml --scheduler-file warm.json",
    "convert": "maladist convert run/pwscf.xml --ldos 'run/*ldos.cube' --output data.zarr --name 001",
    "dft": "maladist dft frames.extxyz --setup dft.yaml --output data.zarr",
    "check": "maladist check data.zarr --pseudopotentials upf/",
    "align": "maladist align data.zarr --reference fermi --output aligned.zarr",
    "export": "maladist export data.zarr/snapshots/001 --to cube --output cubes/",
    "sample crystal": "maladist sample crystal Be --repeat 2 2 2 --displacement 0.1 --count 20 --output be.extxyz",
    "sample md": "maladist sample md Al --calculator emt --temperature 900 --steps 5000 --output al.extxyz",
    "sample trajectory": "maladist sample trajectory md.traj --count 20 --output frames.extxyz",
    "evaluate": "maladist evaluate be.maladist 'be.zarr/snapshots/test-*' --plots pictures/",
    "train": "maladist train train.yaml --output model/",
    "tune": "maladist tune tune.yaml --output study/",
    "report": "maladist report be.zarr -o be.html",
    "doctor": "maladist doctor --cluster slurm.yaml",
}
"""By the command's words."""


def complete(app: App) -> None:
    """Give each command its example, and the app ``--install-completion``."""
    app.register_install_completion_command(
        help="Install completion of commands and options for bash, zsh or fish (--shell; default: the one in use)."
    )
    for words, example in EXAMPLES.items():
        command = reduce(lambda parent, word: parent[word], words.split(), app)
        command.help_epilogue = f"Example: `{example}`"
