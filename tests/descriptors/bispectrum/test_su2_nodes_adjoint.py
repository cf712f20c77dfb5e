"""Adjoints of the stages on the nodes: transposes of what is linear, the derivative of the products."""

from __future__ import annotations

import numpy as np
import pytest

from maladist.descriptors.bispectrum.su2 import components
from maladist.descriptors.bispectrum.su2_moments import moment_places
from maladist.descriptors.bispectrum.su2_nodes import circle, h_places, n_angles, products, sphere, sphere_terms
from maladist.descriptors.bispectrum.su2_nodes_adjoint import PAIRS, circle_adjoint, products_adjoint, sphere_adjoint
from tests.descriptors.compiled.interpreted import LANES, run

TWOJMAX = [1, 2, 5, 8]


@pytest.mark.parametrize("twojmax", TWOJMAX)
def test_products_adjoint_is_the_derivative_of_the_products(twojmax: int) -> None:
    """By a complex step, which has no error of its own."""
    rng = np.random.default_rng(twojmax)
    f, direction = rng.normal(size=(2, 2 * n_angles(twojmax), twojmax + 1, LANES))
    k = rng.normal(size=(len(components(twojmax)), LANES))
    sums = np.zeros(k.shape, complex)
    run(products, twojmax, f + 1e-30j * direction, sums)
    wanted = (k * sums).sum(axis=0).imag / 1e-30
    by_f = f.copy()
    run(products_adjoint, twojmax, k, by_f)
    np.testing.assert_array_equal(by_f[:, 0], f[:, 0])  # f_0 is in no product
    np.testing.assert_allclose((by_f * direction)[:, 1:].sum(axis=(0, 1)), wanted, rtol=1e-11)


@pytest.mark.parametrize("twojmax", TWOJMAX)
def test_circle_adjoint_is_the_transpose_of_circle(twojmax: int) -> None:
    rng, places = np.random.default_rng(twojmax), h_places(twojmax)
    h, by_f = rng.normal(size=(2, len(places), LANES)), rng.normal(size=(2, n_angles(twojmax), twojmax + 1, LANES))
    f, by_h = np.empty(by_f.shape), np.full(h.shape, 7.0)
    run(circle, twojmax, h, f)
    run(circle_adjoint, twojmax, by_f, by_h)
    rows = [place for (n, *_), place in places.items() if n]
    assert (by_h[:, places[0, 0, 0]] == 7.0).all()  # nothing there is for n = 0
    np.testing.assert_allclose(
        (by_h * h)[:, rows].sum(axis=(0, 1)), (by_f * f)[:, :, 1:].sum(axis=(0, 1, 2)), rtol=1e-12
    )


@pytest.mark.parametrize("twojmax", TWOJMAX)
def test_sphere_adjoint_is_the_transpose_of_sphere_over_several_pairs_and_adds(twojmax: int) -> None:
    rng, places = np.random.default_rng(twojmax), h_places(twojmax)
    constants = rng.normal(size=(2 * PAIRS, 2 * len(sphere_terms(twojmax))))
    moments, before = rng.normal(size=(2, len(moment_places(twojmax)), LANES))
    by_h = rng.normal(size=(PAIRS, 2, len(places), LANES))
    h, by_moments, first = np.empty(by_h.shape), before.copy(), PAIRS * constants.shape[1]
    for i in range(PAIRS):
        run(sphere, twojmax, moments, h[i], constants, first=first + i * constants.shape[1])
    run(sphere_adjoint, twojmax, by_h, by_moments, constants, first=first)
    rows = [place for (n, *_), place in places.items() if n]
    columns = [place for (n, *_), place in moment_places(twojmax).items() if n]
    np.testing.assert_allclose(
        ((by_moments - before) * moments)[columns].sum(axis=0), (by_h * h)[:, :, rows].sum(axis=(0, 1, 2)), rtol=1e-11
    )
