"""What a first pass gives: the weights that are wanted of an LDOS, and whether what was kept of it holds them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from maladist import LDOSModel
from maladist.energy_grid import EnergyGrid
from maladist.learning.network import FeedForward
from maladist.learning.scaling import Scaler
from maladist.physics.fermi import fermi_states, window_modes
from maladist.physics.forces import density_slopes
from maladist.prediction.setup import Setup, setup
from maladist.prediction.spectrum import Spectrum
from maladist.prediction.tally import Tally
from maladist.testing import be_atoms, tiny_model, with_density_channel

GRID, T0 = (8, 9, 12), 2000.0


def solved(model: LDOSModel, **options: Any) -> tuple[Spectrum, Setup]:
    """A spectrum of a rising D(ε)."""
    ready = setup(be_atoms(), model, grid=GRID, **options)
    energies = ready.model.energy_grid
    dos = torch.linspace(0.2, 2.0, energies.levels, dtype=torch.float64)
    return Spectrum(Tally.zero(energies.levels), fermi_states(dos, energies, ready.system), []), ready


def window(found: Spectrum, ready: Setup, below: float, above: float) -> np.ndarray:
    """Basis of the weights over a window of μ around that of the first temperature."""
    mu, system = found.states[0].fermi_energy, ready.system
    temperatures = system.solved_temperatures
    energies = ready.model.energy_grid
    return window_modes(energies, temperatures, mu + below, mu + above, correction=system.correction).numpy()


def test_without_a_density_channel_the_weights_are_those_of_n_at_each_temperature() -> None:
    found, ready = solved(tiny_model(), temperature=[3000.0, 6000.0])
    wanted = [state.weights.number.numpy() for state in found.states]
    assert len(wanted) == 3  # n₀ is at 2000 K
    np.testing.assert_array_equal(found.weights(ready), wanted)


def test_with_a_density_channel_only_the_change_from_its_temperature_is_of_the_ldos() -> None:
    found, ready = solved(with_density_channel(tiny_model()), temperature=[T0, 6000.0])
    at_t0, hot = found.weights(ready)
    assert not at_t0.any()
    rows = [state.weights.number.numpy() for state in found.states]
    np.testing.assert_array_equal(hot, rows[1] - rows[0])


@pytest.mark.parametrize("channel", [False, True])
@pytest.mark.parametrize("forces", [False, True])
def test_slopes_are_wanted_for_forces_of_a_density_that_moves_with_the_fermi_level(channel: bool, forces: bool) -> None:
    model = with_density_channel(tiny_model()) if channel else tiny_model()
    found, ready = solved(model, forces=forces)
    slopes = found.slopes(ready)
    if forces and not channel:
        np.testing.assert_array_equal(slopes, density_slopes(found.states, ready.model.energy_grid, ready.system)[None])
    else:
        assert slopes.shape == (0, ready.model.energy_grid.levels)


@pytest.mark.parametrize("forces", [False, True])
def test_a_basis_for_this_fermi_level_is_orthonormal_and_lacks_nothing(forces: bool) -> None:
    found, ready = solved(tiny_model(), temperature=[3000.0, 6000.0], forces=forces)
    basis = found.basis(ready)
    assert basis.shape == (ready.model.energy_grid.levels, 3 + forces)
    np.testing.assert_allclose(basis.T @ basis, np.eye(3 + forces), atol=1e-12)
    assert found.lacks(basis, ready) is None


def test_a_window_holds_weights_and_slopes_inside_of_it_and_is_told_where_it_does_not() -> None:
    found, ready = solved(tiny_model(), forces=True)
    assert found.lacks(window(found, ready, -0.2, 0.2), ready) is None
    said = found.lacks(window(found, ready, 0.5, 0.6), ready)
    assert said is not None and "Fermi level lies outside" in said


def test_a_basis_for_the_weights_alone_serves_without_forces_and_not_with_them() -> None:
    found, ready = solved(tiny_model(), forces=True)
    without = replace(ready, forces=False)
    basis = found.basis(without)
    assert found.lacks(basis, without) is None
    said = found.lacks(basis, ready)
    assert said is not None and "forces need more" in said


def test_a_model_of_the_density_alone_wants_nothing_of_an_ldos() -> None:
    model = tiny_model()
    scaler = Scaler("standard", False, torch.full((1,), 0.25).double(), torch.full((1,), 0.05).double())
    network = FeedForward([model.descriptor.n_features, 1], ["Tanh"])
    alone = replace(
        model, network=network, density_scaler=scaler, output_scaler=Scaler(), energy_grid=EnergyGrid(0.0, 1.0, 0)
    )
    ready = setup(be_atoms(), alone, grid=GRID)
    found = Spectrum(Tally.zero(0), [], [])
    assert found.weights(ready).shape == (1, 0) and found.lacks(np.empty((0, 0)), ready) is None
