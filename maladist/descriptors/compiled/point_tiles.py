"""Points in tiles, and the neighbours of each tile, for kernels in which a lane of a vector is a point.

A tile is as many points as a vector has lanes, taken in an order in which points of a tile are close to one another, so
they share a list of candidates. The neighbours of a point come in an order that is fixed in space, whatever other
points and atoms there are: by bins anchored at the origin, then by position. With kernels that add them up in that
order, a point's numbers are the same to the last bit for one block and for many.
"""

from __future__ import annotations

import inspect
import math
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import NamedTuple

import numpy as np

from maladist.arrays import Array, Indices
from maladist.compiling import compiled
from maladist.descriptors.spec import COINCIDENT, Adjoint

_MOST_BINS = 2**22
_PORTION = 32  # tiles whose gradients are summed by themselves


class Bins(NamedTuple):
    """Atoms sorted by bins.

    Attributes
    ----------
    atoms
        x, y, z in Å and weight, (n_atoms, 4).
    starts
        Where the atoms of each bin start, (nx, ny, nz + 1); the last of a row is where its last bin ends.
    corner
        Index of the first bin counted from the origin, (3,), as floats.
    width
        Å.
    rows
        Where each of ``atoms`` was among those given, (n,); fewer than ``atoms`` where none was near.
    """

    atoms: Array
    starts: Indices
    corner: Array
    width: float
    rows: Indices


def compact_order(points: Array, cutoff: float) -> Indices:
    """Order in which consecutive points are near one another: by cubes, as given within a cube.

    Cubes of a quarter of the cutoff hold many points of a grid; where points are sparse, cubes that hold about 16.
    """
    xyz = np.ascontiguousarray(points.T)  # axis by axis: numpy is many times faster along contiguous numbers
    low = xyz.min(axis=1)
    extent = xyz.max(axis=1) - low
    sparse = np.cbrt(16 * np.prod(np.maximum(extent, cutoff / 4)) / len(points))
    cubes = ((xyz - low[:, None]) / max(cutoff / 4, float(sparse))).astype(np.int64)
    shape = tuple(cubes.max(axis=1) + 1)
    flat = np.ravel_multi_index(tuple(cubes), shape)
    # Numbers of 16 bits are sorted by their digits, ten times as fast.
    return np.argsort(flat.astype(np.uint16) if math.prod(shape) <= 2**16 else flat, kind="stable")


def bin_atoms(positions: Array, weights: Array, points: Array, cutoff: float) -> Bins:
    """Sort the atoms that points may see into bins of a third of the cutoff (wider if those were too many)."""
    xyz = np.ascontiguousarray(points.T)
    near = np.all((positions >= xyz.min(axis=1) - cutoff) & (positions <= xyz.max(axis=1) + cutoff), axis=1)
    atoms = np.column_stack([positions[near], weights[near]])
    width = cutoff / 3
    if not len(atoms):
        return Bins(np.zeros((1, 4)), np.zeros((1, 1, 2), np.int64), np.zeros(3), width, np.zeros(0, np.int64))
    while np.prod(np.ptp(atoms[:, :3], axis=0) // width + 2) > _MOST_BINS:
        width *= 2
    bins = np.floor(atoms[:, :3] / width).astype(np.int64)
    corner, shape = bins.min(axis=0), np.ptp(bins, axis=0) + 1
    flat = np.ravel_multi_index(tuple((bins - corner).T), tuple(shape))
    order = np.lexsort((atoms[:, 3], atoms[:, 2], atoms[:, 1], atoms[:, 0], flat))
    rows = np.arange(shape[0] * shape[1])[:, None] * shape[2]
    starts = np.searchsorted(flat[order], rows + np.arange(shape[2] + 1)).reshape(shape[0], shape[1], -1)
    return Bins(
        np.ascontiguousarray(atoms[order]), starts, corner.astype(np.float64), width, np.flatnonzero(near)[order]
    )


def share_tiles(work: Callable[[int, int], None], n_tiles: int, threads: int) -> None:
    """Call work(first, last) for all tiles; each thread takes several parts, since they differ in neighbours."""
    if min(threads, n_tiles) <= 1:
        work(0, n_tiles)
        return
    edges = np.linspace(0, n_tiles, min(n_tiles, 8 * threads) + 1).astype(int).tolist()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, edges[:-1], edges[1:]))


def sum_portions(
    work: Callable[[tuple[int, int], Array, Array], None], n_tiles: int, bins: Bins, n_atoms: int, threads: int
) -> Adjoint:
    """Sum what ``work`` finds for all tiles.

    Gradients of a portion of tiles, which no number of threads changes, are summed in float64, and portions in their
    order: so threads do not change a bit.

    Parameters
    ----------
    work
        Called as work((first, last), by_atom, by_strain); adds to the gradients of ``bins.atoms``, (n, 3), and to the
        nine numbers of the virial.
    n_atoms
        How many atoms there are, with those that are not in ``bins``.
    """

    def portion(first: int) -> tuple[Array, Array]:
        by_atom, by_strain = np.zeros((len(bins.atoms), 3)), np.zeros(9)
        work((first, min(first + _PORTION, n_tiles)), by_atom, by_strain)
        return by_atom, by_strain

    gradient, virial, total = np.zeros((n_atoms, 3)), np.zeros((3, 3)), np.zeros((len(bins.atoms), 3))
    with ThreadPoolExecutor(max(1, threads)) as pool:
        for by_atom, by_strain in pool.map(portion, range(0, n_tiles, _PORTION)):
            total += by_atom
            virial += by_strain.reshape(3, 3)
    gradient[bins.rows] = total[: len(bins.rows)]
    return Adjoint(gradient, virial)


def checksum(*modules: ModuleType, before: int = 0) -> int:
    """Checksum of sources, which numba does not watch where it compiles them into a kernel, after one of others."""
    return zlib.crc32("".join(map(inspect.getsource, modules)).encode(), before)


@compiled
def candidates(points, order, first, lanes, bins, cutoff, found):  # type: ignore[no-untyped-def]
    """Find the atoms within the cutoff of the box around a tile's points; indices go to ``found``.

    Returns
    -------
    int
        How many.
    """
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for lane in range(lanes):
        i = order[min(first + lane, len(order) - 1)]
        for d in range(3):
            low[d], high[d] = min(low[d], points[i, d]), max(high[d], points[i, d])
    reach = cutoff * (1 + 1e-12)
    begin, end = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for d in range(3):
        n_bins = bins.starts.shape[d] - (1 if d == 2 else 0)
        begin[d] = min(max(np.floor((low[d] - reach) / bins.width) - bins.corner[d], 0.0), float(n_bins))
        end[d] = max(min(np.floor((high[d] + reach) / bins.width) - bins.corner[d] + 1, float(n_bins)), float(begin[d]))
    count = 0
    for ix in range(begin[0], end[0]):
        for iy in range(begin[1], end[1]):
            for k in range(bins.starts[ix, iy, begin[2]], bins.starts[ix, iy, end[2]]):
                square = 0.0
                for d in range(3):
                    outside = max(low[d] - bins.atoms[k, d], bins.atoms[k, d] - high[d], 0.0)
                    square += outside * outside
                found[count] = k
                count += square < reach * reach
    return count


@compiled
def neighbours(points, order, first, lanes, atoms, found, cutoff, cursor, slots, near):  # type: ignore[no-untyped-def]
    """Write the next neighbours of a tile's points: vector and weight, to near[4·slot … 4·slot + 3, lane].

    Parameters
    ----------
    found
        The candidates of the tile.
    cursor
        For each lane the next candidate to look at; advanced.
    slots
        Scratch, (lanes, slots + 1); its width says how many neighbours to take at most.

    Returns
    -------
    int
        Slots in use by some lane; in the others of them, and in all that follow, the weight is 0.
    """
    size, most = slots.shape[1] - 1, 0
    for lane in range(lanes):
        i = order[min(first + lane, len(order) - 1)]
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        k, n = cursor[lane], 0
        while k < len(found) and n < size:
            atom = found[k]
            dx, dy, dz = atoms[atom, 0] - x, atoms[atom, 1] - y, atoms[atom, 2] - z
            slots[lane, n] = atom
            n += dx * dx + dy * dy + dz * dz < cutoff * cutoff
            k += 1
        cursor[lane], most = k, max(most, n)
        for s in range(n):
            atom = slots[lane, s]
            dx, dy, dz = atoms[atom, 0] - x, atoms[atom, 1] - y, atoms[atom, 2] - z
            if dx * dx + dy * dy + dz * dz <= 1e-20:
                dx, dy, dz = 0.0, 0.0, COINCIDENT
            near[4 * s, lane], near[4 * s + 1, lane], near[4 * s + 2, lane] = dx, dy, dz
            near[4 * s + 3, lane] = atoms[atom, 3]
        for s in range(n, size):  # anywhere but at the point
            near[4 * s, lane], near[4 * s + 1, lane], near[4 * s + 2, lane], near[4 * s + 3, lane] = (
                cutoff,
                0.0,
                0.0,
                0.0,
            )
    return most
