import math

import numpy as np
import pytest
import torch

from maladist import EnergyGrid
from maladist.errors import InputError
from maladist.physics.energy_zero import resampling, zero_of_energy

GRID = EnergyGrid(-6.0, 0.2, 95, "gaussian", 0.4)


def broadened(levels, energies):
    """States at `levels` broadened with GRID's Gaussian, at `energies`."""
    x = (np.asarray(energies)[None] - np.asarray(levels)[:, None]) / GRID.width
    return np.exp(-(x**2)).sum(0) / (math.sqrt(math.pi) * GRID.width)


def test_zero_of_energy_counts_every_atom():
    assert zero_of_energy({"Be": 70.0, "Al": 30.0}, ["Be", "Be", "Al"], 20.0) == pytest.approx(8.5, abs=1e-15)
    assert zero_of_energy({}, ["Be"], 8.0) == 0.0


def test_zero_of_energy_names_an_element_without_coefficient():
    with pytest.raises(InputError, match="Al"):
        zero_of_energy({"Be": 70.0}, ["Be", "Al"], 20.0)


@pytest.mark.parametrize("shift", [0.0, 0.2, -0.0731, 0.5123, -0.9])
def test_resampling_gives_the_samples_of_shifted_states(shift):
    states = [-1.3, 0.17, 2.9, 3.05, 6.6]
    target = EnergyGrid(GRID.origin + shift, 0.2, 95, "gaussian", 0.4)
    got = broadened(states, GRID.values) @ resampling(GRID, target).numpy()
    # the spline's own error for a Gaussian of two spacings
    np.testing.assert_allclose(got, broadened(states, target.values), atol=1e-4 * broadened([0.0], [0.0])[0])


def test_resampling_to_the_same_grid_changes_no_bit():
    values = torch.rand(3, 95, dtype=torch.float64)
    assert torch.equal(values @ resampling(GRID, GRID), values)


def test_resampling_refuses_another_spacing():
    with pytest.raises(InputError, match="spacing"):
        resampling(GRID, EnergyGrid(-6.0, 0.1, 190, "gaussian", 0.4))
