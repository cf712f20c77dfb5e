"""Smooth potentials whose forces depend on nothing but the positions, to the bit, and cost nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.units import GPa


def crystal() -> Atoms:
    """Eight atoms in their wells."""
    return bulk("Al", "sc", a=2.0) * (2, 2, 2)


class Wells(Calculator):
    """A well at every point of a cubic lattice, eV: anharmonic, so that a time step shows."""

    implemented_properties: ClassVar[list[str]] = ["energy", "forces", "stress"]
    depth, side = 1.0, 2.0

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        phase = 2 * np.pi * self.atoms.positions / self.side
        energy = float(-self.depth * np.cos(phase).sum())
        forces = -self.depth * 2 * np.pi / self.side * np.sin(phase)
        # Not the derivative of the energy: a pressure that the cell answers to, which is all that is asked here.
        pressure = 8 * GPa * (1 - self.atoms.get_volume() / 64)
        self.results = {"energy": energy, "forces": forces, "stress": np.array([-pressure] * 3 + [0.0] * 3)}
