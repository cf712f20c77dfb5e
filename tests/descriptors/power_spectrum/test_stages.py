"""Stages of the compiled power spectrum, run at once on numpy's arrays, against its formulas."""

from __future__ import annotations

import numpy as np

from maladist.arrays import AnyArray
from maladist.descriptors.harmonics import solid_harmonics
from maladist.descriptors.power_spectrum.cpu import operations
from maladist.descriptors.power_spectrum.spec import PowerSpectrumSpec, n_features, pair_products
from maladist.descriptors.power_spectrum.stages import (
    NEIGHBOURS,
    blocks,
    decode,
    encode,
    functions,
    functions_size,
    moment_places,
    moments,
    products,
)
from tests.descriptors.compiled.interpreted import LANES, run

RADIAL = (5, 3, 1, 2)
CUTOFF = 3.5


def neighbours() -> AnyArray:
    """Vectors and weights as the stages take them, (4 · NEIGHBOURS, LANES); the last one is beyond the cutoff."""
    near = np.random.default_rng(0).uniform(-1.9, 1.9, (NEIGHBOURS, 4, LANES))
    near[:, 3] = 1.0
    near[-1, :3], near[-1, 3] = 90.0, 0.0
    return near.reshape(-1, LANES)


def of_pairs(near: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Radial functions and harmonics by their formulas, (functions, NEIGHBOURS, LANES)."""
    x, y, z, weight = near.reshape(NEIGHBOURS, 4, LANES).transpose(1, 0, 2)
    r = np.sqrt(x * x + y * y + z * z)
    t = np.pi * np.minimum(r / CUTOFF, 1)
    radial = [weight * 0.5 * (1 + np.cos(t)) * np.cos(n * t) for n in range(max(RADIAL))]
    return np.array(radial), np.array(solid_harmonics(*(np.sin(t) / r * a for a in (x, y, z)), len(RADIAL) - 1))


def test_functions_of_neighbours_are_their_formulas() -> None:
    near, found = neighbours(), np.empty((NEIGHBOURS, functions_size(RADIAL), LANES))
    run(functions, encode(RADIAL), near, found, np.array([1 / CUTOFF]))
    expected = np.concatenate(of_pairs(near)).transpose(1, 0, 2)
    np.testing.assert_allclose(found[:-1], expected[:-1], atol=1e-14)
    assert np.isfinite(found).all() and not found[-1, : max(RADIAL)].any()


def test_moments_add_up_and_features_are_their_products() -> None:
    near = neighbours()
    radial, harmonics = of_pairs(near)
    source = np.concatenate([radial, harmonics]).transpose(1, 0, 2).copy()
    places = moment_places(RADIAL)
    sums = np.ones((len(places), LANES))
    run(moments, encode(RADIAL), source, sums)
    m_nlm = {(d, m, n): (radial[n] * harmonics[d * d + d + m]).sum(axis=0) for d, m, n in places}
    np.testing.assert_allclose(sums, 1 + np.array([m_nlm[key] for key in places]), rtol=1e-13)
    found = np.empty((n_features(RADIAL), LANES))
    run(products, encode(RADIAL), sums, found)
    expected = [
        sum(sums[places[d, m, n]] * sums[places[d, m, k]] for m in range(-d, d + 1))
        for d, n, k in pair_products(RADIAL)
    ]
    np.testing.assert_allclose(found, [*sums[: RADIAL[0]], *expected], rtol=1e-13)


def test_numbers_of_radial_functions_are_one_integer() -> None:
    for radial in (RADIAL, (31,) * 12, (1,)):
        assert tuple(decode(encode(radial))) == radial and encode(radial) < 2**63


def test_blocks_hold_every_moment_once_and_fit_the_registers() -> None:
    radial = (30, 12, 7, 2, 1)
    found = blocks(radial)
    assert [(d, m) for d, some in found for m in some] == [(d, m) for d in range(5) for m in range(-d, d + 1)]
    assert all(len(some) * radial[d] <= 24 or len(some) == 1 for d, some in found)


def test_operations_are_those_of_the_moments_and_little_more() -> None:
    spec = PowerSpectrumSpec()
    least = 2 * 53 * len(moment_places(spec.radial))
    assert least < operations(spec, 53.0, np.dtype("float32")) < 3 * least
