"""Grids and blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maladist.errors import GridError
from maladist.grid import Grid, fft_friendly

HEX = [[2.286, 0, 0], [-1.143, 1.9797, 0], [0, 0, 3.584]]


def test_points_lie_where_the_contract_says() -> None:
    grid = Grid(HEX, (4, 5, 6))
    points = grid.points().reshape(4, 5, 6, 3)
    expected = 1 / 4 * np.array(HEX[0]) + 2 / 5 * np.array(HEX[1]) + 3 / 6 * np.array(HEX[2])
    np.testing.assert_allclose(points[1, 2, 3], expected, atol=1e-15)


@given(st.tuples(*[st.integers(1, 9)] * 3), st.tuples(*[st.integers(1, 12)] * 3))
def test_blocks_cover_every_point_once(shape: tuple[int, int, int], block: tuple[int, int, int]) -> None:
    grid = Grid(HEX, shape)
    seen = np.zeros(shape, int)
    blocks = grid.blocks(block)
    for index, b in enumerate(blocks):
        assert b.index == index
        seen[b.slices] += 1
    assert (seen == 1).all()
    assert sum(b.n_points for b in blocks) == grid.n_points


def test_blocks_points_are_the_grids_points() -> None:
    grid = Grid(HEX, (5, 4, 7))
    whole = grid.points().reshape(5, 4, 7, 3)
    for block in grid.blocks((2, 3, 4)):
        np.testing.assert_allclose(grid.points(block), whole[block.slices].reshape(-1, 3), atol=1e-15)


@given(st.integers(1, 5000))
def test_fft_friendly_sizes_have_small_factors_and_are_the_next_ones(n: int) -> None:
    m = fft_friendly(n)
    assert m >= n
    for p in (2, 3, 5, 7):
        while m % p == 0:
            m //= p
    assert m == 1


def test_a_supercell_gets_a_multiple_of_the_training_grid() -> None:
    unit = Grid(HEX, (18, 18, 27))
    assert Grid.from_spacing(np.array(HEX) * 4, unit.spacing).shape == (72, 72, 108)


def test_a_strained_cell_gets_at_most_the_training_spacing() -> None:
    unit = Grid(HEX, (18, 18, 27))
    grid = Grid.from_spacing(np.array(HEX) * [[1.013], [1.31], [2.07]], unit.spacing)
    assert all(h <= h0 * 1.0011 for h, h0 in zip(grid.spacing, unit.spacing, strict=True))


@pytest.mark.parametrize(
    "cell", [np.zeros((3, 3)), np.full((3, 3), np.nan), np.eye(2), [[1, 0, 0], [2, 0, 0], [0, 0, 1]]]
)
def test_cells_without_volume_are_refused(cell: object) -> None:
    with pytest.raises(GridError, match="cell"):
        Grid(cell, (2, 2, 2))  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(0, 2, 2), (2, 2), (2, -1, 2), (2.5, 2, 2)])
def test_shapes_that_are_not_three_positive_integers_are_refused(shape: object) -> None:
    with pytest.raises(GridError, match="grid"):
        Grid(HEX, shape)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(10**9,) * 3, (10**4, 10**4, 10**4), ("a", 2, 2), (float("inf"), 2, 2), None])
def test_grids_over_which_no_loop_would_end_are_refused(shape: object) -> None:
    with pytest.raises(GridError, match="grid"):
        Grid(HEX, shape)  # type: ignore[arg-type]


@pytest.mark.parametrize("length", [1e10, np.inf, np.nan])
def test_a_spacing_in_a_cell_without_end_is_refused_at_once(length: float) -> None:
    with pytest.raises(GridError, match=r"a cell of .* at most"):
        Grid.from_spacing(np.diag([3.0, length, length]), (0.16, 0.16, 0.16))


def test_a_spacing_without_size_is_refused_at_once() -> None:
    with pytest.raises(GridError, match=r"a cell of .* at most"):
        Grid.from_spacing(np.eye(3) * 3.0, (1e-300, 0.16, 0.16))


def test_blocks_beyond_count_are_refused() -> None:
    with pytest.raises(GridError, match="at most 1e"):
        Grid(np.eye(3) * 100, (1000, 1000, 1000)).blocks((1, 1, 1))
