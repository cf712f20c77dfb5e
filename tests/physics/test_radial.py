"""Radial functions in reciprocal space: a closed form, the mesh's end, polynomials in place of the sums."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from maladist.physics.radial import LARGEST_RADIUS, interpolated, radial_transform

R = 1e-4 * np.exp(0.01 * np.arange(1201))  # ends beyond 10 bohr


@pytest.mark.parametrize("n", [1201, 1200])
def test_the_transform_of_a_gaussian_is_a_gaussian(n: int) -> None:
    r, g = R[:n], np.linspace(0, 15, 40)
    values = np.exp(-(r**2) / (2 * 0.3**2)) / (2 * np.pi * 0.3**2) ** 1.5
    found = radial_transform(r, 0.01 * r, values, g)
    np.testing.assert_allclose(found, np.exp(-(0.3**2) * g**2 / 2), rtol=0, atol=1e-8)  # Simpson on 1 % steps


def test_the_mesh_beyond_ten_bohr_does_not_count() -> None:
    values = np.exp(-R)
    spoiled = np.where(R > 1.02 * LARGEST_RADIUS, 1e3, values)
    assert radial_transform(R, 0.01 * R, spoiled, [3.0]) == radial_transform(R, 0.01 * R, values, [3.0])


def test_polynomials_stand_for_the_transform() -> None:
    def form(g: np.ndarray) -> np.ndarray:
        return radial_transform(R, 0.01 * R, np.exp(-R), g)

    g = torch.linspace(0, 12, 137, dtype=torch.float64)
    exact = form(g.numpy())
    np.testing.assert_allclose(interpolated(form, g, 12.0), exact, rtol=0, atol=1e-12 * exact.max())
