"""Which format a file has, and whether a field belongs to a calculation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from maladist.errors import DataFileError
from maladist.grid import Grid
from maladist.io.fields import cube, xsf
from maladist.io.fields.formats import check_belongs, field_format, same_atoms
from maladist.io.fields.header import FieldHeader
from tests.io.fields.conftest import GRID


def test_formats_by_the_end_of_the_name() -> None:
    assert field_format(Path("a.cube")) is cube
    assert field_format(Path("a.b.CUB.gz")) is cube
    assert field_format(Path("a.xsf.gz")) is xsf
    for name in ("a.npy", "cube", "a.gz", "a.cube.bz2"):
        with pytest.raises(DataFileError, match="the ending"):
            field_format(Path(name))


def test_a_field_of_another_cell_grid_or_snapshot(crystal: Atoms) -> None:
    header = FieldHeader(Path("a.cube"), crystal, GRID.shape, 0)
    check_belongs(header, crystal, GRID)
    moved = crystal.copy()
    moved.positions += GRID.cell_array[0] - 2 * GRID.cell_array[2]
    check_belongs(header, moved, GRID)  # up to lattice vectors
    moved.positions[0, 0] += 0.01
    for atoms, grid, words in (
        (moved, GRID, "another snapshot"),
        (crystal, replace(GRID, shape=(4, 3, 6)), "a grid of"),
        (crystal, Grid(GRID.cell_array * 1.001, GRID.shape), "another calculation"),
    ):
        with pytest.raises(DataFileError, match=words):
            check_belongs(header, atoms, grid)
    odd = crystal.copy()
    odd.cell[0, 0] = np.nan
    with pytest.raises(DataFileError, match="another calculation"):
        check_belongs(replace(header, atoms=odd), crystal, GRID)


def test_the_same_atoms_to_a_tolerance(crystal: Atoms) -> None:
    near = crystal.copy()
    near.positions += 5e-4
    assert same_atoms(crystal, near)
    assert not same_atoms(crystal, near, tolerance=1e-4)
    assert not same_atoms(crystal, crystal[:1])
    near.numbers[0] = 5
    assert not same_atoms(crystal, near)
