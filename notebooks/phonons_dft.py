"""Quantum ESPRESSO's forces, energies and stress that notebook 7 holds the model against: `python phonons_dft.py`.

The DFT of the shipped model's data (its dft.yaml) on the notebook's cells, into tests/data/be_phonons.json: some
minutes on two cores.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import phonopy
from ase import Atoms
from ase.build import bulk
from phonopy.structure.atoms import PhonopyAtoms

import maladist
from maladist.cli.console import TerminalObserver
from maladist.datasets.dft.espresso import Espresso
from maladist.io.datasets import read_reference
from maladist.io.shipped import shipped_models

FILE = Path(__file__).parent.parent / "tests" / "data" / "be_phonons.json"
CRYSTAL = bulk("Be", "hcp", a=2.2866, c=3.5833)
DISPLACEMENT = 0.05  # Å
STRAINS = (-0.02, -0.01, 0.0, 0.01, 0.02)
MODES = {"along c": np.diag([0.0, 0.0, 1.0]), "in the plane": np.diag([1.0, 1.0, 0.0])}
"""Strains of a crystal of hexagonal symmetry that keep the symmetry."""


def phonons(*repeat: int) -> phonopy.Phonopy:
    """Phonopy of a supercell of the crystal, its displacements generated."""
    unit = PhonopyAtoms(symbols=["Be", "Be"], cell=CRYSTAL.cell, scaled_positions=CRYSTAL.get_scaled_positions())
    found = phonopy.Phonopy(unit, np.diag(repeat), primitive_matrix=np.eye(3), log_level=0)
    found.generate_displacements(distance=DISPLACEMENT)
    return found


def displaced(found: phonopy.Phonopy) -> list[Atoms]:
    """The undisplaced supercell, then one for each displacement."""
    cells = [found.supercell, *found.supercells_with_displacements]
    return [Atoms(c.symbols, scaled_positions=c.scaled_positions, cell=c.cell, pbc=True) for c in cells]


def strained(name: str, size: float) -> Atoms:
    """Eight atoms under a strain of a mode of `MODES`, sites at their fractions."""
    atoms = CRYSTAL * (2, 2, 1)
    atoms.set_cell(atoms.cell[:] @ (np.eye(3) + size * MODES[name]), scale_atoms=True)
    return atoms


def main() -> None:
    """Run the DFT; write what the notebook reads."""
    cells = {f"displaced-{i}": a for i, a in enumerate(displaced(phonons(2, 2, 2)))}
    for m, name in enumerate(MODES):
        cells |= {f"strained-{m}-{i}": strained(name, size) for i, size in enumerate(STRAINS)}
    with tempfile.TemporaryDirectory() as folder, maladist.cluster("local") as client, TerminalObserver() as observer:
        setup = Espresso.read(shipped_models()["be-1000K"].folder / "dft.yaml")
        store = Path(folder) / "be.zarr"
        maladist.dft(list(cells.values()), setup, store, names=list(cells), client=client, observer=observer)
        references = {name: read_reference(store / "snapshots" / name) for name in cells}
    quantities = ("total_free_energy_eV", "forces", "stress", "stress_fixed_cutoff")
    found = {
        name: {q: np.asarray(r[q]).tolist() for q in quantities} for name, r in references.items() if r is not None
    }
    FILE.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
