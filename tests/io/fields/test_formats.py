"""What a field's header must be before anybody loops over it, and whether a field belongs to a calculation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from maladist.errors import DataFileError
from maladist.grid import Grid
from maladist.io.fields import cube, xsf
from maladist.io.fields.formats import FieldHeader, check_belongs, field_format, header_atoms, same_atoms
from tests.io.fields.conftest import GRID


def test_formats_by_the_end_of_the_name() -> None:
    assert field_format(Path("a.cube")) is cube
    assert field_format(Path("a.b.CUB.gz")) is cube
    assert field_format(Path("a.xsf.gz")) is xsf
    for name in ("a.npy", "cube", "a.gz", "a.cube.bz2"):
        with pytest.raises(DataFileError, match="the ending"):
            field_format(Path(name))


@pytest.mark.parametrize(("axis", "thickness"), [(0, 1), (0, 3), (2, 2), (1, 100)])
def test_slabs_cover_the_field_once(axis: int, thickness: int, crystal: Atoms) -> None:
    seen = np.zeros(GRID.shape, int)
    for planes, region in FieldHeader(Path("a"), crystal, GRID.shape, axis).slabs(thickness):
        seen[region] += 1
        assert region[axis].stop - region[axis].start == planes <= thickness
    assert (seen == 1).all()


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


@pytest.mark.parametrize(
    ("numbers", "length", "shape"),
    [([119], 3.0, (2, 2, 2)), ([0], 3.0, (2, 2, 2)), ([4.5], 3.0, (2, 2, 2)), ([4], 1e10, (2, 2, 2)),
     ([4], 3.0, (10**9, 10**9, 10**9)), ([4], 3.0, (0, 2, 2)), ([4], np.inf, (2, 2, 2)), ([], 3.0, (2, 2, 2))],
)  # fmt: skip
def test_headers_of_no_cell_no_grid_or_no_elements(
    numbers: list[float], length: float, shape: tuple[int, int, int]
) -> None:
    with pytest.raises(DataFileError, match=r"a\.cube.* in its header"):
        header_atoms(Path("a.cube"), numbers, np.zeros((len(numbers), 3)), np.diag([length] * 3), shape)
