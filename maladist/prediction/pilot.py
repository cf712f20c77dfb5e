"""A first μ, from points drawn at random over the whole cell, and the window that the real one will lie in."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial import cKDTree

from maladist.grid import EnergyGrid, Grid
from maladist.neighbors import CellList, LocalAtoms
from maladist.parallel.waves import NamedJob
from maladist.physics.fermi import fermi_level

Array = npt.NDArray[np.float64]

GROUP: Final = 250
"""Points of one pilot task; the spread between tasks is what tells the error of μ."""

NARROWEST: Final = 0.05
"""Half width of the window in eV, at least."""


def pilot_points(grid: Grid, seed: int = 0) -> Array:
    """About one in a hundred points of the grid, at least 2,000 and at most 20,000, in random order, (n, 3), Å."""
    n = int(np.clip(grid.n_points // 100, 2000, 20000))
    chosen = np.random.default_rng(seed).choice(grid.n_points, size=min(n, grid.n_points), replace=False, shuffle=True)
    ijk = np.stack(np.unravel_index(chosen, grid.shape), axis=-1)
    return np.asarray((ijk / np.array(grid.shape)) @ grid.cell_array)


def pilot_jobs(points: Array, atoms: CellList) -> list[NamedJob]:
    """Tasks of GROUP points each, with the atoms that these points can see."""
    every = atoms.around([0, 0, 0], [1, 1, 1])
    tree = cKDTree(every.positions)
    jobs = []
    few = points if len(points) > 1 else np.repeat(points, 2, axis=0)  # a spread needs two groups
    for i, group in enumerate(np.array_split(few, max(2, len(few) // GROUP))):
        near = np.unique(np.concatenate(tree.query_ball_point(group, atoms.cutoff)).astype(np.int64))
        seen = LocalAtoms(every.positions[near], every.numbers[near], every.indices[near])
        jobs.append(NamedJob(f"pilot{i}", group, seen))
    return jobs


def window(
    means: Array, volume: float, energies: EnergyGrid, n_electrons: float, temperature: float
) -> tuple[float, float]:
    """Window of μ from the mean LDOS of each group of points.

    Parameters
    ----------
    means
        (groups, levels) float64, 1/(eV Å³).
    volume
        Of the cell, Å³.

    Returns
    -------
    tuple
        Lower and upper end, eV: six standard errors of μ to either side, at least NARROWEST.
    """
    dos = means.mean(axis=0) * volume
    mu = fermi_level(torch.as_tensor(dos), energies, n_electrons, temperature, correction=False)
    # dμ = −dN(μ)/D(μ), with N(μ) of each group; D averaged over ±k_BT by a difference of N.
    from maladist.physics.fermi import fermi_weights

    def number(at: float) -> Array:
        return np.asarray(means @ fermi_weights(energies, at, temperature, correction=False).number.numpy()) * volume

    step = energies.spacing
    slope = max(float((number(mu + step) - number(mu - step)).mean()) / (2 * step), 1e-3 * n_electrons / step)
    error = float(number(mu).std(ddof=1)) / np.sqrt(len(means)) / slope
    half = max(NARROWEST, 6 * error)
    return mu - half, mu + half
