"""Grids, blocks and energy grids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maladist.errors import GridError
from maladist.grid import EnergyGrid, Grid, fft_friendly

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


@pytest.mark.parametrize(
    "wrong", [(np.nan, 0.1, 3), (0, np.inf, 3), (0, 0, 3), (1e300, 0.1, 3), (0, 0.1, 10**9), (0, 0.1, 1)]
)
def test_energy_grids_that_cannot_be(wrong: tuple[float, float, int]) -> None:
    with pytest.raises(GridError, match="energy grid"):
        EnergyGrid(*wrong)


def test_energy_grids_know_the_variance_of_their_kernel() -> None:
    x = np.linspace(-60, 60, 400001)
    shapes = {"gaussian": np.exp(-(x**2)) / np.sqrt(np.pi), "fermi-derivative": 1 / (2 + 2 * np.cosh(x))}
    for kernel, shape in shapes.items():
        grid = EnergyGrid(0.0, 0.1, 11, kernel, 0.3)  # type: ignore[arg-type]
        assert grid.variance == pytest.approx(np.trapezoid(shape * x**2, x) * 0.3**2, rel=1e-9)
    assert EnergyGrid(0, 0.1, 3).variance is None


def test_energies_that_are_not_equidistant_are_refused() -> None:
    assert EnergyGrid.from_values([-1.0, 0.0, 1.0]).spacing == 1.0
    with pytest.raises(GridError, match="equidistant"):
        EnergyGrid.from_values([-1.0, 0.0, 1.1])


PARTS = EnergyGrid.of_parts([(-52.0, 0.2, 20), (-6.0, 0.1, 150)], "gaussian", 0.2)


def test_parts_are_one_axis_that_knows_its_gaps() -> None:
    assert PARTS.levels == len(PARTS.values) == 170 and (PARTS.origin, PARTS.coarsest) == (-52.0, 0.2)
    assert str(PARTS) == "-52 to -48.2 eV: 20 levels, 0.2 eV apart and -6 to 8.9 eV: 150 levels, 0.1 eV apart"
    assert PARTS.gaps == [(pytest.approx(-48.2), -6.0)]
    np.testing.assert_allclose(PARTS.shifted(0.7).values, PARTS.values + 0.7, rtol=0, atol=1e-14)
    assert PARTS.parts[1].shifted(-1) == PARTS.shifted(-1).parts[1]
    assert "-52 eV, -6 eV" in PARTS._repr_html_()


def test_one_part_is_the_equidistant_axis() -> None:
    one = EnergyGrid(-5.0, 0.1, 200, "gaussian", 0.1)
    assert EnergyGrid.of_parts([(-5.0, 0.1, 200)], "gaussian", 0.1) == one
    assert one.parts == (one,) and not one.gaps and one.shifted(0.3) == replace(one, origin=-5.0 + 0.3)


@pytest.mark.parametrize(
    "windows",
    [
        [(-6.0, 0.1, 150), (-52.0, 0.2, 20)],  # out of order
        [(-10.0, 0.1, 101), (-5.0, 0.1, 100)],  # overlapping
        [(-10.0, 0.1, 101), (0.1, 0.2, 100)],  # adjoining
        [(-10.0, 0.1, 1), (5.0, 0.1, 100)],
    ],
)
def test_parts_that_are_not_apart_are_refused(windows: list[tuple[float, float, int]]) -> None:
    with pytest.raises(GridError, match=r"eV or more apart|2 levels or more"):
        EnergyGrid.of_parts(windows)


def test_samples_of_parts_need_the_number_of_each() -> None:
    again = EnergyGrid.from_values(PARTS.values, "gaussian", 0.2, [20, 150])
    np.testing.assert_allclose(again.values, PARTS.values, rtol=0, atol=1e-13)
    with pytest.raises(GridError, match=r"not equidistant.*energy_parts"):
        EnergyGrid.from_values(PARTS.values)
    # A selection of one part's levels is an axis by itself; one that reaches over the gap is none.
    assert EnergyGrid.from_values(PARTS.values[20:], parts=[20, 150]).levels == 150
    with pytest.raises(GridError, match="not equidistant"):
        EnergyGrid.from_values(PARTS.values[10:], parts=[20, 150])
