"""What the command line says of itself before a verb is imported: a line and an example for each, and completion."""

from __future__ import annotations

from typing import Final, NamedTuple

from cyclopts import App


class Verb(NamedTuple):
    """A command: where below `maladist.cli` its function or app is found, and the first line of what that says."""

    path: str
    line: str


VERBS: Final = {
    "predict": Verb(
        "predict:predict", "Predict density, density of states and total free energy of a cell into a zarr store."
    ),
    "plan": Verb(
        "predict:plan",
        "Say what `predict` with the same arguments will do and need; compute one block to tell how long.",
    ),
    "observe": Verb(
        "predict:observe", "Density, DOS and energies of any LDOS that follows the data contract, from DFT too."
    ),
    "thermodynamics": Verb(
        "thermodynamics:thermodynamics",
        "Entropy, heat capacity, free energy and Fermi level of the electrons at many temperatures, from one D(ε).",
    ),
    "stm": Verb(
        "surface:stm", "Image of the scanning tunnelling microscope of a slab, from its LDOS: Tersoff and Hamann."
    ),
    "diffraction": Verb(
        "diffraction:diffraction", "X-ray structure factors and powder pattern of the valence electrons' n(r)."
    ),
    "difference": Verb(
        "difference:difference",
        "A density less that of another store, or of free atoms at the same places; its integral and a picture.",
    ),
    "charges": Verb("charges:charges", "Electrons and D(ε) of each atom, after Bader or Voronoi."),
    "structure": Verb(
        "structure:structure",
        "Radial distribution functions g(r) and static structure factor S(q) of atoms, over frames.",
    ),
    "potential": Verb(
        "surface:potential",
        "Electrostatic potential V_H + V_loc of a density, or with V_xc; its planar average, work functions.",
    ),
    "report": Verb(
        "report:report",
        "A result as one HTML file that needs no network, or two with what differs: D(ε), n(r), energies, who made it.",
    ),
    "info": Verb(
        "files:info",
        "Say what a model file, a MALA zip or a store holds; `maladist models` lists those that come with it.",
    ),
    "models": Verb(
        "files:models", "List the models that come with maladist, with their errors on cells that they have not seen."
    ),
    "card": Verb(
        "files:card",
        "Print a model's card: what it is for, its errors on held-out cells, how it was made; Markdown in a pipe.",
    ),
    "import-mala": Verb("files:import_mala", "Read a model that MALA trained and write it as a maladist model file."),
    "export-mala": Verb(
        "files:export_mala",
        "Write a model as the zip that MALA loads, with the same LDOS from the same descriptors.",
    ),
    "convert": Verb(
        "convert:convert",
        "Convert a DFT calculation's files to a snapshot of a data set, or a folder of MALA's to all of its snapshots.",
    ),
    "dft": Verb(
        "data:dft",
        "Run snapshots through Quantum ESPRESSO or GPAW into a data set; a second call does what is missing.",
    ),
    "oneshot": Verb(
        "data:oneshot",
        "Take one step of Quantum ESPRESSO at a predicted density: A of Harris and Foulkes, levels, D(ε).",
    ),
    "check": Verb(
        "data:check", "Hold a data set against the DFT it came from; exit status 1 where a tolerance is exceeded."
    ),
    "align": Verb(
        "data:align",
        "Shift snapshots' energies to a common reference and cut them to a common window, into a new data set.",
    ),
    "export": Verb(
        "data:export",
        "Write a snapshot to cube or xsf files, to MALA's .npy or openPMD .h5, or its density for pw.x to begin with.",
    ),
    "md": Verb(
        "dynamics:md",
        "Molecular dynamics of the ions on the total free energy A; the same command goes on with a run that ended.",
    ),
    "relax": Verb(
        "dynamics:relax",
        "Move atoms, and their cell if asked for, to a minimum of A; the same command goes on with a run that ended.",
    ),
    "train": Verb(
        "train:train",
        "Train a model as a YAML file says; the cluster describes the points, and trains where there are ranks.",
    ),
    "learn": Verb(
        "learn:learn",
        "Let a model's own MD find cells that it knows least, calculate and learn them, again and again, to a bound.",
    ),
    "distil": Verb(
        "train:distil",
        "Train one network to give what an ensemble gives, on cells without DFT: for a k-th of its cost.",
    ),
    "tune": Verb(
        "tune:tune",
        "Search for the best values of some keys of a training's configuration; the cluster's workers run the trials.",
    ),
    "evaluate": Verb(
        "evaluate:evaluate",
        "Hold a model against DFT: errors of LDOS, DOS, density, N, Fermi level, every energy and forces, by snapshot.",
    ),
    "rank": Verb(
        "rank:rank", "Choose the cells of a pool that a model knows least, for DFT: by novelty and spread, and diverse."
    ),
    "bench": Verb("machine:bench", "Time descriptors and network on this machine."),
    "doctor": Verb(
        "machine:doctor",
        "Say what this installation can do, exit status 1 where something is broken: begin a question with this.",
    ),
    "cluster": Verb(
        "machine:hold_cluster",
        "Hold a cluster open: many runs share its warm workers; `--cluster SCHEDULER_FILE` reaches it. Ctrl-C ends it.",
    ),
    "sample": Verb(
        "sample:app", "Choose configurations for DFT: around a crystal, from a trajectory, by a new MD run."
    ),
}
"""By name. Written here too, so that `maladist --help` need not import what the commands import."""

EXAMPLES: Final = {
    "predict": "maladist predict be.extxyz --model be.maladist --output be.zarr --report be.html",
    "plan": "maladist plan be.extxyz --model be.maladist --cluster slurm.yaml",
    "observe": "maladist observe data.zarr/snapshots/001 --temperature 1000 --output 001.zarr",
    "thermodynamics": "maladist thermodynamics be.zarr --range 300 10000 --count 98 --plot be-T.png",
    "stm": "maladist stm slab.extxyz --model be.maladist --bias -0.5 --height 3 --plot stm.png",
    "diffraction": "maladist diffraction be.zarr --angle 120 --plot powder.png",
    "difference": "maladist difference be.zarr --pseudopotentials upf/ --output bonds.zarr --plot bonds.png",
    "charges": "maladist charges be.zarr --pseudopotentials upf/ --output charges.extxyz",
    "structure": "maladist structure md.traj@: --cutoff 8 --plot structure.png",
    "potential": "maladist potential slab.zarr --pseudopotentials upf/ --output v.zarr --work-function --plot v.png",
    "md": "maladist md be.extxyz --model be.maladist --steps 1000 --output be-md/",
    "relax": "maladist relax be.extxyz --model be.maladist --output be-relax/",
    "import-mala": "maladist import-mala Be_model.zip --pseudopotentials upf/ --output be.maladist",
    "export-mala": "maladist export-mala be-1000K be.extxyz --output Be.zip --member 0 --without-density",
    "info": "maladist info be.maladist",
    "models": "maladist models --json",
    "card": "maladist card be-1000K-2",
    "bench": "maladist bench --twojmax 6 --twojmax 10",
    "cluster": "maladist cluster slurm.yaml --scheduler-file warm.json",
    "convert": "maladist convert run/pwscf.xml --ldos 'run/*ldos.cube' --output data.zarr --name 001",
    "dft": "maladist dft frames.extxyz --setup dft.yaml --output data.zarr",
    "oneshot": "maladist oneshot be.zarr --setup dft.yaml --plot dos.png",
    "check": "maladist check data.zarr --pseudopotentials upf/",
    "align": "maladist align data.zarr --reference fermi --output aligned.zarr",
    "export": "maladist export data.zarr/snapshots/001 --to cube --output cubes/",
    "sample crystal": "maladist sample crystal Be --repeat 2 2 2 --displacement 0.1 --count 20 --output be.extxyz",
    "sample md": "maladist sample md Al --calculator emt --temperature 900 --steps 5000 --output al.extxyz",
    "sample trajectory": "maladist sample trajectory md.traj --count 20 --output frames.extxyz",
    "evaluate": "maladist evaluate be.maladist 'be.zarr/snapshots/test-*' --plots pictures/",
    "rank": "maladist rank be.maladist md.traj --count 10 --output chosen.extxyz",
    "train": "maladist train train.yaml --output model/",
    "learn": "maladist learn learn.yaml --output be-learn/",
    "distil": "maladist distil model/model.maladist cells.extxyz --output distilled/",
    "tune": "maladist tune tune.yaml --output study/",
    "report": "maladist report a.zarr b.zarr -o b-less-a.html",
    "doctor": "maladist doctor --cluster slurm.yaml",
}
"""By the command's words."""


def example(words: str) -> str:
    """The last line of a command's help; raises KeyError for one without an example."""
    return f"Example: `{EXAMPLES[words]}`"


def add_verbs(app: App) -> None:
    """Give the app its verbs, imported when they are called, and ``--install-completion``."""
    for name, verb in VERBS.items():
        # An app of several verbs has its own examples.
        more = {} if verb.path.endswith(":app") else {"help_epilogue": example(name)}
        app.command(f"maladist.cli.{verb.path}", name=name, help=verb.line, **more)
    app.register_install_completion_command(
        help="Install completion of commands and options for bash, zsh or fish (--shell; default: the one in use)."
    )
