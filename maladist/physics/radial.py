"""Functions on a pseudopotential's radial mesh in reciprocal space, as Quantum ESPRESSO takes them.

f(G) = 4π ∫ r² f(r) sin(Gr)/(Gr) dr by Simpson's rule on the mesh itself, r ≤ 10 bohr: energies depend on both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from maladist.arrays import Array
from maladist.units import BOHR

LARGEST_RADIUS: Final = 10 * BOHR
"""Å; the mesh beyond carries nothing but rounding."""

_WIDTH, _DEGREE = 0.2, 9  # of the polynomials that stand for f(G): exact to rounding


def radial_transform(radii: Array, rab: Array, values: Array, g: npt.ArrayLike) -> Array:
    """f(|G|) of a function on a radial mesh.

    Parameters
    ----------
    radii, rab
        Radii and their derivative by the index of the mesh, (n_radii,), Å.
    values
        f(r) on the mesh, (n_radii,).
    g
        Values of |G|, (n,), 1/Å.

    Returns
    -------
    ndarray
        (n,) float64, in units of f times Å³.
    """
    beyond = np.flatnonzero(radii > LARGEST_RADIUS)
    n = int(beyond[0]) + 1 if len(beyond) else len(radii)
    # As Quantum ESPRESSO cuts its meshes: another number of points would be another integral.
    n = 2 * ((n + 1) // 2) - 1  # Simpson needs an odd number of points
    simpson = np.full(n, 2.0)
    simpson[1::2] = 4.0
    simpson[[0, -1]] = 1.0
    weight = 4 * np.pi * radii[:n] ** 2 * values[:n] * rab[:n] * simpson / 3
    return np.asarray(np.sinc(np.outer(np.asarray(g, dtype=float), radii[:n]) / np.pi) @ weight)


def interpolated(form: Callable[[Array], Array], g: Tensor, largest: float) -> Tensor:
    """A transform at every |G| from polynomials of intervals of it; the transform itself is too slow.

    sin(Gr)/(Gr) has no wavelength below 2π/10 bohr in G, so short polynomials through Chebyshev points are exact.

    Parameters
    ----------
    form
        The transform of |G|, (n,), 1/Å.
    g
        |G|, any shape, 1/Å.
    largest
        |G| up to which the result is wanted, 1/Å.
    """
    n = int(np.ceil(largest / _WIDTH)) + 1
    t = np.cos(np.pi * (np.arange(_DEGREE + 1) + 0.5) / (_DEGREE + 1))
    nodes = (np.arange(n)[:, None] + (t + 1) / 2) * _WIDTH
    values = form(nodes.ravel()).reshape(nodes.shape)
    coefficients = torch.tensor(np.linalg.solve(np.vander(t), values.T), device=g.device)
    scaled = g / _WIDTH
    interval = scaled.long().clamp(max=n - 1)
    # From −1 to 1 within the interval, where the polynomial's variable lives.
    t_g = 2 * (scaled - interval) - 1
    t_g = t_g.clamp(max=1.0)  # beyond the largest, where the result is not used
    result = torch.zeros_like(g)
    for row in coefficients:
        result = result * t_g + row[interval]
    return result
