"""Adjoints of moments and norms: derivatives by the neighbours' places and by the moments, and the virial."""

from __future__ import annotations

import numpy as np
import pytest

from maladist.arrays import AnyArray
from maladist.descriptors.bispectrum.su2 import components
from maladist.descriptors.bispectrum.su2_moments import NEIGHBOURS, moment_places, moments, norms, powers, powers_size
from maladist.descriptors.bispectrum.su2_moments_adjoint import (
    contractions,
    fold,
    gradients,
    norms_adjoint,
    pair_size,
    unit_powers,
)
from tests.descriptors.compiled.interpreted import LANES, run

CUTOFF = 4.0


@pytest.mark.parametrize("twojmax", [0, 1, 4, 7])
def test_norms_adjoint_is_the_derivative_of_the_norms(twojmax: int) -> None:
    """By a complex step, which has no error of its own."""
    rng = np.random.default_rng(twojmax)
    m, direction = rng.normal(size=(2, len(moment_places(twojmax)), LANES))
    k = rng.normal(size=(len(components(twojmax)), LANES))
    of_norms, by_m = np.zeros(k.shape, complex), np.empty(m.shape)
    run(norms, twojmax, m + 1e-30j * direction, of_norms)
    run(norms_adjoint, twojmax, m, by_m, k)
    np.testing.assert_allclose((by_m * direction).sum(axis=0), (k * of_norms).sum(axis=0).imag / 1e-30, rtol=1e-11)


def sums(twojmax: int, near: AnyArray, map_: AnyArray) -> AnyArray:
    """Moments of `NEIGHBOURS` neighbours."""
    buffer = np.empty((NEIGHBOURS * powers_size(twojmax), LANES))
    found = np.zeros((len(moment_places(twojmax)), LANES))
    run(powers, twojmax, near, buffer, map_)
    run(moments, twojmax, buffer, found)
    return found


@pytest.mark.parametrize("twojmax", [0, 1, 5])
@pytest.mark.parametrize(("rmin0", "rfac0", "switch"), [(0.0, 1.0, 1.0), (0.6, 0.99363, 1.0), (0.3, 0.7, 0.0)])
def test_gradients_are_those_of_the_moments_by_the_neighbours_and_the_virial_their_sum(
    twojmax: int, rmin0: float, rfac0: float, switch: float
) -> None:
    """Central differences of 1e-5 Å: off by 1e-10 of the numbers, and by 1e-11 of rounding."""
    rng = np.random.default_rng(twojmax)
    vectors = rng.normal(size=(NEIGHBOURS, 3, LANES))
    vectors *= rng.uniform(0.8, CUTOFF - 0.1, (NEIGHBOURS, 1, LANES)) / np.linalg.norm(vectors, axis=1, keepdims=True)
    near = np.concatenate([vectors, rng.uniform(-1, 2, (NEIGHBOURS, 1, LANES))], axis=1)
    map_ = np.array([rmin0, 1 / (CUTOFF - rmin0), rfac0, switch])
    by_m = rng.normal(size=(len(moment_places(twojmax)), LANES))

    pairs = np.zeros((NEIGHBOURS * pair_size(twojmax) + 9, LANES))
    pairs[-9:] = 3.0  # of the neighbours before
    folded = by_m.copy()
    run(unit_powers, twojmax, near, pairs, map_)
    run(fold, twojmax, folded)
    run(contractions, twojmax, pairs, folded)
    run(gradients, twojmax, near, pairs, map_)
    found = pairs[:-9].reshape(NEIGHBOURS, -1, LANES)[:, :3]

    wanted = np.empty(found.shape)
    for i, axis in np.ndindex(NEIGHBOURS, 3):
        step = np.zeros(near.shape)
        step[i, axis] = 1e-5
        there, here = (sums(twojmax, near + sign * step, map_) for sign in (1, -1))
        wanted[i, axis] = (by_m * (there - here)).sum(axis=0) / 2e-5
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-8 * max(1.0, np.abs(wanted).max()))
    virial = np.einsum("kal,kbl->abl", found, vectors).reshape(9, LANES)
    np.testing.assert_allclose(pairs[-9:] - 3.0, virial, rtol=0, atol=1e-12 * max(1.0, np.abs(virial).max()))
