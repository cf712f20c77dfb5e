"""The definition of the power spectrum, and a small one, which the tests share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import sph_harm_y

from maladist.descriptors import PowerSpectrumSpec
from maladist.neighbors import LocalAtoms

Array = npt.NDArray[np.float64]

EXACT = 1e-12
"""Rounding of float64 sums of 100 neighbours, of a column's largest value; 2e-14 is typical."""

SINGLE = 2e-5
"""The same in float32, which 5e-6 is typical of: moments are sums of terms of either sign, and are squared."""

SMALL = PowerSpectrumSpec(cutoff=3.5, radial=(4, 2, 2))


def direct(points: Any, atoms: LocalAtoms, spec: PowerSpectrumSpec) -> Array:
    """The definition, with scipy's complex harmonics: Σ_m M_nlm M*_n'lm is the same for real and complex ones."""
    rows = []
    for point in np.asarray(points, float):
        x = atoms.positions - point
        r = np.linalg.norm(x, axis=1)
        x, r = x[r < spec.cutoff], r[r < spec.cutoff]
        t, polar, azimuth = np.pi * r / spec.cutoff, np.arccos(x[:, 2] / r), np.arctan2(x[:, 1], x[:, 0])
        row: list[float] = []
        for l, count in enumerate(spec.radial):  # noqa: E741
            radial = [0.5 * (1 + np.cos(t)) * np.cos(n * t) * np.sin(t) ** l for n in range(count)]
            m_n = [[np.sum(f * sph_harm_y(l, m, polar, azimuth)) for m in range(-l, l + 1)] for f in radial]
            pairs = [(n, k) for n in range(count) for k in range(n, count)]
            row += [float(np.vdot(m_n[n], m_n[k]).real) for n, k in pairs] if l else [m[0].real for m in m_n]
        rows.append(row)
    return np.array(rows)
