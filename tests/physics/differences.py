"""Finite differences that derivatives are held against: Richardson's, by positions and by strains at frozen masks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch

from maladist.grid import Grid
from maladist.physics.reciprocal import ReciprocalSlab

Array = npt.NDArray[np.float64]


def difference(value: Callable[[float], float], h: float) -> float:
    """Derivative at 0 by central differences of two steps: errors of the order h⁴, and rounding over h."""
    one, two = ((value(s) - value(-s)) / (2 * s) for s in (h, 2 * h))
    return (4 * one - two) / 3


def by_positions(value: Callable[[Array], float], positions: Array, h: float) -> Array:
    """Derivatives by every component of every position, (n, 3)."""
    found = np.empty_like(positions)
    for at in np.ndindex(positions.shape):
        step = np.zeros_like(positions)
        step[at] = 1.0
        found[at] = difference(lambda s, step=step: value(positions + s * step), h)
    return found


def by_strain(value: Callable[[Array], float], h: float) -> Array:
    """Derivatives by every element of a strain ε, (3, 3); ``value`` takes 1 + ε, which turns r to (1 + ε) r."""
    found = np.empty((3, 3))
    for at in np.ndindex(3, 3):
        step = np.zeros((3, 3))
        step[at] = 1.0
        found[at] = difference(lambda s, step=step: value(np.eye(3) + s * step), h)
    return found


def freeze_sphere(monkeypatch: pytest.MonkeyPatch, grid: Grid, cutoff: float) -> None:
    """Keep the sphere of one grid's cell whatever the cell: energies jump where a G crosses it."""
    mask = ReciprocalSlab.whole(grid).sphere(cutoff)

    def frozen(slab: ReciprocalSlab, _: float, device: torch.device | str = "cpu") -> torch.Tensor:
        return mask[tuple(slice(a, b) for a, b in zip(slab.start, slab.stop, strict=True))].to(device)

    monkeypatch.setattr(ReciprocalSlab, "sphere", frozen)
