"""Bader's basins of a density on a grid, by the weights of Yu and Trinkle, J. Chem. Phys. 134, 064111 (2011).

Of the volume of a point X, the fraction that flows to a neighbour X' of higher density is

    J(X → X') ∝ a/l · [n(X') − n(X)],        Σ_X' J = 1

with the facet a between their Voronoi cells and their distance l, in a grid of any shape; and what X has of the basin
of a maximum is w(X) = Σ_X' J(X → X') w(X'), with 1 at the maximum itself. So a point at a dividing surface is shared,
and integrals over basins converge with the square of the spacing, without a bias along the axes of the grid.

A point's weights depend on the points uphill of it alone. A block takes the density around itself with it and computes
them there; where more of a block's weight leaves that window than is told from rounding, the window is made larger on
that side. Blocks need nothing of one another, and any blocks give the same weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from ase.geometry import minkowski_reduce
from scipy.spatial import Voronoi

from maladist.arrays import Array, Indices
from maladist.compiling import compiled
from maladist.errors import WorkerTooSmallError
from maladist.grid import Block, Grid
from maladist.physics.partition import Partition

LOST: Final = 1e-8
"""Largest weight of a point that leaves the window; the others are divided by what they sum up to."""

VACUUM: Final = 1e-6
"""Density, 1/Å³, up to which a point belongs to no basin but to the vacuum: there a prediction has maxima of noise, or
is flat at zero. 1000 Å³ of it hold at most 0.001 electrons."""

IN_VACUUM: Final = -1
"""Label of the vacuum."""

_SMALLEST: Final = 1e-10
"""Of a point's weights those below are left out, which would be carried on for ever."""

_MARGIN: Final = 4.0
"""Width of the window around a block, Å, at first."""

WINDOW_BYTES: Final = 210
"""Memory that a point of the window takes (measured)."""

Read = Callable[[Indices, Indices], Array]
"""Density of a box of the periodic grid: its first point, which may be negative, and its shape, each (3,)."""


class Facets(NamedTuple):
    """Neighbours of a point of the grid.

    Attributes
    ----------
    offsets
        Steps of the grid to each, (n, 3) int64.
    ratios
        a/l: area of the facet between the cells over the distance, (n,), Å.
    """

    offsets: Indices
    ratios: Array


def facets(grid: Grid) -> Facets:
    """Facets of the Voronoi cell of a point among the points of the grid."""
    voxel = grid.cell_array / np.array(grid.shape)[:, None]
    # In a reduced basis no neighbour is farther than one step along each vector.
    reduced, steps = minkowski_reduce(voxel)
    around = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    places, middle = around @ reduced, len(around) // 2
    diagram = Voronoi(places)
    found: dict[tuple[int, ...], float] = {}
    for pair, corners in zip(diagram.ridge_points, diagram.ridge_vertices, strict=True):
        if middle in pair:
            other = around[pair.sum() - middle] @ steps
            arms = diagram.vertices[corners] - diagram.vertices[corners[0]]
            area = float(np.linalg.norm(np.cross(arms[1:-1], arms[2:]).sum(axis=0))) / 2
            found[tuple(int(x) for x in other)] = area / float(np.linalg.norm(other @ voxel))
    # Cells that touch in an edge have a facet of rounding.
    real = {step: ratio for step, ratio in sorted(found.items()) if ratio > 1e-6 * max(found.values())}
    # Opposite facets are alike, to the last bit: points that a symmetry maps on one another have the same weights.
    ratios = [(ratio + real[tuple(-x for x in step)]) / 2 for step, ratio in real.items()]
    return Facets(np.array(list(real), dtype=np.int64), np.array(ratios))


def bader(read: Read, grid: Grid, block: Block, most_points: int = 2**62) -> Partition:
    """Weights of a block's points in Bader's basins, by the flat index (C order) of their maxima in the grid.

    Points of the vacuum are in a part of their own, ``IN_VACUUM``.

    Parameters
    ----------
    read
        Density of boxes of the grid, 1/Å³.
    grid, block
        Grid of the whole cell, and the block of it.
    most_points
        Points of the window that there is room for.

    Raises
    ------
    WorkerTooSmallError
        The basins reach so far that the window does not fit.
    """
    faces, shape = facets(grid), np.array(grid.shape)
    reach = np.abs(faces.offsets).max(axis=0)
    planes = 1 / np.linalg.norm(np.linalg.inv(grid.cell_array), axis=0) / shape  # distances of neighbouring planes, Å
    width = np.ceil(_MARGIN / planes).astype(np.int64)
    margin = np.stack([width, width], axis=1)  # points at the lower and the upper side of each axis
    while True:
        start, inner = np.array(block.start), np.array(block.shape)
        # What is as wide as the cell is the whole cell, which has no end.
        wraps = inner + margin.sum(axis=1) >= shape
        first = np.where(wraps, 0, start - margin[:, 0])
        size = np.where(wraps, shape, inner + margin.sum(axis=1))
        if np.prod(size) > most_points:
            came = f"basins that reach over {'×'.join(map(str, size))} points"
            wanted = f"at most {most_points:.3g} of them, for which a worker has room"
            raise WorkerTooSmallError("charges", came, wanted, "Use larger workers.")
        partition, lost = _in_window(read(first, size), first, wraps, reach, faces, grid, block)
        if not lost.any():
            return partition
        margin[lost] += margin[lost] // 2 + 1


def _in_window(
    density: Array, first: Indices, wraps: Array, reach: Indices, faces: Facets, grid: Grid, block: Block
) -> tuple[Partition, Array]:
    """Weights of the block's points, and whether some is lost at the sides of the window, (3, 2)."""
    shape, size = np.array(grid.shape), np.array(density.shape)
    axes = [np.arange(a, b) - f for a, b, f in zip(block.start, block.stop, first, strict=True)]
    wanted = np.ravel_multi_index(np.ix_(*axes), tuple(size)).ravel()
    flat = np.ascontiguousarray(density, dtype=np.float64).ravel()
    # Uphill of the block's points there are none that are lower than all of them.
    above = np.flatnonzero(flat >= flat[wanted].min())
    order = above[np.argsort(-flat[above], kind="stable")]
    starts, counts, labels, weights, maxima = _ascend(flat, size, order, wraps, reach, *faces)
    # The entries of the wanted points, one point after another.
    many = counts[wanted]
    at = np.repeat(np.arange(len(wanted)), many)
    entries = np.repeat(starts[wanted] - np.cumsum(many) + many, many) + np.arange(many.sum())
    label, weight = labels[entries], weights[entries]
    outside = label < 6
    lost = np.zeros(6, dtype=bool)
    if outside.any():
        escaped = np.bincount(at[outside], weight[outside], len(wanted))
        lost[np.unique(label[outside & (escaped[at] > LOST)])] = True
        label, at, weight = label[~outside], at[~outside], weight[~outside]
        weight = weight / np.bincount(at, weight, len(wanted))[at] if not lost.any() else weight
    places = np.stack(np.unravel_index(maxima, tuple(size)), axis=-1) + first
    names = np.ravel_multi_index(tuple((places % shape).T), tuple(shape)).astype(np.int64)
    return Partition.of(np.append(IN_VACUUM, names)[label - 6], at, weight, len(wanted)), lost.reshape(3, 2)


@compiled
def _ascend(flat, size, order, wraps, reach, offsets, ratios):  # type: ignore[no-untyped-def]
    """Weights of the points of a window, from the highest to the lowest.

    Labels 0 to 5 are the window's sides, two along each axis, where weights are lost; 6 is the vacuum; then the maxima.
    """
    n_facets, used, n_maxima = len(ratios), 0, 0
    starts, counts = np.zeros(len(flat), np.int64), np.zeros(len(flat), np.int32)
    labels, weights = np.empty(2 * len(order) + 64, np.int32), np.empty(2 * len(order) + 64)
    maxima = np.empty(64, np.int64)
    total, touched = np.zeros(71), np.empty(71, np.int32)
    higher, flux = np.empty(n_facets, np.int64), np.empty(n_facets)
    at, to = np.empty(3, np.int64), np.empty(3, np.int64)
    steps = (offsets[:, 0] * size[1] + offsets[:, 1]) * size[2] + offsets[:, 2]
    for point in order:
        at[0], at[1], at[2] = point // (size[1] * size[2]), point // size[2] % size[1], point % size[2]
        n_touched, side, n_higher, flow, inside = 0, -1, 0, 0.0, True
        for axis in range(3):
            inside &= reach[axis] <= at[axis] < size[axis] - reach[axis]
            if not wraps[axis] and at[axis] < reach[axis]:
                side = 2 * axis
            elif not wraps[axis] and at[axis] >= size[axis] - reach[axis]:
                side = 2 * axis + 1
        if flat[point] <= VACUUM:
            side = 6
        if side >= 0:  # nothing more is to be known, or not all of its neighbours
            total[side], touched[0], n_touched = 1.0, side, 1
        else:
            for f in range(n_facets):
                neighbour = point + steps[f]
                if not inside:
                    for axis in range(3):
                        to[axis] = (at[axis] + offsets[f, axis]) % size[axis]
                    neighbour = (to[0] * size[1] + to[1]) * size[2] + to[2]
                rise = flat[neighbour] - flat[point]
                if rise > 0:
                    higher[n_higher], flux[n_higher] = neighbour, rise * ratios[f]
                    flow += flux[n_higher]
                    n_higher += 1
            if n_higher == 0:
                if n_maxima == len(maxima):
                    maxima = np.append(maxima, np.empty_like(maxima))
                    total, touched = np.zeros(len(maxima) + 7), np.empty(len(maxima) + 7, np.int32)
                maxima[n_maxima] = point
                total[7 + n_maxima], touched[0], n_touched = 1.0, 7 + n_maxima, 1
                n_maxima += 1
            for i in range(n_higher):
                share = flux[i] / flow
                begin = starts[higher[i]]
                for entry in range(begin, begin + counts[higher[i]]):
                    label = labels[entry]
                    if total[label] == 0:
                        touched[n_touched] = label
                        n_touched += 1
                    total[label] += share * weights[entry]
        kept = 0.0
        for i in range(n_touched):
            if total[touched[i]] >= _SMALLEST:
                kept += total[touched[i]]
        while used + n_touched > len(labels):
            half = len(labels) // 2
            labels, weights = np.append(labels, labels[:half]), np.append(weights, weights[:half])
        starts[point] = used
        for i in range(n_touched):
            label = touched[i]
            if total[label] >= _SMALLEST:
                labels[used], weights[used] = label, total[label] / kept
                used += 1
            total[label] = 0.0
        counts[point] = used - starts[point]
    return starts, counts, labels, weights, maxima[:n_maxima]
