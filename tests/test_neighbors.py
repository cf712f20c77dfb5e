"""The atoms that a block can see."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maladist.grid import Grid
from maladist.neighbors import CellList

CELLS = {
    "tiny": np.diag([2.0, 2.1, 1.9]),
    "skewed": np.array([[5.0, 0, 0], [4.0, 5.0, 0], [-3.0, 4.0, 6.0]]),
    "large": np.diag([17.0, 13.0, 21.0]),
    "left-handed": np.diag([6.0, 7.0, -8.0]),
}


def brute_force(cell: np.ndarray, positions: np.ndarray, points: np.ndarray, cutoff: float) -> set[tuple[float, ...]]:
    """Every image within the cutoff of any point."""
    reach = int(np.ceil(cutoff * np.linalg.norm(np.linalg.inv(cell), axis=0).max())) + 2
    shifts = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"), -1).reshape(-1, 3) @ cell
    images = (positions[:, None] + shifts).reshape(-1, 3)
    near = (np.linalg.norm(images[:, None] - points, axis=2) < cutoff).any(axis=1)
    return {tuple(np.round(x, 6)) for x in images[near]}


@pytest.mark.parametrize("name", CELLS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), cutoff=st.floats(0.5, 5.0))
def test_no_atom_within_the_cutoff_is_missing_and_none_comes_twice(name: str, seed: int, cutoff: float) -> None:
    rng, cell = np.random.default_rng(seed), CELLS[name]
    positions = rng.uniform(-1.5, 2.5, (6, 3)) @ cell
    grid = Grid(cell.tolist(), (6, 5, 4))
    block = grid.blocks((3, 2, 4))[int(rng.integers(6))]
    seen = CellList(cell, positions, np.arange(1, 7, dtype=np.int16), cutoff).near_block(grid, block)
    found = [tuple(np.round(x, 6)) for x in seen.positions]
    assert len(found) == len(set(found))
    wrapped = positions - np.floor(positions @ np.linalg.inv(cell)) @ cell
    assert brute_force(cell, wrapped, grid.points(block), cutoff) <= set(found)
    np.testing.assert_array_equal(seen.numbers, seen.indices + 1)


def test_a_block_of_a_large_cell_sees_a_small_part_of_it() -> None:
    rng = np.random.default_rng(0)
    cell = np.diag([60.0, 60.0, 60.0])
    atoms = CellList(cell, rng.uniform(0, 60, (8000, 3)), np.full(8000, 4, np.int16), 4.0)
    grid = Grid(cell.tolist(), (60, 60, 60))
    seen = atoms.near_block(grid, grid.blocks((10, 10, 10))[111])
    # (9 + 2·4)³ Å³ of 60³ Å³, with the fluctuation of a random sample.
    assert len(seen) == pytest.approx(8000 * 17**3 / 60**3, rel=0.2)


def test_atoms_on_the_cells_faces_are_found_on_both_sides() -> None:
    cell = np.diag([6.0, 6.0, 6.0])
    seen = CellList(cell, np.array([[0.0, 3.0, 3.0], [6.0 - 1e-17, 1.0, 1.0]]), np.array([1, 2], np.int16), 2.0)
    assert {round(float(x), 6) for x in seen.around([0, 0, 0], [1, 1, 1]).positions[:, 0]} == {0.0, 6.0}


@pytest.mark.parametrize("name", CELLS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), cutoff=st.floats(0.5, 5.0), edge=st.integers(1, 8))
def test_no_block_sees_more_atoms_than_the_bound(name: str, seed: int, cutoff: float, edge: int) -> None:
    rng, cell = np.random.default_rng(seed), CELLS[name]
    # Some on planes of the grid, where roundings decide.
    fractional = np.concatenate([rng.uniform(-1.5, 2.5, (30, 3)), rng.integers(0, 8, (10, 3)) / 8])
    atoms = CellList(cell, fractional @ cell, np.full(40, 4, np.int16), cutoff)
    blocks = Grid(cell.tolist(), (8, 7, 6)).blocks((edge, 2, 3))
    seen = [len(np.unique(atoms.near_block(blocks.grid, block).indices)) for block in blocks]
    assert max(seen) <= atoms.most_near(blocks) <= 40


def test_the_bound_of_a_large_cell_is_close_to_what_a_block_sees() -> None:
    """A bin, an eighth of the cutoff, more at either end: 27 Å in place of 26 Å, a volume 1.12 times as large."""
    cell = np.diag([60.0, 60.0, 60.0])
    atoms = CellList(cell, np.random.default_rng(0).uniform(0, 60, (8000, 3)), np.full(8000, 4, np.int16), 4.0)
    blocks = Grid(cell.tolist(), (30, 30, 30)).blocks((10, 10, 10))
    seen = max(len(np.unique(atoms.near_block(blocks.grid, block).indices)) for block in blocks)
    assert seen <= atoms.most_near(blocks) <= 1.15 * seen
