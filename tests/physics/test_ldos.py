from __future__ import annotations

import torch

from maladist.physics.ldos import density, dos

LDOS = torch.rand((7, 5, 3, 11), generator=torch.Generator().manual_seed(0), dtype=torch.float32)
WEIGHTS = torch.linspace(1, 2, 11, dtype=torch.float64)


def test_density_of_float32_is_summed_in_float64() -> None:
    n = density(LDOS, WEIGHTS)
    assert n.dtype == torch.float64
    torch.testing.assert_close(n, torch.einsum("xyze,e->xyz", LDOS.double(), WEIGHTS), rtol=1e-14, atol=0)


def test_density_with_several_weights_adds_an_axis() -> None:
    basis = torch.stack([WEIGHTS, WEIGHTS**2], dim=1)
    both = density(LDOS, basis)
    assert both.shape == (7, 5, 3, 2)
    torch.testing.assert_close(both[..., 1], density(LDOS, WEIGHTS**2), rtol=1e-14, atol=0)


def test_dos_is_the_sum_over_points_times_their_volume() -> None:
    d = dos(LDOS, 0.25)
    assert d.dtype == torch.float64
    torch.testing.assert_close(d, LDOS.double().sum((0, 1, 2)) / 4, rtol=1e-14, atol=0)


def test_more_points_than_a_batch_holds_give_the_same() -> None:
    many = LDOS[0, 0, :1].expand(200_000, 11)
    torch.testing.assert_close(dos(many, 1.0), many[0].double() * 200_000, rtol=1e-12, atol=0)
    assert density(many, WEIGHTS).unique().numel() == 1
    assert density(many, WEIGHTS).shape == (200_000,)


def test_both_are_differentiable_in_the_ldos() -> None:
    x = LDOS.clone().requires_grad_()
    (density(x, WEIGHTS).sum() + dos(x, 0.5).sum()).backward()
    torch.testing.assert_close(x.grad, (WEIGHTS + 0.5).float().expand_as(x))
