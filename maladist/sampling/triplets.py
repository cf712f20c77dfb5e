"""Three-particle correlations of the ions: g₃(r, s, t), triangles of atoms by the lengths of their sides.

    g₃ = triangles with their sides in the bins r, s, t / (N ρ² ∫ 8π² r's't' dr' ds' dt')

over ordered triples of different atoms, periodic images counted. The integral, over the lengths in the bins that a
triangle can have, is what an ideal gas of the density ρ = N/Ω has around each atom: 1 is no order, and where pairs
alone are ordered Kirkwood's superposition g(r) g(s) g(t) (J. Chem. Phys. 3, 300 (1935)) is what remains.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import ase
import numpy as np
import torch
from vesin_torch import NeighborList

from maladist.arrays import Array
from maladist.errors import InputError

_PARTS: Final = 8
"""Parts of a bin's edge, where the limits of what a triangle can be run through the bin."""


def triplet_distribution(frames: Sequence[ase.Atoms], cutoff: float, width: float) -> Array:
    """Compute g₃ of atoms, all elements alike.

    Parameters
    ----------
    frames
        Frames of the same number of atoms, periodic in three directions.
    cutoff, width
        Longest side and width of its bins, Å.

    Returns
    -------
    ndarray
        Mean over the frames, (bins, bins, bins) float64, symmetric in the three sides; NaN where no triangle is.

    Raises
    ------
    InputError
        The cutoff is not longer than a bin.
    """
    if not (np.isfinite(cutoff) and cutoff > width > 0):
        raise InputError("triplets", f"{cutoff} Å", f"a length above {width} Å")
    bins = round(cutoff / width)
    ideal = _ideal(bins, width)
    total = np.zeros((bins,) * 3)
    for frame in frames:
        density = len(frame) / frame.get_volume()
        total += _counts(frame, bins, width) / (len(frame) * density**2)
    with np.errstate(invalid="ignore"):
        return np.where(ideal > 0, total / len(frames) / ideal, np.nan)


def _counts(atoms: ase.Atoms, bins: int, width: float) -> Array:
    """Ordered triples by bins of their sides, (bins, bins, bins)."""
    positions = torch.as_tensor(atoms.get_positions(wrap=True), dtype=torch.float64)
    cell = torch.as_tensor(atoms.cell.array, dtype=torch.float64)
    first, vectors = NeighborList(bins * width, full_list=True, n_threads=1).compute(positions, cell, True, "iD")
    first = first.to(torch.int64)
    numbers = torch.bincount(first, minlength=len(atoms)).tolist()
    found = torch.zeros(bins**3, dtype=torch.int64)
    for around in vectors[torch.argsort(first)].split(numbers):  # the neighbours of one atom, images included
        # A length at a bin's very end may be rounded beyond it: it is then too long.
        r = (torch.linalg.vector_norm(around, dim=1) / width).long()
        t = (torch.cdist(around, around, compute_mode="donot_use_mm_for_euclid_dist") / width).long()
        there = (r[:, None] < bins) & (r < bins) & (t < bins) & ~torch.eye(len(r), dtype=torch.bool)
        index = ((r[:, None] * bins + r) * bins + t)[there]
        found += torch.bincount(index, minlength=bins**3)
    return found.reshape((bins,) * 3).double().numpy()


def _ideal(bins: int, width: float) -> Array:
    """∫ 8π² r s t dr ds dt over the triangles in each bin, (bins, bins, bins), Å⁶."""
    middles = width * (np.arange(bins * _PARTS) + 0.5) / _PARTS
    out = np.zeros((bins,) * 3)
    fine = (bins, _PARTS, bins, _PARTS)
    s, t = middles[:, None], middles[None, :]
    for i, r in enumerate(middles):  # one plane at a time: (8 bins)³ is large
        can = (np.abs(s - t) <= r) & (r <= s + t)
        out[i // _PARTS] += np.where(can, r * s * t, 0.0).reshape(fine).sum((1, 3))
    return 8 * np.pi**2 * out * (width / _PARTS) ** 3
