"""A first μ, from points drawn at random over the whole cell, and the window that the real one will lie in."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import torch
from scipy.spatial import cKDTree

from maladist.arrays import Array
from maladist.descriptors import evaluate
from maladist.energy_grid import EnergyGrid
from maladist.grid import Grid
from maladist.learning.domain import Outside
from maladist.neighbors import CellList, LocalAtoms
from maladist.parallel import waves
from maladist.physics.fermi import fermi_states, number_weights, window_modes
from maladist.physics.limits import check_limits
from maladist.physics.system import System
from maladist.prediction.block import mean_ldos
from maladist.prediction.passes import Run
from maladist.prediction.setup import Setup

GROUP: Final = 250
"""Points of one pilot task; the spread between tasks is what tells the error of μ."""

NARROWEST: Final = 0.05
"""Half width of the window in eV, at least."""


def pilot_points(grid: Grid, seed: int = 0) -> Array:
    """About one in a hundred points of the grid, at least 2,000 and at most 20,000, in random order, (n, 3), Å."""
    n = int(np.clip(grid.n_points // 100, 2000, 20000))
    # At random, since evenly spaced points would repeat the lattice; from a fixed seed, so that a run repeats itself.
    chosen = np.random.default_rng(seed).choice(grid.n_points, size=min(n, grid.n_points), replace=False, shuffle=True)
    ijk = np.stack(np.unravel_index(chosen, grid.shape), axis=-1)
    return np.asarray((ijk / np.array(grid.shape)) @ grid.cell_array)


def pilot_groups(points: Array, atoms: CellList) -> list[tuple[Array, LocalAtoms]]:
    """GROUP points each, a task of its own, with the atoms that these points can see."""
    every = atoms.around([0, 0, 0], [1, 1, 1])
    tree = cKDTree(every.positions)
    groups = []
    # The groups' spread tells the error, so there must be two, even of a grid of one point.
    few = points if len(points) > 1 else np.repeat(points, 2, axis=0)  # a spread needs two groups
    for group in np.array_split(few, max(2, len(few) // GROUP)):
        # Only the atoms that some point of the group sees travel with its task.
        near = np.unique(np.concatenate(tree.query_ball_point(group, atoms.cutoff)).astype(np.int64))
        groups.append((group, LocalAtoms(every.positions[near], every.numbers[near])))
    return groups


def first_window(run: Run) -> Array:
    """Basis of the Fermi weights over the window of μ that a random sample of the points gives, (levels, modes).

    No modes where n(r) does not need the LDOS.
    """
    system, energies = run.setup.system, run.setup.model.energy_grid
    if not run.setup.needs_modes:
        return np.empty((energies.levels, 0))
    groups = pilot_groups(pilot_points(system.grid), run.setup.cell_list)
    jobs = [
        waves.NamedJob(f"pilot{i}", points, seen, run.model, run.setup.numerics)
        for i, (points, seen) in enumerate(groups)
    ]
    means = np.array(run.stage("first Fermi level", mean_ldos, jobs, len(jobs)))
    dos = torch.as_tensor(means.mean(axis=0) * system.grid.volume)
    # A temperature that the energies cannot hold is refused now, not when all the blocks are done.
    check_limits(dos, energies, fermi_states(dos, energies, replace(system, correction=False)), system)
    low, high = window(means, energies, system)
    return window_modes(energies, system.solved_temperatures, low, high, correction=system.correction).numpy()


def sampled(ready: Setup, most: int) -> Outside:
    """How far a random sample of a cell's points is from the training of a model that knows its own.

    Parameters
    ----------
    ready
        Input of a run, checked.
    most
        Number of points, at most; described here, 500 of them in some 10 ms.
    """
    groups = pilot_groups(pilot_points(ready.system.grid)[:most], ready.cell_list)
    features = torch.cat([evaluate(points, seen, ready.model.descriptor) for points, seen in groups])
    return Outside.of(ready.model.novelty(features))


def window(means: Array, energies: EnergyGrid, system: System) -> tuple[float, float]:
    """Window of μ at all temperatures, from the mean LDOS of each group of points.

    Parameters
    ----------
    means
        Mean LDOS of each group, (groups, levels) float64, 1/(eV Å³).

    Returns
    -------
    tuple
        Lower and upper end, eV: six standard errors of μ to either side, at least NARROWEST.
    """
    # Without the correction N(μ) is monotone: noise of a sample cannot give it several roots.
    plain, volume = replace(system, correction=False), system.grid.volume
    states = fermi_states(torch.as_tensor(means.mean(axis=0) * volume), energies, plain)
    ends = []
    for t, mu, weights in states:
        # dμ = −dN(μ)/D(μ), with N(μ) of each group; D averaged over ±k_BT by a difference of N.
        step = energies.coarsest
        above, below = (number_weights(energies, mu + s, t, correction=False).numpy() for s in (step, -step))
        slope = float((means @ (above - below)).mean()) * volume / (2 * step)
        # In a gap N(μ) is flat: without a floor the error of μ would be infinite, and the window with it.
        slope = max(slope, 1e-3 * float(system.n_electrons or 0.0) / step)
        number = means @ weights.number.numpy() * volume
        error = float(number.std(ddof=1)) / np.sqrt(len(means)) / slope
        # Six standard errors: a miss costs a second pass over all blocks, a wider window only a few modes more.
        half = max(NARROWEST, 6 * error)
        ends += [mu - half, mu + half]
    return min(ends), max(ends)
