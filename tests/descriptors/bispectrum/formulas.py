"""Moments on SU(2) by their formulas, and neighbours at random, which the tests of the stages share."""

from __future__ import annotations

import numpy as np
from scipy.special import eval_jacobi

from maladist.arrays import AnyArray
from maladist.descriptors.bispectrum.su2_moments import moment_places
from tests.descriptors.compiled.interpreted import LANES


def elements(twojmax: int, quaternions: AnyArray) -> dict[tuple[int, int, int], AnyArray]:
    """E_npq on unit quaternions (..., 4), by the formula of su2_moments.py."""
    a, b = quaternions[..., 0] + 1j * quaternions[..., 3], quaternions[..., 1] + 1j * quaternions[..., 2]
    t = abs(a) ** 2 - abs(b) ** 2
    return {
        (n, p, q): a**p * (b**q if q >= 0 else b.conj() ** -q) * eval_jacobi((n - p - abs(q)) // 2, abs(q), p, t)
        for n, p, q in {key[:3] for key in moment_places(twojmax)}
    }


def moments_of(twojmax: int, weights: AnyArray, quaternions: AnyArray) -> AnyArray:
    """M_npq of neighbours (neighbours, LANES) and (neighbours, LANES, 4) as their buffer has them."""
    sums = {key: (weights * e).sum(axis=0) for key, e in elements(twojmax, quaternions).items()}
    parts = [(sums[n, p, q].real, sums[n, p, q].imag)[part] for n, p, q, part in moment_places(twojmax)]
    return np.array(parts)


def neighbours(n: int, seed: int) -> tuple[AnyArray, AnyArray]:
    """Weights and unit quaternions of neighbours of each lane."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, LANES, 4))
    return rng.uniform(0.5, 1.5, (n, LANES)), x / np.linalg.norm(x, axis=-1, keepdims=True)
