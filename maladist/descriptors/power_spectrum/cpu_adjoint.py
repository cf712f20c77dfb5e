"""Adjoint of the power spectrum on a CPU: the kernel of cpu.py as far as the moments, and back to the atoms."""

from __future__ import annotations

from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np

from maladist.arrays import Array, Floats
from maladist.compiling import compiled
from maladist.descriptors.compiled.point_tiles import (
    bin_atoms,
    candidates,
    checksum,
    compact_order,
    sum_portions,
)
from maladist.descriptors.compiled.vector_code import aligned_empty, count_operations, lanes_of
from maladist.descriptors.power_spectrum import stages_adjoint
from maladist.descriptors.power_spectrum.cpu import code_version, points_of_tile, scale_of, write_neighbours
from maladist.descriptors.power_spectrum.spec import PowerSpectrumSpec, n_features
from maladist.descriptors.power_spectrum.stages import (
    NEIGHBOURS,
    encode,
    functions,
    functions_size,
    moment_places,
    moments,
)
from maladist.descriptors.power_spectrum.stages_adjoint import (
    Places,
    contractions,
    functions_and_slopes,
    gradients,
    products_adjoint,
)
from maladist.descriptors.spec import Adjoint

_LOCK = Lock()


def power_spectrum_adjoint(
    points: Array, positions: Array, spec: PowerSpectrumSpec, cotangent: Floats, threads: int
) -> Adjoint:
    """Derivatives of Σ_r c(r)·features(r) of atoms that are all alike.

    Parameters
    ----------
    points, positions, spec, threads
        As for `power_spectrum_cpu`.
    cotangent
        c, (n_points, n_features); its dtype, float32 or float64, is that of the work.
    """
    points, dtype = np.ascontiguousarray(points, dtype=np.float64), cotangent.dtype
    order, bins = compact_order(points, spec.cutoff), bin_atoms(positions, np.ones(len(positions)), points, spec.cutoff)
    lanes, n_moments = lanes_of(dtype), len(moment_places(spec.radial))
    with _LOCK:
        compute = tile_adjoint(encode(spec.radial), lanes, adjoint_version())
    of_pairs, pairs = NEIGHBOURS * functions_size(spec.radial), NEIGHBOURS * Places.of(spec.radial).size + 9
    sizes = (4 * NEIGHBOURS, of_pairs, pairs, n_moments, n_moments, n_features(spec.radial))
    cotangent, scale = np.ascontiguousarray(cotangent), scale_of(spec, dtype)

    def work(portion: tuple[int, int], by_atom: Array, by_strain: Array) -> None:
        scratch = tuple(aligned_empty((size, lanes), dtype) for size in sizes)
        compute(points, order, bins, spec.cutoff, scale, scratch, cotangent, portion, by_atom, by_strain)

    return sum_portions(work, -(-len(points) // lanes), bins, len(positions), threads)


def adjoint_operations(spec: PowerSpectrumSpec, n_neighbours: float, dtype: np.dtype[np.floating]) -> float:
    """Floating-point operations for a point, a fused one as two, of neighbours in the cutoff only."""
    order = encode(spec.radial)
    of_pairs = count_operations(order, dtype, functions, moments, functions_and_slopes, contractions, gradients)
    return n_neighbours * of_pairs / NEIGHBOURS + count_operations(order, dtype, products_adjoint)


@lru_cache(maxsize=1)
def adjoint_version() -> int:
    """Checksum of the sources, as `code_version`."""
    return checksum(stages_adjoint, before=code_version())


@lru_cache(maxsize=32)
def tile_adjoint(encoded: int, lanes: int, version: int) -> Any:
    """Numba's function for the tiles of a portion; it adds to the gradients of atoms, by bins, and to the virial."""

    @compiled
    def compute(  # type: ignore[no-untyped-def]
        points, order, bins, cutoff, scale, scratch, cotangent, portion, by_atom, by_strain
    ):
        assert version >= 0  # names the version, so that it is part of the cache's key
        near, of_pairs, pairs, sums, by_sums, c = scratch
        size = (len(pairs) - 9) // NEIGHBOURS
        found, at = np.empty(len(bins.atoms) + 1, np.int64), np.empty((3, lanes))
        for tile in range(portion[0] * lanes, portion[1] * lanes, lanes):
            n = candidates(points, order, tile, lanes, bins, cutoff, found)
            points_of_tile(points, order, tile, at)
            sums[:] = 0
            for begin in range(0, n, NEIGHBOURS):
                some = found[begin : min(begin + NEIGHBOURS, n)]
                write_neighbours(at, bins.atoms, some, cutoff, near)
                functions(encoded, lanes, near, of_pairs, scale, 0)
                moments(encoded, lanes, of_pairs, sums, scale, 0)
            for lane in range(lanes):
                inside = tile + lane < len(order)  # a lane without a point pulls at nothing
                for place in range(len(c)):
                    c[place, lane] = cotangent[order[tile + lane], place] if inside else 0.0
            products_adjoint(encoded, lanes, sums, by_sums, c, 0)
            pairs[len(pairs) - 9 :] = 0
            for begin in range(0, n, NEIGHBOURS):
                some = found[begin : min(begin + NEIGHBOURS, n)]
                write_neighbours(at, bins.atoms, some, cutoff, near)
                functions_and_slopes(encoded, lanes, near, pairs, scale, 0)
                contractions(encoded, lanes, by_sums, pairs, scale, 0)
                gradients(encoded, lanes, near, pairs, scale, 0)
                for i in range(len(some)):
                    x, y, z = 0.0, 0.0, 0.0  # three sums at a time, each of which waits for itself
                    for lane in range(lanes):
                        x += pairs[i * size, lane]
                        y += pairs[i * size + 1, lane]
                        z += pairs[i * size + 2, lane]
                    by_atom[some[i], 0] += x
                    by_atom[some[i], 1] += y
                    by_atom[some[i], 2] += z
            for i in range(9):
                for lane in range(lanes):
                    by_strain[i] += pairs[len(pairs) - 9 + i, lane]

    return compute
