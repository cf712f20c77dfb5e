"""Quantum ESPRESSO's energies, forces and stress that notebooks 6 and 7 hold a model against: `python cells_dft.py`.

The DFT of the shipped model's data (its dft.yaml) on the cells of `maladist.examples.dft_cells`, into the package's
be_cells.extxyz: some minutes on two cores.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import ase.io
import numpy as np
import phonopy
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from phonopy.structure.atoms import PhonopyAtoms

import maladist
from maladist.cli.console import TerminalObserver
from maladist.datasets.dft.espresso import Espresso
from maladist.examples import beryllium
from maladist.io.datasets import read_reference
from maladist.io.shipped import DATA, shipped_models

FILE = DATA / "examples" / "be_cells.extxyz"
STRAINS = (-0.02, -0.01, 0.0, 0.01, 0.02)
MODES = {"along c": np.diag([0.0, 0.0, 1.0]), "in the plane": np.diag([1.0, 1.0, 0.0])}
"""Strains of a crystal of hexagonal symmetry that keep the symmetry."""


def cells() -> dict[str, Atoms]:
    """The cells by name: sixteen atoms, one of them displaced as phonopy wants it, one gone; eight under strains."""
    unit = beryllium()
    primitive = PhonopyAtoms(symbols=["Be", "Be"], cell=unit.cell, scaled_positions=unit.get_scaled_positions())
    found = phonopy.Phonopy(primitive, np.diag((2, 2, 2)), primitive_matrix=np.eye(3), log_level=0)
    found.generate_displacements(distance=0.05)
    both = {"crystal": found.supercell, "displaced": found.supercells_with_displacements[0]}
    named = {n: Atoms(c.symbols, scaled_positions=c.scaled_positions, cell=c.cell, pbc=True) for n, c in both.items()}
    named["vacancy"] = named["crystal"][1:]
    for mode, direction in MODES.items():
        for size in STRAINS:
            strained = beryllium(2, 2, 1)
            strained.set_cell(strained.cell[:] @ (np.eye(3) + size * direction), scale_atoms=True)
            named[f"{mode} {size:+.0%}"] = strained
    return named


def main() -> None:
    """Run the DFT; write what the notebooks read."""
    named = cells()
    with tempfile.TemporaryDirectory() as folder, maladist.cluster("local") as client, TerminalObserver() as observer:
        setup = Espresso.read(shipped_models()["be-1000K"].folder / "dft.yaml")
        store = Path(folder) / "be.zarr"
        # What a snapshot is called must do as the name of a folder.
        names = [name.replace(" ", "-").replace("%", "") for name in named]
        maladist.dft(list(named.values()), setup, store, names=names, client=client, observer=observer)
        for name, (title, atoms) in zip(names, named.items(), strict=True):
            told = read_reference(store / "snapshots" / name)
            assert told is not None
            keep(
                atoms,
                title,
                float(told["total_free_energy_eV"]),
                np.asarray(told["forces"]),
                np.asarray(told["stress"]),
            )
    ase.io.write(FILE, list(named.values()))


def keep(atoms: Atoms, name: str, energy: float, forces: np.ndarray, stress: np.ndarray) -> None:
    """Give a cell its name and what the DFT says of it."""
    atoms.info["name"] = name
    atoms.calc = SinglePointCalculator(atoms, energy=energy, free_energy=energy, forces=forces, stress=stress)


if __name__ == "__main__":
    main()
