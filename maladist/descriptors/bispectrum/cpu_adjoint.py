"""Adjoint of the bispectrum on a CPU: the kernel of cpu.py as far as f_n, and from there back to the atoms.

The stages back are those of su2_nodes_adjoint.py and su2_moments_adjoint.py.
A tile keeps nothing from the kernel that made the descriptors: it computes moments and f_n again, which costs less than
reading them. It is compiled when it is first asked for, and cached as the kernel is.
"""

from __future__ import annotations

from functools import lru_cache, partial
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from maladist.arrays import Array, Floats
from maladist.compiling import compiled
from maladist.descriptors.bispectrum import su2_moments_adjoint, su2_nodes_adjoint
from maladist.descriptors.bispectrum.cpu import Constants, code_version, radial_map, refuse_large
from maladist.descriptors.bispectrum.spec import BispectrumSpec
from maladist.descriptors.bispectrum.su2 import components
from maladist.descriptors.bispectrum.su2_moments import NEIGHBOURS, moment_places, moments, powers, powers_size
from maladist.descriptors.bispectrum.su2_moments_adjoint import (
    contractions,
    fold,
    gradients,
    norms_adjoint,
    pair_size,
    unit_powers,
)
from maladist.descriptors.bispectrum.su2_nodes import circle, h_places, n_angles, sphere
from maladist.descriptors.bispectrum.su2_nodes_adjoint import PAIRS, circle_adjoint, products_adjoint, sphere_adjoint
from maladist.descriptors.compiled.point_tiles import (
    bin_atoms,
    candidates,
    checksum,
    compact_order,
    neighbours,
    sum_portions,
)
from maladist.descriptors.compiled.vector_code import aligned_empty, count_operations, lanes_of
from maladist.descriptors.spec import Adjoint

_SLAB = 8 * NEIGHBOURS  # neighbours of a tile that are written out at a time; if there are more, once more going back
_LOCK = Lock()


def bispectrum_adjoint(
    points: Array, positions: Array, weights: Array, spec: BispectrumSpec, cotangent: Floats, threads: int
) -> Adjoint:
    """Derivatives of Σ_r c(r)·B(r), B the linear components.

    Parameters
    ----------
    points, positions, weights, spec, threads
        As for `bispectrum_cpu`.
    cotangent
        c, (n_points, n_components); its dtype, float32 or float64, is that of the work.

    Returns
    -------
    Adjoint
        Relative to the largest component, float64 is within 1e-12 of autograd's and float32 within 1e-5.

    Raises
    ------
    InputError
        twojmax > `CPU_TWOJMAX`.
    """
    refuse_large(spec)
    points, dtype = np.ascontiguousarray(points, dtype=np.float64), cotangent.dtype
    order, bins = compact_order(points, spec.cutoff), bin_atoms(positions, weights, points, spec.cutoff)
    lanes = lanes_of(dtype)
    with _LOCK:
        compute = tile_adjoint(spec.twojmax, lanes, adjoint_version())
    tables = _Tables.of(spec, dtype)
    cotangent = np.ascontiguousarray(cotangent)

    def work(portion: tuple[int, int], by_atom: Array, by_strain: Array) -> None:
        scratch = _Scratch.empty(spec.twojmax, lanes, dtype)
        compute(points, order, bins, spec.cutoff, tables, scratch, cotangent, portion, by_atom, by_strain)

    return sum_portions(work, -(-len(points) // lanes), bins, len(positions), threads)


class _Tables(NamedTuple):
    """Constants of the stages; those of `sphere` for ``n_pairs`` pairs of points, then zeros to a multiple of PAIRS."""

    map_: Floats
    start: Floats
    sphere: Floats
    factors: Floats
    n_pairs: int

    @classmethod
    def of(cls, spec: BispectrumSpec, dtype: np.dtype[np.floating]) -> _Tables:
        constants = Constants.of(spec.twojmax, dtype)
        n_pairs = len(constants.sphere)
        padded = np.pad(constants.sphere, ((0, -n_pairs % PAIRS), (0, 0)))
        return cls(radial_map(spec, dtype), constants.start, padded, constants.factors, n_pairs)


class _Scratch(NamedTuple):
    """Buffers of a thread, vectors: see `tile_adjoint`."""

    near: Floats
    powers: Floats
    moments: Floats
    by_moments: Floats
    h: Floats
    f: Floats
    k: Floats
    pairs: Floats

    @classmethod
    def empty(cls, twojmax: int, lanes: int, dtype: np.dtype[np.floating]) -> _Scratch:
        n_moments = len(moment_places(twojmax))
        shapes: list[tuple[int, ...]] = [
            (4 * _SLAB,),
            (NEIGHBOURS * powers_size(twojmax),),
            (n_moments,),
            (n_moments,),
            (PAIRS, 2 * len(h_places(twojmax))),
            (2 * n_angles(twojmax) * (twojmax + 1),),
            (len(components(twojmax)),),
            (NEIGHBOURS * pair_size(twojmax) + 9,),
        ]
        return cls(*(aligned_empty((*shape, lanes), dtype) for shape in shapes))


def adjoint_operations(twojmax: int, n_neighbours: float, dtype: np.dtype[np.floating]) -> float:
    """Floating-point operations for a point, a fused one as two, without finding the neighbours or adding to atoms."""
    count = partial(count_operations, twojmax, dtype)
    n_pairs = len(Constants.of(twojmax, np.dtype(dtype)).sphere)
    of_neighbour = count(powers, moments, unit_powers, contractions, gradients) / NEIGHBOURS
    of_pair = count(sphere, circle, products_adjoint, circle_adjoint) + count(sphere_adjoint) / PAIRS
    return n_neighbours * of_neighbour + n_pairs * of_pair + count(norms_adjoint, fold)


@lru_cache(maxsize=1)
def adjoint_version() -> int:
    """Checksum of the sources, as `code_version`."""
    return checksum(su2_moments_adjoint, su2_nodes_adjoint, before=code_version())


@lru_cache(maxsize=32)
def tile_adjoint(twojmax: int, lanes: int, version: int) -> Any:
    """Numba's function for the tiles of a portion; it adds to the gradients of atoms, by bins, and to the virial."""

    @compiled
    def compute(  # type: ignore[no-untyped-def]
        points, order, bins, cutoff, tables, scratch, cotangent, portion, by_atom, by_strain
    ):
        assert version >= 0  # names the version, so that it is part of the cache's key
        map_, sphere_of, k, h, f = tables.map_, tables.sphere, scratch.k, scratch.h, scratch.f
        near, ab, m, dm, pairs = scratch.near, scratch.powers, scratch.moments, scratch.by_moments, scratch.pairs
        found, cursor = np.empty(len(bins.atoms) + 1, np.int64), np.empty(lanes, np.int64)
        slots = np.zeros((lanes, _SLAB + 1), np.int64)  # an atom in every slot: in those not in use 0 is added to it
        h[:] = 0  # pairs of points that are not there have constants 0, and must not have NaN
        for tile in range(portion[0] * lanes, portion[1] * lanes, lanes):
            n_found = candidates(points, order, tile, lanes, bins, cutoff, found)
            cursor[:] = 0
            for place in range(len(m)):
                m[place] = tables.start[place]
            n, n_slabs = _SLAB, 0
            while n == _SLAB:
                n = neighbours(points, order, tile, lanes, bins.atoms, found[:n_found], cutoff, cursor, slots, near)
                n_slabs += 1
                for slot in range(0, n, NEIGHBOURS):
                    powers(twojmax, lanes, near, ab, map_, slot)
                    moments(twojmax, lanes, ab, m, map_, 0)
            for lane in range(lanes):
                for place in range(len(k)):
                    inside = tile + lane < len(order)
                    k[place, lane] = tables.factors[place] * cotangent[order[tile + lane], place] if inside else 0.0
            norms_adjoint(twojmax, lanes, m, dm, k, 0)
            for batch in range(0, tables.n_pairs, PAIRS):
                n_pairs = min(PAIRS, tables.n_pairs - batch)
                for i in range(n_pairs):
                    sphere(twojmax, lanes, m, h[i], sphere_of, (batch + i) * sphere_of.shape[1])
                for i in range(n_pairs):
                    circle(twojmax, lanes, h[i], f, map_, 0)
                    products_adjoint(twojmax, lanes, k, f, map_, 0)
                    circle_adjoint(twojmax, lanes, f, h[i], map_, 0)
                sphere_adjoint(twojmax, lanes, h, dm, sphere_of, batch * sphere_of.shape[1])
            fold(twojmax, lanes, dm, dm, map_, 0)
            pairs[len(pairs) - 9 :] = 0
            if n_slabs > 1:
                cursor[:] = 0
            while True:
                if n_slabs > 1:
                    n = neighbours(points, order, tile, lanes, bins.atoms, found[:n_found], cutoff, cursor, slots, near)
                for slot in range(0, n, NEIGHBOURS):
                    unit_powers(twojmax, lanes, near, pairs, map_, slot)
                    contractions(twojmax, lanes, pairs, dm, map_, 0)
                    gradients(twojmax, lanes, near, pairs, map_, slot)
                    for i in range(NEIGHBOURS):
                        for lane in range(lanes):
                            atom = slots[lane, slot + i]
                            for d in range(3):
                                by_atom[atom, d] += pairs[2 * i * (len(ab) // NEIGHBOURS) + d, lane]
                if n < _SLAB:
                    break
            for i in range(9):
                for lane in range(lanes):
                    by_strain[i] += pairs[len(pairs) - 9 + i, lane]

    return compute
