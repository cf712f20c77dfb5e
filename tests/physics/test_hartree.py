from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from maladist.grid import Grid
from maladist.physics.hartree import hartree_energy, hartree_energy_of, hartree_potential
from maladist.physics.reciprocal import ReciprocalSlab, to_reciprocal
from maladist.units import COULOMB

GRID = Grid([[3.0, 0.2, 0.0], [-1.1, 2.7, 0.3], [0.4, 0.9, 4.1]], (6, 5, 8))
DENSITY = torch.rand(GRID.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_a_cosine_has_the_energy_of_its_two_coefficients(device: str) -> None:
    """n = n₀ + a cos(G·r): E_H = 2π e² Ω · 2 (a/2)²/G²."""
    g = GRID.reciprocal[0] + GRID.reciprocal[1]
    n = 0.3 + 0.1 * torch.cos(torch.from_numpy(GRID.points() @ g)).reshape(GRID.shape).to(device)
    wanted = math.pi * COULOMB * GRID.volume * 0.1**2 / float(g @ g)
    assert float(hartree_energy(n, GRID)) == pytest.approx(wanted, rel=1e-12)


def test_gaussian_charges_far_apart_have_their_own_energy() -> None:
    """A Gaussian of width σ has the energy e²/(2√π σ); its images in a cubic cell add −2.837297/2L and 2πσ²/Ω."""
    length, sigma = 12.0, 0.8
    grid = Grid((length * np.eye(3)).tolist(), (48, 48, 48))
    r = grid.points()
    r -= length * np.round(r / length)
    n = torch.from_numpy(np.exp(-(r**2).sum(1) / (2 * sigma**2)) / (2 * np.pi * sigma**2) ** 1.5).reshape(grid.shape)
    own = COULOMB / (2 * math.sqrt(math.pi) * sigma)
    images = COULOMB * (-2.837297479 / (2 * length) + 2 * math.pi * sigma**2 / length**3)
    assert float(hartree_energy(n, grid)) == pytest.approx(own + images, abs=1e-7)


def test_slabs_add_up_to_the_whole() -> None:
    n_g = to_reciprocal(DENSITY)
    parts = [((0, 0, 0), (6, 2, 5)), ((0, 2, 0), (6, 5, 5))]
    shares = [hartree_energy_of(n_g[:, a[1] : b[1]], ReciprocalSlab(GRID, a, b)) for a, b in parts]
    assert float(sum(shares)) == pytest.approx(float(hartree_energy(DENSITY, GRID)), rel=1e-14)


def test_the_potential_is_the_derivative_of_the_energy() -> None:
    n = DENSITY.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(hartree_energy(n, GRID), n)
    torch.testing.assert_close(gradient / GRID.voxel_volume, hartree_potential(DENSITY, GRID), rtol=0, atol=1e-12)
