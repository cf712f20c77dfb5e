"""The bispectrum on a CPU: the stages of su2_moments.py and su2_nodes.py, tile by tile, compiled by numba and cached.

All that a tile of points needs stays in the L1 and L2 caches. Threads share nothing but the input: no BLAS, no OpenMP,
none of numba's threading layers. On one kind of processor a point's numbers are the same to the last bit whatever other
points, farther atoms or threads it is computed with: lanes do not mix, neighbours are summed in an order of their own.

Compiled code lies in numba's cache (beside this file, else in the user's folder; NUMBA_CACHE_DIR decides) by twojmax,
precision, processor and version of the sources; where nothing can be written, each process compiles for itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from threading import Lock

import numpy as np

from maladist.arrays import Array, Floats
from maladist.compiling import compiled
from maladist.descriptors.bispectrum import su2, su2_moments, su2_nodes
from maladist.descriptors.bispectrum.spec import CPU_TWOJMAX, BispectrumSpec
from maladist.descriptors.bispectrum.su2 import components
from maladist.descriptors.bispectrum.su2_moments import (
    NEIGHBOURS,
    moment_places,
    moments,
    norms,
    powers,
    powers_size,
    self_moments,
)
from maladist.descriptors.bispectrum.su2_nodes import circle, h_places, n_angles, products, sphere, sphere_constants
from maladist.descriptors.compiled import point_tiles, vector_code
from maladist.descriptors.compiled.point_tiles import (
    bin_atoms,
    candidates,
    checksum,
    compact_order,
    neighbours,
    share_tiles,
)
from maladist.descriptors.compiled.vector_code import aligned_empty, count_operations, lanes_of
from maladist.errors import InputError

_SLAB = 8 * NEIGHBOURS  # neighbours of a tile that are written out at a time; their number has no limit
_PAIRS = 8  # pairs of points of the sphere between changes of stage, which cost fetching other code
_LOCK = Lock()


def bispectrum_cpu(
    points: Array, positions: Array, weights: Array, spec: BispectrumSpec, dtype: np.dtype[np.floating], threads: int
) -> Floats:
    """Linear components of the bispectrum.

    Parameters
    ----------
    points, positions
        (n_points, 3) and (n_atoms, 3) float64, Å; atoms with their images written out, those beyond the cutoff do no
        harm.
    weights
        Weight of each atom, (n_atoms,) float64.
    spec
        Specification.
    dtype
        float32 or float64: of the work and of the result. Differences of positions are taken in float64.
    threads
        Threads to share the points.

    Returns
    -------
    array
        (n_points, n_components) of ``dtype``. Relative to a column's maximum, float64 is within 1e-13 of LAMMPS and
        float32 within 5e-6.

    Raises
    ------
    InputError
        twojmax > `CPU_TWOJMAX`.
    """
    refuse_large(spec)
    dtype = np.dtype(dtype)
    out = np.empty((len(points), len(components(spec.twojmax))), dtype)
    points = np.ascontiguousarray(points, dtype=np.float64)
    order, bins = compact_order(points, spec.cutoff), bin_atoms(positions, weights, points, spec.cutoff)
    lanes = lanes_of(dtype)
    with _LOCK:
        compute = tile_kernel(spec.twojmax, lanes, code_version())
    constants, map_ = Constants.of(spec.twojmax, dtype), radial_map(spec, dtype)

    def work(first: int, last: int) -> None:
        scratch = _scratch(spec.twojmax, lanes, dtype)
        tables = (map_, constants.start, constants.sphere, constants.factors)
        compute(points, order, bins, spec.cutoff, *tables, *scratch, out, first, last)

    share_tiles(work, -(-len(points) // lanes), threads)
    return out


def refuse_large(spec: BispectrumSpec) -> None:
    """Raise InputError where the code would be too large."""
    if spec.twojmax > CPU_TWOJMAX:
        wanted = f"at most {CPU_TWOJMAX} for backend 'cpu'"
        raise InputError("twojmax", f"{spec.twojmax}", wanted, "Take backend 'torch'.")


def radial_map(spec: BispectrumSpec, dtype: np.dtype[np.floating]) -> Floats:
    """What `powers` wants to know of the map from distances to angles."""
    return np.array([spec.rmin0, 1 / (spec.cutoff - spec.rmin0), spec.rfac0, float(spec.switch)], dtype)


@dataclass(frozen=True, eq=False)
class Constants:
    """Constants of the stages: the point's own moments, of `sphere`, and the factors j + 1."""

    start: Floats
    sphere: Floats
    factors: Floats

    @classmethod
    @lru_cache(maxsize=16)
    def of(cls, twojmax: int, dtype: np.dtype[np.floating]) -> Constants:
        """Constants for a twojmax, computed in float64."""
        factors = np.array([j + 1 for *_, j in components(twojmax)])
        return cls(*(x.astype(dtype) for x in (self_moments(twojmax), sphere_constants(twojmax), factors)))


def _scratch(twojmax: int, lanes: int, dtype: np.dtype[np.floating]) -> list[Floats]:
    """Buffers of one thread: neighbours, powers, moments, h, f, components."""
    shapes: list[tuple[int, ...]] = [
        (4 * _SLAB,),
        (NEIGHBOURS * powers_size(twojmax),),
        (len(moment_places(twojmax)),),
        (_PAIRS, 2 * len(h_places(twojmax))),
        (2 * n_angles(twojmax) * (twojmax + 1),),
        (len(components(twojmax)),),
    ]
    return [aligned_empty((*shape, lanes), dtype) for shape in shapes]


def operations(twojmax: int, n_neighbours: float, dtype: np.dtype[np.floating]) -> float:
    """Floating-point operations for a point, a fused one as two, without finding the neighbours."""
    count = partial(count_operations, twojmax, dtype)
    shared, nodes = count(powers, moments) / NEIGHBOURS, count(sphere, circle, products)
    return n_neighbours * shared + count(norms) + len(sphere_constants(twojmax)) * nodes


@lru_cache(maxsize=1)
def code_version() -> int:
    """Checksum of the sources that numba compiles into this file's kernel and does not watch."""
    return checksum(point_tiles, su2, su2_moments, su2_nodes, vector_code)


@lru_cache(maxsize=32)
def tile_kernel(twojmax: int, lanes: int, version: int) -> Callable[..., None]:
    """Numba's function for tiles first … last − 1; what it closes over is known to the compiler, and to the cache."""

    @compiled
    def compute(  # type: ignore[no-untyped-def]
        points, order, bins, cutoff, map_, start, constants, factors, near, ab, sums, h, f, b, out, first, last
    ):
        assert version >= 0  # names the version, so that it is part of the cache's key
        found, cursor = np.empty(len(bins.atoms) + 1, np.int64), np.empty(lanes, np.int64)
        slots = np.empty((lanes, _SLAB + 1), np.int64)
        for tile in range(first * lanes, last * lanes, lanes):
            n_found = candidates(points, order, tile, lanes, bins, cutoff, found)
            cursor[:] = 0
            for place in range(len(start)):
                sums[place] = start[place]
            n = _SLAB
            while n == _SLAB:
                n = neighbours(points, order, tile, lanes, bins.atoms, found[:n_found], cutoff, cursor, slots, near)
                for slot in range(0, n, NEIGHBOURS):
                    powers(twojmax, lanes, near, ab, map_, slot)
                    moments(twojmax, lanes, ab, sums, map_, 0)
            b[:] = 0
            norms(twojmax, lanes, sums, b, map_, 0)
            for batch in range(0, len(constants), _PAIRS):
                n_pairs = min(_PAIRS, len(constants) - batch)
                for i in range(n_pairs):
                    sphere(twojmax, lanes, sums, h[i], constants, (batch + i) * constants.shape[1])
                for i in range(n_pairs):
                    circle(twojmax, lanes, h[i], f, map_, 0)
                    products(twojmax, lanes, f, b, map_, 0)
            for lane in range(min(lanes, len(order) - tile)):
                i = order[tile + lane]
                for place in range(len(factors)):
                    out[i, place] = b[place, lane] * factors[place]

    return compute
