"""Voronoi cells: those of all images, ties in equal parts, in any cell and any blocks."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from maladist.grid import Grid
from maladist.physics.voronoi import voronoi
from maladist.testing import be_atoms

OBLIQUE = [[3.0, 0.0, 0.0], [7.1, 2.5, 0.0], [-4.0, 5.2, 2.8]]  # far from reduced: its faces are no Voronoi planes


def weights(atoms: Atoms, grid: Grid) -> np.ndarray:
    found = voronoi(grid, grid.whole, atoms.positions, atoms.numbers)
    dense = np.zeros((len(atoms), grid.n_points))
    dense[found.labels] = found.weights.toarray()
    return dense


@pytest.mark.parametrize("cell", [be_atoms().cell.array.tolist(), OBLIQUE])
def test_points_go_to_the_nearest_of_all_images(cell: list[list[float]]) -> None:
    rng = np.random.default_rng(0)
    atoms, grid = (
        Atoms("BeAlBe", scaled_positions=rng.uniform(-1, 2, (3, 3)), cell=cell, pbc=True),
        Grid(cell, (5, 6, 7)),
    )
    shifts = np.stack(np.meshgrid(*[np.arange(-8, 9)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) @ np.array(cell)
    inside = atoms.get_positions(wrap=True)
    distances = [np.linalg.norm(grid.points()[:, None] - (p + shifts), axis=-1).min(axis=1) for p in inside]
    np.testing.assert_array_equal(weights(atoms, grid).argmax(axis=0), np.argmin(distances, axis=0))


def test_points_on_a_face_are_shared_so_that_equal_atoms_have_equal_volumes() -> None:
    """Two of sixteen planes of points lie on faces; a cell of fcc has edges and corners too."""
    pair = Atoms("Be2", scaled_positions=[[0, 0, 0], [0, 0, 0.5]], cell=[3, 3, 8], pbc=True)
    found = weights(pair, Grid(pair.cell.array.tolist(), (4, 4, 16)))
    assert found.sum(axis=1).tolist() == [128.0, 128.0]
    assert found[:, 4].tolist() == [0.5, 0.5]
    fcc = bulk("Al", cubic=True).repeat((2, 1, 1))
    volumes = weights(fcc, Grid(fcc.cell.array.tolist(), (24, 12, 12))).sum(axis=1)
    np.testing.assert_allclose(volumes, 24 * 12 * 12 / 8, rtol=1e-12)


def test_a_tie_is_one_whatever_the_last_digits_of_a_file_are() -> None:
    pair = Atoms("Be2", positions=[[0, 0, 1e-8], [0, 0, 4 - 1e-8]], cell=[3, 3, 8], pbc=True)
    assert weights(pair, Grid(pair.cell.array.tolist(), (4, 4, 16))).sum(axis=1).tolist() == [128.0, 128.0]


def test_blocks_have_the_weights_of_the_whole_also_where_atoms_are_far() -> None:
    """Of two atoms at the bottom of 40 Å of vacuum; some blocks see none within the first distance that is tried."""
    atoms = Atoms("Be2", positions=[[0.5, 1.0, 1.0], [2.5, 0.3, 1.7]], cell=[4, 4, 40], pbc=True)
    grid = Grid(atoms.cell.array.tolist(), (6, 6, 60))
    whole = weights(atoms, grid).reshape(2, *grid.shape)
    for block in grid.blocks((4, 5, 7)):
        found = voronoi(grid, block, atoms.positions, atoms.numbers)
        of_block = whole[(slice(None), *block.slices)].reshape(2, -1)[found.labels]
        np.testing.assert_array_equal(found.weights.toarray(), of_block)
