"""The power spectrum on a CPU: the stages of stages.py, tile by tile, compiled by numba and cached.

The neighbours of a tile are one list for all of its points, which lie close together: to sum over some that a point
does not see is cheaper than to find a list for each. They come in an order that is fixed in space, so a point's numbers
are the same to the last bit for one block and for many, and for any number of threads. Caching is the bispectrum's.
"""

from __future__ import annotations

from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np

from maladist.arrays import Array, Floats
from maladist.compiling import compiled
from maladist.descriptors import harmonics
from maladist.descriptors.compiled import point_tiles, vector_code
from maladist.descriptors.compiled.point_tiles import (
    bin_atoms,
    candidates,
    checksum,
    compact_order,
    share_tiles,
)
from maladist.descriptors.compiled.vector_code import aligned_empty, count_operations, lanes_of
from maladist.descriptors.power_spectrum import spec as spec_module
from maladist.descriptors.power_spectrum import stages
from maladist.descriptors.power_spectrum.spec import PowerSpectrumSpec, n_features
from maladist.descriptors.power_spectrum.stages import (
    NEIGHBOURS,
    encode,
    functions,
    functions_size,
    moment_places,
    moments,
    products,
)

_LOCK = Lock()


def power_spectrum_cpu(
    points: Array, positions: Array, spec: PowerSpectrumSpec, dtype: np.dtype[np.floating], threads: int
) -> Floats:
    """Features of atoms that are all alike.

    Parameters
    ----------
    points, positions
        (n_points, 3) and (n_atoms, 3) float64, Å; atoms with their images written out, those beyond the cutoff do no
        harm.
    spec
        Specification; its elements do not count here.
    dtype
        float32 or float64: of the work and of the result. Differences of positions are taken in float64.
    threads
        Threads to share the points.

    Returns
    -------
    array
        (n_points, n_features) of ``dtype``.
    """
    dtype, radial = np.dtype(dtype), spec.radial
    out = np.empty((len(points), n_features(radial)), dtype)
    points = np.ascontiguousarray(points, dtype=np.float64)
    order, bins = compact_order(points, spec.cutoff), bin_atoms(positions, np.ones(len(positions)), points, spec.cutoff)
    lanes = lanes_of(dtype)
    with _LOCK:
        compute = tile_kernel(encode(radial), lanes, code_version())
    sizes = (4 * NEIGHBOURS, NEIGHBOURS * functions_size(radial), len(moment_places(radial)), out.shape[1])

    def work(first: int, last: int) -> None:
        scratch = [aligned_empty((size, lanes), dtype) for size in sizes]
        compute(points, order, bins, spec.cutoff, scale_of(spec, dtype), *scratch, out, first, last)

    share_tiles(work, -(-len(points) // lanes), threads)
    return out


def scale_of(spec: PowerSpectrumSpec, dtype: np.dtype[np.floating]) -> Floats:
    """What `functions` wants to know: 1/r_c."""
    return np.array([1 / spec.cutoff], dtype)


def operations(spec: PowerSpectrumSpec, n_neighbours: float, dtype: np.dtype[np.floating]) -> float:
    """Floating-point operations for a point, a fused one as two, of neighbours in the cutoff only."""
    order = encode(spec.radial)
    shared = count_operations(order, dtype, functions, moments) / NEIGHBOURS
    return n_neighbours * shared + count_operations(order, dtype, products)


@lru_cache(maxsize=1)
def code_version() -> int:
    """Checksum of the sources that numba compiles into this file's kernel and does not watch."""
    return checksum(point_tiles, stages, spec_module, harmonics, vector_code)


@compiled
def points_of_tile(points, order, tile, at):  # type: ignore[no-untyped-def]
    """Write the points of a tile to at[axis, lane]; the last one once more where there are fewer than lanes."""
    for lane in range(at.shape[1]):
        point = order[min(tile + lane, len(order) - 1)]
        for axis in range(3):
            at[axis, lane] = points[point, axis]


@compiled
def write_neighbours(at, atoms, found, cutoff, near):  # type: ignore[no-untyped-def]
    """Write vector and weight of some atoms to near[4·i … 4·i + 3, lane]; beyond the cutoff, and where none is, 0."""
    for i in range(len(near) // 4):
        inside = i < len(found)
        atom = found[i] if inside else 0
        x, y, z, weight = atoms[atom, 0], atoms[atom, 1], atoms[atom, 2], atoms[atom, 3] if inside else 0.0
        dx, dy, dz, weights = near[4 * i], near[4 * i + 1], near[4 * i + 2], near[4 * i + 3]
        for lane in range(at.shape[1]):
            a, b, c = x - at[0, lane], y - at[1, lane], z - at[2, lane]
            dx[lane], dy[lane], dz[lane] = a, b, c
            weights[lane] = weight if a * a + b * b + c * c < cutoff * cutoff else 0.0


@lru_cache(maxsize=32)
def tile_kernel(encoded: int, lanes: int, version: int) -> Any:
    """Numba's function for tiles first … last − 1; what it closes over is known to the compiler, and to the cache."""

    @compiled
    def compute(  # type: ignore[no-untyped-def]
        points, order, bins, cutoff, scale, near, of_pairs, sums, features, out, first, last
    ):
        assert version >= 0  # names the version, so that it is part of the cache's key
        found, at = np.empty(len(bins.atoms) + 1, np.int64), np.empty((3, lanes))
        for tile in range(first * lanes, last * lanes, lanes):
            n = candidates(points, order, tile, lanes, bins, cutoff, found)
            points_of_tile(points, order, tile, at)
            sums[:] = 0
            for begin in range(0, n, NEIGHBOURS):
                some = found[begin : min(begin + NEIGHBOURS, n)]
                write_neighbours(at, bins.atoms, some, cutoff, near)
                functions(encoded, lanes, near, of_pairs, scale, 0)
                moments(encoded, lanes, of_pairs, sums, scale, 0)
            products(encoded, lanes, sums, features, scale, 0)
            for lane in range(min(lanes, len(order) - tile)):
                i = order[tile + lane]
                for place in range(len(features)):
                    out[i, place] = features[place, lane]

    return compute
