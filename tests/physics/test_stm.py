"""The window's integral of the piecewise linear LDOS, and exponentials between planes of a grid: all exact."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from maladist.energy_grid import EnergyGrid
from maladist.errors import EnergyWindowError, InputError
from maladist.physics.stm import between, depth_of, window_weights

GRID = EnergyGrid(-2.0, 0.25, 17)  # to 2 eV


@pytest.mark.parametrize(("mu", "bias"), [(0.1, 0.8), (0.1, 0.03), (0.25, -0.5), (-2.0, 4.0), (2.0, -0.1)])
def test_the_integral_is_that_of_the_piecewise_linear_function(mu: float, bias: float) -> None:
    samples = np.random.default_rng(0).uniform(0, 1, 17)
    low, high = sorted((mu, mu + bias))
    breaks = [e for e in GRID.values if low < e < high]
    exact = quad(lambda e: np.interp(e, GRID.values, samples), low, high, points=breaks or None, epsabs=1e-13)[0]
    assert window_weights(GRID, mu, bias) @ samples == pytest.approx(exact, abs=1e-12)


def test_a_window_beyond_the_energies_is_refused() -> None:
    with pytest.raises(EnergyWindowError, match=r"1\.500 to 2\.500 eV; wanted one within .* -2\.000 to 2\.000 eV"):
        window_weights(GRID, 1.5, 1.0)
    for bias in (0.0, float("nan")):
        with pytest.raises(InputError, match="other than zero"):
            window_weights(GRID, 0.0, bias)


def test_a_window_within_one_part_is_that_parts_and_one_over_a_gap_is_refused() -> None:
    parts = EnergyGrid.of_parts([(-30.0, 0.5, 9), (-2.0, 0.25, 17)])
    weights = window_weights(parts, 0.1, 0.8)
    np.testing.assert_array_equal(weights[:9], 0)
    np.testing.assert_array_equal(weights[9:], window_weights(GRID, 0.1, 0.8))
    with pytest.raises(EnergyWindowError, match=r"not reach into the gap of the energies, -26\.000 to -2\.000 eV"):
        window_weights(parts, -1.5, -1.0)


def test_an_exponential_is_met_exactly_between_planes() -> None:
    z = np.arange(12) * 0.3
    columns = np.exp(2.1 * z)[None] * np.array([[1e-5], [3e-6]])  # grows from the vacuum inwards
    np.testing.assert_allclose(between(columns[:, 4], columns[:, 5], 0.37), np.exp(2.1 * 4.37 * 0.3) * columns[:, 0])
    current = 4e-4
    depth, outer, inner = depth_of(current, columns)
    np.testing.assert_allclose(depth * 0.3, np.log(current / columns[:, 0]) / 2.1, rtol=1e-12)
    np.testing.assert_array_equal((outer, inner), (columns[:, 0], columns[:, -1]))


def test_the_first_surface_counts_and_columns_without_one_have_none() -> None:
    rising_twice = np.array([[1e-6, 1e-4, 1e-6, 1e-2], [1e-3, 1.0, 1.0, 1.0], [0.0, -1e-9, 0.0, 1e-9], [0.0, 0, 1, 1]])
    depth = depth_of(1e-5, rising_twice)[0]
    assert depth[0] == pytest.approx(0.5) and np.isnan(depth[1]) and np.isnan(depth[2])
    assert 1.9 < depth[3] < 2.0  # of nothing at the plane before: next to the first that has something
