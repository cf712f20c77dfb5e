"""Voronoi cells of atoms: each point of the grid to the atom that is nearest, whatever the shape of the cell.

A point that is as far from several atoms, as on a face between cells, is shared by them in equal parts: atoms that a
symmetry of the grid maps on one another have the same sums.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.spatial import cKDTree

from maladist.arrays import Array, Indices, Numbers
from maladist.grid import Block, Grid
from maladist.neighbors import CellList, LocalAtoms
from maladist.physics.partition import Partition

TIE: Final = 1e-5
"""Difference of two distances, Å, below which they are the same: positions come from files with some digits."""


def voronoi(grid: Grid, block: Block, positions: Array, numbers: Numbers) -> Partition:
    """Weights of a block's points in the Voronoi cells of the atoms, by index of the atom.

    Parameters
    ----------
    grid, block
        Grid of the whole cell, and the block of it.
    positions, numbers
        Atoms of the cell, (n_atoms, 3) Å and (n_atoms,).
    """
    points = grid.points(block)
    near, distance, nearest = nearest_atoms(grid, block, points, positions, numbers)
    tied = np.flatnonzero(distance[:, 1] - distance[:, 0] <= TIE)
    alone = np.setdiff1d(np.arange(len(points)), tied, assume_unique=True)
    groups = cKDTree(near.positions).query_ball_point(points[tied], distance[tied, 0] + TIE)
    n_tied = np.array([len(g) for g in groups], dtype=np.int64)
    atoms = np.concatenate([nearest[alone], *map(np.asarray, groups)]).astype(np.int64)
    at = np.concatenate([alone, np.repeat(tied, n_tied)])
    weights = np.concatenate([np.ones(len(alone)), np.repeat(1 / np.maximum(n_tied, 1), n_tied)])
    assert near.indices is not None
    return Partition.of(near.indices[atoms], at, weights, len(points))


def nearest_atoms(
    grid: Grid, block: Block, points: Array, positions: Array, numbers: Numbers
) -> tuple[LocalAtoms, Array, Indices]:
    """The atoms nearest to points of a block, among all images.

    Returns
    -------
    near
        Atoms and images, among which are the nearest of each point, and all that are as near.
    distances
        To the first and the second, (n_points, 2) Å; infinite where there is no second.
    nearest
        Place of the first in ``near``, (n_points,).
    """
    cutoff = 1.2 * (grid.volume / len(numbers)) ** (1 / 3)
    while True:
        near = CellList(grid.cell_array, positions, numbers, cutoff).near_block(grid, block)
        farthest = 2 * cutoff
        if len(near):
            distances, nearest = cKDTree(near.positions).query(points, k=[1, 2])
            farthest = float(distances[:, 0].max(initial=0.0)) + TIE
            # All atoms within the cutoff of a point are there: so is the nearest, if it is within.
            if farthest <= cutoff:
                return near, distances, nearest[:, 0]
        cutoff = farthest + TIE
