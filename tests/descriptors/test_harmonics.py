"""Recurrences against scipy's special functions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import eval_gegenbauer, sph_harm_y

from maladist.descriptors.harmonics import gegenbauer, solid_gradient, solid_harmonics


def test_solid_harmonics_are_the_real_spherical_harmonics_times_r_to_the_l() -> None:
    rng = np.random.default_rng(0)
    x, y, z = rng.normal(size=(3, 50))
    r, phi = np.sqrt(x * x + y * y + z * z), np.arctan2(y, x)
    theta = np.arccos(z / r)
    table = solid_harmonics(x, y, z, 8)
    assert len(table) == 81
    for l in range(9):  # noqa: E741
        for m in range(-l, l + 1):
            complex_one = (-1) ** m * sph_harm_y(l, abs(m), theta, phi)  # without the Condon-Shortley phase
            part = complex_one.real if m >= 0 else complex_one.imag
            expected = r**l * part * (np.sqrt(2) if m else 1)
            np.testing.assert_allclose(table[l * l + l + m], expected, atol=1e-12 * np.abs(r**l).max())


@pytest.mark.parametrize("alpha", [1, 2, 7])
def test_gegenbauer_polynomials_agree_with_scipy(alpha: int) -> None:
    t = np.linspace(-1, 1, 41)
    for k, values in enumerate(gegenbauer(t, alpha, 10)):
        np.testing.assert_allclose(values, eval_gegenbauer(k, alpha, t), rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("k_max", [0, 1, 2])
def test_gegenbauer_gives_as_many_degrees_as_asked(k_max: int) -> None:
    assert len(gegenbauer(np.zeros(3), 1, k_max)) == k_max + 1


def test_solid_harmonics_are_smooth_at_the_origin() -> None:
    origin = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    torch.stack(solid_harmonics(*origin, 4)).sum().backward()
    assert torch.isfinite(origin.grad).all()


def test_gradients_of_solid_harmonics_are_sums_of_those_of_one_degree_less() -> None:
    x = torch.tensor([0.3, -1.1, 0.7], dtype=torch.float64, requires_grad=True)
    table = solid_harmonics(*x, 6)
    values = [float(t.detach()) for t in table]
    for l in range(1, 7):  # noqa: E741
        for m in range(-l, l + 1):
            (expected,) = torch.autograd.grad(table[l * l + l + m], x, retain_graph=True)
            found = [sum(factor * values[l * l - l + k] for factor, k in terms) for terms in solid_gradient(l, m)]
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    assert solid_gradient(0, 0) == ([], [], [])
