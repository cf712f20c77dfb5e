"""Energies of the levels of an LDOS."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad

from maladist.energy_grid import EnergyGrid
from maladist.errors import GridError


@pytest.mark.parametrize(
    "wrong",
    [
        (np.nan, 0.1, 3),
        (0, np.inf, 3),
        (0, 0, 3),
        (1e300, 0.1, 3),
        (0, 0.1, 10**9),
        (0, 0.1, 1),
        (0, 0.1, 5, "none", 0.0, ((9, 0.1, 5),)),  # nothing left for the first part
    ],
)
def test_energy_grids_that_cannot_be(wrong: tuple[Any, ...]) -> None:
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
        [(-10.0, 0.1, 101), (0.1, 0.2, 100)],  # adjoining
        [(-10.0, 0.1, 101), (-0.3, 0.05, 100)],  # overlapping by three spacings of six
        [(-10.0, 0.1, 101), (-5.0, 0.1, 40)],  # one in the other
        [(-10.0, 0.1, 101), (-5.0, 0.1, 100), (-2.0, 0.1, 100)],  # three at one energy
        [(-10.0, 0.1, 1), (5.0, 0.1, 100)],
    ],
)
def test_parts_that_neither_lie_apart_nor_overlap_enough_are_refused(windows: list[tuple[float, float, int]]) -> None:
    with pytest.raises(
        GridError, match=r"eV or more apart, or overlapping by|2 levels or more|no more than two overlap|none inside"
    ):
        EnergyGrid.of_parts(windows)


def test_samples_of_parts_need_the_number_of_each() -> None:
    again = EnergyGrid.from_values(PARTS.values, "gaussian", 0.2, [20, 150])
    np.testing.assert_allclose(again.values, PARTS.values, rtol=0, atol=1e-13)
    with pytest.raises(GridError, match=r"not equidistant.*energy_parts"):
        EnergyGrid.from_values(PARTS.values)
    # A selection of one part's levels is an axis by itself; one that reaches over the gap is none.
    assert EnergyGrid.from_values(PARTS.values[20:], parts=[20, 150]).levels == 150
    # Of two levels nothing would tell that a gap lies between them.
    for some in (PARTS.values[10:], PARTS.values[19:21], PARTS.values[30:40]):
        with pytest.raises(GridError, match="all energies, or all of one part"):
            EnergyGrid.from_values(some, parts=[20, 150])


def test_levels_that_are_no_whole_number_are_refused() -> None:
    wrong = [lambda: EnergyGrid(0, 0.1, 5.7), lambda: EnergyGrid.of_parts([(-52, 0.2, 20.5), (-6, 0.1, 150)])]  # type: ignore[arg-type]
    for grid in wrong:
        with pytest.raises(GridError, match="a whole number of levels"):
            grid()
    assert EnergyGrid(0, 0.1, np.float64(5)).levels == 5  # type: ignore[arg-type]


def test_weights_count_each_part_by_its_spacing_and_nothing_in_the_gap() -> None:
    np.testing.assert_allclose(PARTS.weights(), np.repeat([0.2, 0.1], [20, 150]), rtol=1e-12)
    np.testing.assert_array_equal(PARTS.weights(-47.9, -6.2), 0.0)
    samples = np.random.default_rng(0).uniform(0, 1, 150)
    inside = PARTS.parts[1].weights(-1.03, 2.22) @ samples
    exact = quad(lambda e: np.interp(e, PARTS.values[20:], samples), -1.03, 2.22, points=PARTS.values[70:103])[0]
    assert inside == pytest.approx(exact, rel=1e-9)
    np.testing.assert_allclose(PARTS.weights(high=-20.0) + PARTS.weights(low=-20.0), PARTS.weights(), rtol=1e-12)


OVERLAPPING = EnergyGrid.of_parts([(-9.03, 0.25, 43), (-1.0, 0.1, 130)], "gaussian", 0.25)
"""A coarse part up to 1.47 eV, and a fine one from −1 eV on."""


def test_shares_of_an_overlap_sum_to_one_at_every_energy() -> None:
    assert OVERLAPPING.gaps == [] and np.all(PARTS.shares == 1)
    below, above = np.split(OVERLAPPING.shares, [43])
    low, high = (part.values for part in OVERLAPPING.parts)
    assert np.all(below[low < -1] == 1) and np.all(above[high > 1.48] == 1) and above[0] == 0 and below[-1] == 0
    dense = EnergyGrid.of_parts([(-9.03, 0.0005, 19501), (-1.0, 0.0005, 13000)])
    low, high = (part.values for part in dense.parts)
    below, above = np.split(dense.shares, [19501])
    np.testing.assert_allclose(below[low > -1] + np.interp(low[low > -1], high, above), 1, atol=1e-6)


@pytest.mark.parametrize(("spacing", "error"), [(0.25, 4e-4), (0.125, 1e-5)])
def test_a_level_counts_once_wherever_it_lies_in_an_overlap(spacing: float, error: float) -> None:
    """δ is 0.25 eV; 6 spacings of 0.25 eV overlap, the least that is taken."""
    grid = EnergyGrid.of_parts([(-9.0, spacing, round(9.5 / spacing) + 1), (-1.0, 0.1, 130)], "gaussian", 0.25)
    at = np.linspace(-3, 3, 601)
    d = np.exp(-(((grid.values[:, None] - at) / 0.25) ** 2)) / (np.sqrt(np.pi) * 0.25)
    np.testing.assert_allclose(grid.weights() @ d, 1, atol=error)
    assert (grid.weights() @ d).mean() == pytest.approx(1, abs=error / 20)
    halves = grid.weights(high=-0.4) + grid.weights(low=-0.4)
    np.testing.assert_allclose(halves, grid.weights(), rtol=1e-12, atol=1e-15)
