"""The physics runs on any one device: a line that mixes devices fails here without a GPU.

The other device is 'meta' under FakeTensorMode, which refuses mixtures as a real one does. (Fake CUDA tensors abort in
autograd where torch is built without CUDA.)
"""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from maladist.energy_grid import EnergyGrid
from maladist.grid import Grid
from maladist.physics import ldos
from maladist.physics.fermi_weights import fermi_weights
from maladist.physics.functionals import derivatives, energy_density
from maladist.physics.hartree import hartree_energy, hartree_potential
from maladist.physics.xc import xc_energy, xc_potential

GRID = Grid([[3.0, 0.2, 0.0], [-1.1, 2.7, 0.3], [0.4, 0.9, 4.1]], (6, 5, 8))
OTHER = "meta"
ENERGIES = EnergyGrid(-5.0, 0.1, 20, "gaussian", 0.1)


def field(*shape: int) -> torch.Tensor:
    return torch.empty(shape, dtype=torch.float64, device=OTHER)


def test_the_guard_itself_sees_a_mixture_of_devices() -> None:
    with FakeTensorMode(allow_non_fake_inputs=True), pytest.raises(RuntimeError, match="device"):
        field(3) + torch.ones(3)


@pytest.mark.parametrize("temperature", [300.0, 1e4])
def test_fermi_weights_density_and_dos_stay_on_their_device(temperature: float) -> None:
    with FakeTensorMode(allow_non_fake_inputs=True):
        mu = torch.zeros((), dtype=torch.float64, device=OTHER)
        weights = fermi_weights(ENERGIES, mu, temperature, correction=True)
        by_name = fermi_weights(ENERGIES, 0.0, temperature, correction=True, device=OTHER)
        d = torch.empty((6, 5, 8, 20), dtype=torch.float32, device=OTHER)
        results = [*weights, *by_name, ldos.density(d, weights.number), ldos.dos(d, 1.0)]
    assert {r.device.type for r in results} == {OTHER}
    assert {r.dtype for r in results} == {torch.float64}


@pytest.mark.parametrize("functional", ["pbe", "pw92", "pz"])
def test_hartree_and_xc_stay_on_their_device(functional: str) -> None:
    with FakeTensorMode(allow_non_fake_inputs=True):
        n = field(6, 5, 8)
        d = derivatives(functional, n, n)  # type: ignore[arg-type]
        results = [
            hartree_energy(n, GRID),
            hartree_potential(n, GRID),
            energy_density(functional, n, n),  # type: ignore[arg-type]
            xc_energy(n, GRID, functional, 300.0),  # type: ignore[arg-type]
            xc_potential(n, GRID, functional, 300.0),  # type: ignore[arg-type]
            d.by_density,
        ]
    assert {r.device.type for r in results} == {OTHER}
    assert {r.dtype for r in results} == {torch.float64}
