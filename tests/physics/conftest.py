"""Cases computed with Quantum ESPRESSO: those that the repository carries, and those of the reference data."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import torch
from torch import Tensor

from maladist.energy_grid import EnergyGrid
from maladist.grid import Grid
from maladist.io.qe.upf import read_pseudopotentials
from maladist.physics.system import System
from maladist.units import RYDBERG


@dataclass(frozen=True)
class QECase:
    grid: Grid
    system: System
    density: Tensor
    reference: dict[str, Any]
    ldos: Tensor | None

    @property
    def energy_grid(self) -> EnergyGrid:
        r = self.reference["ldos"]
        levels, width = r["levels"], r["broadening_delta_eV"]
        return EnergyGrid(r["energy_origin_eV"], r["energy_spacing_eV"], levels, "gaussian", width)


def unpack_float32(byte_planes: np.ndarray) -> np.ndarray:
    """(4, levels, x, y, z) bytes -> (x, y, z, levels) float32."""
    values = np.ascontiguousarray(np.moveaxis(byte_planes, 0, -1)).view("<f4")[..., 0]
    return np.ascontiguousarray(np.moveaxis(values, 0, -1))


def read_case(folder: Path, pseudopotentials: Path) -> QECase:
    atoms = ase.io.read(folder / "atoms.extxyz")
    density = np.load(folder / "density.npy")
    ldos = None
    if (folder / "ldos.npz").exists():
        ldos = torch.from_numpy(unpack_float32(np.load(folder / "ldos.npz")["byte_planes"]))
    elif (folder / "ldos.npy").exists():
        ldos = torch.from_numpy(np.load(folder / "ldos.npy"))
    grid, reference = (
        Grid(atoms.cell.array.tolist(), density.shape),
        json.loads((folder / "reference.json").read_text()),
    )
    elements, cutoff = read_pseudopotentials(pseudopotentials), reference["ecutrho_Ry"] * RYDBERG
    system = System(grid, atoms.positions, atoms.numbers.astype(np.int16), elements, "pbe", cutoff)
    return QECase(grid, system, torch.from_numpy(density), reference, ldos)


@pytest.fixture(scope="session")
def qe_case(own_data: Path, request: pytest.FixtureRequest) -> Callable[..., QECase]:
    """A case by name; with ``shared=True`` from the reference data (skips where it is absent)."""

    def read(name: str, *, shared: bool = False) -> QECase:
        if shared:
            folder = request.getfixturevalue("shared_data") / "qe_terms" / name
            return read_case(folder, folder)
        return read_case(own_data / "qe" / name, own_data / "pseudopotentials")

    return read
