"""Reductions of the local density of states: over energy to a density, over points to the density of states."""

from __future__ import annotations

import torch
from torch import Tensor

_POINTS = 1 << 16  # points that are held in float64 at a time


def density(ldos: Tensor, weights: Tensor) -> Tensor:
    """Integrate an LDOS over energy: n(r) = Σ_i w_i d(ε_i, r).

    Parameters
    ----------
    ldos
        d(ε_i, r), (..., levels) of any floating type, 1/(eV Å³). Float32 is summed in float64, a batch at a time.
    weights
        Weights of the levels, (levels,), or (levels, r) for r integrals at once, for example the basis of
        :func:`maladist.physics.fermi.window_modes`; float64, on the device of the LDOS.

    Returns
    -------
    Tensor
        (...,) or (..., r) float64; 1/Å³ for the weights of the number of electrons.
    """
    flat = ldos.reshape(-1, ldos.shape[-1])
    # Converted a batch at a time: the whole LDOS in float64 would be twice what is in memory already.
    parts = [batch.to(weights.dtype) @ weights for batch in flat.split(_POINTS)]
    return torch.cat(parts).reshape(ldos.shape[:-1] + weights.shape[1:])


def dos(ldos: Tensor, voxel_volume: float) -> Tensor:
    """Integrate an LDOS over space: D(ε_i) = Σ_r d(ε_i, r) ΔV.

    Parameters
    ----------
    ldos
        d(ε_i, r), (..., levels) of any floating type, 1/(eV Å³).
    voxel_volume
        Volume of a point, Å³.

    Returns
    -------
    Tensor
        D(ε_i), (levels,) float64, 1/eV.
    """
    flat = ldos.reshape(-1, ldos.shape[-1])
    parts = [batch.to(torch.float64).sum(0) for batch in flat.split(_POINTS)]
    return torch.stack(parts).sum(0) * voxel_volume
