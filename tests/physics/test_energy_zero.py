import math

import numpy as np
import pytest
import torch

from maladist import EnergyGrid
from maladist.errors import InputError
from maladist.physics.energy_zero import fit_energy_zero, relative_shifts, resampling, zero_of_energy

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


def test_parts_are_resampled_each_by_itself():
    source = EnergyGrid.of_parts([(-45.0, 0.18, 55), (-6.0, 0.2, 95)], "gaussian", 0.4)
    target, states = source.shifted(0.37), [-40.1, 2.9, 3.05, 6.6]
    got = broadened(states, source.values) @ resampling(source, target).numpy()
    np.testing.assert_allclose(got, broadened(states, target.values), atol=1e-4 * broadened([0.0], [0.0])[0])
    assert torch.equal(resampling(source, target)[55:, 55:], resampling(source.parts[1], target.parts[1]))
    with pytest.raises(InputError, match="spacing"):
        resampling(source, GRID)


def test_resampling_refuses_another_spacing():
    with pytest.raises(InputError, match="spacing"):
        resampling(GRID, EnergyGrid(-6.0, 0.1, 190, "gaussian", 0.4))


def spectra(shifts):
    """Band-like spectra of one shape, each moved by its shift."""
    states = np.concatenate([np.linspace(-3.0, 9.0, 40), np.linspace(-1.0, 9.0, 25)])
    return np.array([broadened(states + z, GRID.values) for z in shifts])


def test_relative_shifts_are_those_that_were_made():
    made = np.array([0.0, 0.31, -0.52, 0.07, 1.24, -0.9])
    # what the parabola through three shifts by 0.1 eV leaves
    np.testing.assert_allclose(relative_shifts(spectra(made), GRID.spacing), made - made.mean(), atol=1e-3)


def test_the_fit_finds_the_coefficients_behind_the_shifts():
    rng = np.random.default_rng(0)
    cells = [["Be"] * n + ["Al"] * m for n, m in [(8, 8), (4, 4), (8, 4), (4, 2), (8, 8), (16, 8), (6, 6), (12, 6)]]
    volumes = [8.0 * c.count("Be") * rng.uniform(0.94, 1.06) + 16.0 * c.count("Al") for c in cells]
    truth = {"Al": 30.0, "Be": 70.0}
    zeros = [zero_of_energy(truth, c, v) for c, v in zip(cells, volumes, strict=True)]
    dos = spectra(np.array(zeros) - 5.0) * np.array([[len(c)] for c in cells])
    found = fit_energy_zero(dos, GRID, cells, volumes)
    assert found == pytest.approx(truth, rel=0.1)  # two compositions tell the elements apart, not sharply


def test_elements_that_the_data_cannot_tell_apart_share_what_is_found():
    volumes = np.array([14.0, 14.5, 15.1, 15.4, 16.0])
    found = fit_energy_zero(2 * spectra(100.0 / volumes - 6.6), GRID, [["Si", "C"]] * 5, volumes)
    assert found["Si"] == pytest.approx(found["C"])
    assert found["Si"] + found["C"] == pytest.approx(100.0, rel=0.01)


@pytest.mark.parametrize(
    "volumes", [[8.0] * 5, [8.0, 8.00001, 7.99999, 8.0, 8.00002], [8.0, 8.4]], ids=["equal", "nearly", "two"]
)
def test_volumes_that_do_not_tell_are_refused(volumes):
    shifts = np.random.default_rng(1).normal(0, 0.05, len(volumes))
    with pytest.raises(InputError, match=r"energy_zero: 'fit' to .* wanted cells of different volumes"):
        fit_energy_zero(spectra(shifts), GRID, [["Be"]] * len(volumes), volumes)
