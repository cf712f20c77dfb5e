from __future__ import annotations

import numpy as np
import pytest
import torch

from maladist.grid import Grid
from maladist.physics.reciprocal import ReciprocalSlab, half_shape
from maladist.physics.structure_factor import structure_factors

CELL = [[3.0, 0.2, 0.0], [-1.1, 2.7, 0.3], [0.4, 0.9, 4.1]]
POSITIONS = torch.from_numpy(np.random.default_rng(0).uniform(-6, 9, (7, 3)))  # also outside of the cell
WEIGHTS = torch.from_numpy(np.random.default_rng(1).uniform(1, 3, 7))


def direct(positions: torch.Tensor, weights: torch.Tensor, slab: ReciprocalSlab) -> torch.Tensor:
    g = torch.stack([slab.component(axis) for axis in range(3)], dim=-1)
    phase = g @ positions.T
    return (torch.complex(torch.cos(phase), -torch.sin(phase)) * weights).sum(-1)


@pytest.mark.parametrize("shape", [(6, 5, 8), (5, 6, 7), (1, 2, 3), (20, 18, 15), (4, 31, 6)])
def test_structure_factors_are_the_direct_sums(shape: tuple[int, int, int]) -> None:
    slab = ReciprocalSlab.whole(Grid(CELL, shape))
    error = structure_factors(POSITIONS, WEIGHTS, slab) - direct(POSITIONS, WEIGHTS, slab)
    assert float(error.abs().max()) < 3e-11  # twice 1e-12 of Σ|q| = 14: what the transform is off, measured


def test_any_slab_is_cut_out_of_the_whole() -> None:
    grid = Grid(CELL, (6, 5, 8))
    whole = structure_factors(POSITIONS, WEIGHTS, ReciprocalSlab.whole(grid))
    nx, ny, nz = half_shape(grid)
    for start, stop in [
        ((0, 0, 0), (nx, 1, nz)),
        ((2, 1, 1), (5, 4, 3)),
        ((4, 0, 0), (nx, ny, nz)),
        ((3, 2, 4), (4, 3, 5)),
    ]:
        part = structure_factors(POSITIONS, WEIGHTS, ReciprocalSlab(grid, start, stop))
        cut = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        torch.testing.assert_close(part, whole[cut], rtol=0, atol=2e-11)


@pytest.mark.parametrize(("shape", "stop"), [((6, 5, 8), (6, 4, 5)), ((6, 31, 8), (6, 29, 5))], ids=["thin", "thick"])
def test_derivatives_are_those_of_the_direct_sums(shape: tuple[int, int, int], stop: tuple[int, int, int]) -> None:
    slab = ReciprocalSlab(Grid(CELL, shape), (1, 0, 0), stop)
    coefficient = torch.rand(slab.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gradients = []
    for sums in (structure_factors, direct):
        r, q = POSITIONS.clone().requires_grad_(), WEIGHTS.clone().requires_grad_()
        s = sums(r, q, slab)
        value = (coefficient * (s.real**2 + s.imag**2) + s.real - 2 * s.imag).sum()
        gradients.append(torch.autograd.grad(value, (r, q)))
    for ours, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-10, atol=1e-8)
