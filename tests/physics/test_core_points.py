"""n_core at points of a box: the radial functions of all images that reach it."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from maladist.grid import Grid
from maladist.physics.core_points import core_charge_at
from maladist.testing import be_atoms, be_element


def test_all_images_that_reach_a_box_are_added() -> None:
    """The made-up core is a Gaussian; the box begins before the cell and ends in it."""
    atoms, element = be_atoms(), be_element()
    grid = Grid(atoms.cell.array.tolist(), (12, 11, 18))
    first, size = np.array([-4, 3, -2]), np.array([9, 8, 12])
    found = core_charge_at(grid, first, size, atoms.positions, atoms.numbers, {"Be": element})
    index = np.stack(
        np.meshgrid(*[np.arange(a, a + m) for a, m in zip(first, size, strict=True)], indexing="ij"), axis=-1
    )
    points = index / grid.shape @ grid.cell_array
    shifts = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) @ grid.cell_array
    wanted = np.zeros(tuple(size))
    for position in (atoms.get_positions(wrap=True)[:, None] + shifts).reshape(-1, 3):
        r = np.linalg.norm(points - position, axis=-1)
        wanted += 2.0 * (2 * np.pi * 0.25**2) ** -1.5 * np.exp(-(r**2) / (2 * 0.25**2))
    # Linear interpolation between radii 0.01 Å apart, of a function whose height is 8 and width 0.25.
    np.testing.assert_allclose(found, wanted, atol=2e-3)


def test_the_whole_cell_holds_the_cores_electrons() -> None:
    atoms = be_atoms()
    grid = Grid(atoms.cell.array.tolist(), (24, 22, 36))
    whole = core_charge_at(
        grid, np.zeros(3, int), np.array(grid.shape), atoms.positions, atoms.numbers, {"Be": be_element()}
    )
    assert float(whole.sum()) * grid.voxel_volume == pytest.approx(4.0, abs=2e-3)


def test_elements_without_a_core_add_nothing() -> None:
    atoms = Atoms("Al", cell=[3, 3, 3], pbc=True)
    grid = Grid(atoms.cell.array.tolist(), (4, 4, 4))
    found = core_charge_at(grid, np.zeros(3, int), np.full(3, 4), atoms.positions, atoms.numbers, {"Be": be_element()})
    assert not found.any()
