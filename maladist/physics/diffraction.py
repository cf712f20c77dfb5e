"""X-ray diffraction of an electron density: structure factors F(G), and the lines of a powder.

    F(G) = ∫ n(r) exp(−iG·r) dr over the cell,      2 d sin θ = λ with d = 2π/|G|,
    I(2θ) = Σ_{|G| of the line} |F(G)|² (1 + cos² 2θ)/(sin² θ cos θ)

The sum over G of equal length is the multiplicity; the last factor is Lorentz's and the polarisation's of a powder and
an unpolarised beam (B. E. Warren, X-ray Diffraction (1969), chapter 4). Atoms stand still: no Debye-Waller factor but
that of a cell whose atoms are displaced.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np

from maladist.arrays import AnyArray, Array
from maladist.errors import GridError, InputError
from maladist.grid import Grid

COPPER: Final = 1.540598
"""Wavelength of the line K α1 of copper, Å."""

_SAME: Final = 1e-5  # relative difference of |G| within which waves make one line


class Reflections(NamedTuple):
    """Structure factors of all G ≠ 0 up to a length, by length.

    Attributes
    ----------
    hkl
        Miller indices, (n, 3) int64, of G and of −G.
    length
        |G|, (n,), 1/Å.
    factor
        F(G), (n,) complex128, electrons in the cell.
    """

    hkl: AnyArray
    length: Array
    factor: AnyArray


class Powder(NamedTuple):
    """Lines of a powder pattern, by angle.

    Attributes
    ----------
    two_theta
        2θ, (lines,), degrees.
    intensity
        Intensity, (lines,): electrons² of the cell, times Lorentz's and the polarisation's factor.
    multiplicity
        Number of G, (lines,) int64.
    hkl
        One of the Miller indices, (lines, 3) int64: the largest of them.
    """

    two_theta: Array
    intensity: Array
    multiplicity: AnyArray
    hkl: AnyArray


def structure_factors_of(slabs: Iterable[tuple[int, Array]], grid: Grid, largest: float) -> Reflections:
    """F(G) of a density that comes in slabs of x, each once: what is held is a slab and the G that are wanted.

    Parameters
    ----------
    slabs
        First index along x, and the density there, (any, Ny, Nz), 1/Å³.
    grid
        The whole grid.
    largest
        Largest |G|, 1/Å.

    Raises
    ------
    GridError
        The grid does not hold waves as short.
    """
    reach = [int(largest * np.linalg.norm(a) / (2 * math.pi)) for a in grid.cell_array]
    if any(2 * m >= n for m, n in zip(reach, grid.shape, strict=True)):
        held = min(math.pi * (n - 1) / np.linalg.norm(a) for a, n in zip(grid.cell_array, grid.shape, strict=True))
        came = f"|G| up to {largest:.3g} 1/Å on a grid of {'×'.join(map(str, grid.shape))} points"
        raise GridError("angle", came, f"at most {held:.3g} 1/Å", "Take a smaller angle or a longer wavelength.")
    h, k, l = (np.arange(-m, m + 1) for m in reach)  # noqa: E741  (Miller's indices)
    total = np.zeros((len(h), len(k), reach[2] + 1), np.complex128)
    for first, slab in slabs:
        waves = np.fft.rfftn(slab, axes=(1, 2))[:, k][:, :, : reach[2] + 1]
        x = np.arange(first, first + len(slab))
        total += np.tensordot(np.exp(-2j * np.pi / grid.shape[0] * np.outer(h, x)), waves, axes=1)
    # n is real: F(−G) is the conjugate of F(G).
    negative = total[::-1, ::-1, :0:-1].conj()
    factor = np.concatenate([negative, total], axis=2).ravel() * grid.voxel_volume
    hkl = np.stack(np.meshgrid(h, k, l, indexing="ij"), axis=-1).reshape(-1, 3)
    length = np.linalg.norm(hkl @ grid.reciprocal, axis=1)
    order = np.argsort(length, kind="stable")
    order = order[(length[order] <= largest) & (length[order] > 0)]
    return Reflections(hkl[order], length[order], factor[order])


def longest_wave(wavelength: float, angle: float) -> float:
    """|G|, 1/Å, that diffracts to an angle 2θ (degrees) at a wavelength (Å).

    Raises
    ------
    InputError
        The wavelength is not positive, or the angle not between 0 and 180 degrees.
    """
    if not (math.isfinite(wavelength) and wavelength > 0):
        raise InputError("wavelength", f"{wavelength} Å", "a positive length in Å")
    if not 0 < angle < 180:
        raise InputError("angle", f"{angle}°", "an angle 2θ between 0 and 180 degrees")
    return 4 * math.pi / wavelength * math.sin(math.radians(angle) / 2)


def powder(found: Reflections, wavelength: float) -> Powder:
    """Lines of a powder: the waves of equal length together. At a wavelength (Å) that all of them can diffract."""
    ends = np.flatnonzero(np.diff(found.length) > _SAME * found.length[1:]) + 1
    starts = np.concatenate([[0], ends]).astype(int)[: len(found.length)]
    if not len(found.length):
        return Powder(np.zeros(0), np.zeros(0), np.zeros(0, np.int64), np.zeros((0, 3), np.int64))
    theta = np.arcsin(np.minimum(found.length[starts] * wavelength / (4 * np.pi), 1.0))
    lorentz = (1 + np.cos(2 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))
    squares = np.add.reduceat(np.abs(found.factor) ** 2, starts)
    several = np.diff([*starts, len(found.length)])
    # Of a line's indices the one that is read most easily: (1 0 1) rather than (−1 0 −1).
    named = [max(found.hkl[a : a + n].tolist()) for a, n in zip(starts, several, strict=True)]
    return Powder(np.degrees(2 * theta), squares * lorentz, several, np.array(named))


def profile(lines: Powder, angles: Array, width: float) -> Array:
    """The pattern with Gaussian lines of a full width at half maximum (degrees), at angles 2θ (degrees)."""
    sigma = width / math.sqrt(8 * math.log(2))
    total = np.zeros_like(angles)
    # Line by line, each where it is not zero: of a large cell there are millions.
    for centre, height in zip(lines.two_theta, lines.intensity, strict=True):
        a, b = np.searchsorted(angles, (centre - 6 * sigma, centre + 6 * sigma))
        total[a:b] += height * np.exp(-((angles[a:b] - centre) ** 2) / (2 * sigma**2))
    return total / (sigma * math.sqrt(2 * math.pi))
