"""A small field, and the same as every text format writes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from maladist import Grid
from maladist.io.fields import cube, xsf

GRID = Grid([[2.3, 0, 0], [-1.1, 2.0, 0], [0.1, 0, 3.6]], (4, 3, 5))


@pytest.fixture
def crystal() -> Atoms:
    return Atoms("Be2", [[0.1, 0.2, 0.3], [1.0, 0.9, 2.0]], cell=GRID.cell_array, pbc=True)


@pytest.fixture
def values() -> np.ndarray:
    """Numbers over many orders of magnitude, both signs, exponents of three digits among them."""
    rng = np.random.default_rng(1)
    field = rng.standard_normal(GRID.shape) * 10.0 ** rng.integers(-8, 8, GRID.shape)
    field[0, 0, 0], field[1, 1, 1] = 1.25e-101, 0.0
    return field


def write_cube(path: Path, crystal: Atoms, values: np.ndarray, title: str = "") -> Path:
    with path.open("w") as stream:
        cube.write_header(stream, crystal, GRID, title)
        cube.write_slab(stream, values)
    return path


def write_xsf(path: Path, crystal: Atoms, values: np.ndarray, title: str = "") -> Path:
    with path.open("w") as stream:
        xsf.write_header(stream, crystal, GRID, title)
        xsf.write_slab(stream, np.concatenate([values, values[:, :, :1]], axis=2))
        xsf.write_end(stream)
    return path


WRITERS: dict[str, Callable[..., Path]] = {"cube": write_cube, "xsf": write_xsf}
