"""Adjoint stages of the compiled power spectrum, run at once on numpy's arrays, against complex steps of the others."""

from __future__ import annotations

import numpy as np
import pytest

from maladist.arrays import AnyArray
from maladist.descriptors.power_spectrum.spec import n_features
from maladist.descriptors.power_spectrum.stages import (
    NEIGHBOURS,
    encode,
    functions,
    functions_size,
    moment_places,
    moments,
    products,
)
from maladist.descriptors.power_spectrum.stages_adjoint import (
    Places,
    contractions,
    functions_and_slopes,
    gradients,
    products_adjoint,
)
from tests.descriptors.compiled.interpreted import LANES, run
from tests.descriptors.power_spectrum.test_stages import CUTOFF, neighbours

STEP = 1e-30  # of a complex step, whose error is its square
SCALE = np.array([1 / CUTOFF])


def forward(radial: tuple[int, ...], near: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Moments and features of some neighbours."""
    order, dtype = encode(radial), near.dtype
    of_pairs = np.empty((NEIGHBOURS * functions_size(radial), LANES), dtype)
    sums, found = np.zeros((len(moment_places(radial)), LANES), dtype), np.empty((n_features(radial), LANES), dtype)
    run(functions, order, near, of_pairs, SCALE)
    run(moments, order, of_pairs, sums)
    run(products, order, sums, found)
    return sums, found


@pytest.mark.parametrize("radial", [(5, 3, 1, 2), (1,), (1, 1), (2, 4)])
def test_gradients_and_virial_are_derivatives_of_the_features(radial: tuple[int, ...]) -> None:
    near, order, at = neighbours(), encode(radial), Places.of(radial)
    c = np.random.default_rng(1).normal(size=(n_features(radial), LANES))
    sums, _ = forward(radial, near)
    by_sums, pairs = np.empty_like(sums), np.zeros((NEIGHBOURS * at.size + 9, LANES))
    run(products_adjoint, order, sums, by_sums, c)
    run(functions_and_slopes, order, near, pairs, SCALE)
    run(contractions, order, by_sums, pairs)
    run(gradients, order, near, pairs, SCALE)
    found = pairs[: NEIGHBOURS * at.size].reshape(NEIGHBOURS, at.size, LANES)[:, :3]
    expected = np.zeros_like(found)
    for i in range(NEIGHBOURS - 1):  # the last one is beyond the cutoff
        for axis in range(3):
            moved = near.astype(complex)
            moved[4 * i + axis] += STEP * 1j
            expected[i, axis] = (c * forward(radial, moved)[1].imag).sum(axis=0) / STEP
    np.testing.assert_allclose(found, expected, atol=1e-12 * np.abs(expected).max())
    vectors = near.reshape(NEIGHBOURS, 4, LANES)[:, :3]
    np.testing.assert_allclose(pairs[-9:].reshape(3, 3, LANES), np.einsum("ial,ibl->abl", found, vectors), atol=1e-12)
