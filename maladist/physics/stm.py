"""Images of the scanning tunnelling microscope after Tersoff and Hamann, Phys. Rev. B 31, 805 (1985).

The current at a tip that is a point, at a sample's bias V, is proportional to the states there that can take part:

    I(r) ∝ ∫ d(ε, r) dε    from E_F to E_F + eV

the empty ones where V > 0, the occupied ones where V < 0. The samples of d stand for the piecewise linear function
through them, as in :mod:`maladist.physics.fermi_weights`, and the integral of that function is exact. In the vacuum
I(r) decays exponentially, so between planes of a grid its logarithm is taken to be linear.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from maladist.arrays import Array
from maladist.energy_grid import EnergyGrid
from maladist.errors import EnergyWindowError, InputError

_NOTHING: Final = 1e-300
"""1/Å³: what a value of zero or less, which a network may give, counts as."""


def window_weights(energies: EnergyGrid, mu: float, bias: float) -> Array:
    """Weights of the samples of d(ε, r) in its integral over the window of a bias.

    Parameters
    ----------
    energies
        Energies of the samples.
    mu
        Fermi level, eV.
    bias
        Bias of the sample, V; negative for the occupied states.

    Returns
    -------
    ndarray
        (levels,) float64, eV: their product with the LDOS is the integral, 1/Å³.

    Raises
    ------
    InputError
        The bias is zero or not finite.
    EnergyWindowError
        The energies do not reach over the window, or have a gap in it.
    """
    if not (math.isfinite(bias) and bias != 0):
        raise InputError("bias", f"{bias} V", "a voltage other than zero, V")
    low, high = sorted((mu, mu + bias))
    first, last = float(energies.values[0]), float(energies.values[-1])
    if not first <= low < high <= last:
        came = f"a window of {low:.3f} to {high:.3f} eV"
        raise EnergyWindowError("bias", came, f"one within the energies of the LDOS, {first:.3f} to {last:.3f} eV")
    for end, begin in energies.gaps:
        if low < begin and high > end:
            came = f"a window of {low:.3f} to {high:.3f} eV"
            wanted = f"one that does not reach into the gap of the energies, {end:.3f} to {begin:.3f} eV"
            raise EnergyWindowError("bias", came, wanted)
    return energies.weights(low, high)


def between(low: Array, high: Array, share: float) -> Array:
    """I(r) so far on the way from one plane to the next, 0 to 1, its logarithm taken to be linear; 1/Å³."""
    return np.exp((1 - share) * _logarithm(low) + share * _logarithm(high))


def depth_of(current: float, columns: Array) -> tuple[Array, Array, Array]:
    """Depth at which I(r) first has a value on the way from the vacuum into the sample.

    Parameters
    ----------
    current
        The value, 1/Å³.
    columns
        I(r) from the vacuum inwards, (..., planes), 1/Å³.

    Returns
    -------
    tuple
        Depth in spacings of the planes, (...,), NaN where the first plane has the value already or none has it; and
        the range of values, each (...,), for which it is a number: from that of the first plane, to the largest.
    """
    logs, wanted = _logarithm(columns), math.log(current)
    k = np.argmax(logs >= wanted, axis=-1)  # the first that has it; 0 where none does
    inner = np.take_along_axis(logs, k[..., None], -1)[..., 0]
    outer = np.take_along_axis(logs, np.maximum(k - 1, 0)[..., None], -1)[..., 0]
    rise = np.where(k > 0, inner - outer, 1.0)
    return np.where(k > 0, k - 1 + (wanted - outer) / rise, np.nan), columns[..., 0], columns.max(axis=-1)


def _logarithm(values: Array) -> Array:
    return np.log(np.maximum(values, _NOTHING))
