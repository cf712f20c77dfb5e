"""Electrons and D(ε) of each atom: a partition of space, Voronoi's or Bader's, integrated block by block.

    N_a = ∫ w_a(r) n(r) dr,    D_a(ε) = ∫ w_a(r) d(ε, r) dr,    Σ_a w_a(r) = 1

A task reads its block, and for Bader the density around it, makes the weights there (`maladist.physics.voronoi`,
`maladist.physics.bader`) and gives sums; the sums of the blocks are added in their order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Final, get_args

import numpy as np
import xarray as xr
from distributed import Client

from maladist import metadata
from maladist.arrays import Array, Indices
from maladist.choices import Partitioning
from maladist.elements import Element, check_same_files
from maladist.errors import InputError, PseudopotentialError, WorkerTooSmallError
from maladist.grid import Block, Blocks, Grid
from maladist.io import stores
from maladist.io.qe.upf import elements_of
from maladist.parallel import waves
from maladist.parallel.here import Runner
from maladist.parallel.workers import Workers
from maladist.physics.bader import WINDOW_BYTES, bader
from maladist.physics.core_points import core_charge_at
from maladist.physics.partition import Partition
from maladist.physics.system import System
from maladist.physics.voronoi import voronoi
from maladist.prediction.charged import Sums, added, by_atom
from maladist.prediction.place import are_few, client_or_here
from maladist.prediction.result import Prediction
from maladist.prediction.stored import StoredDensity, stored_density

_ONE_BLOCK: Final = 2**20
"""Points of a grid that is one block: what is around the parts of a smaller one would be most of it."""

_SIDE: Final = 64
"""Points along the side of a block of others, which with the density around it takes some hundred MB."""

_LEAST: Final = 8
"""Points along the longest side of a block that is not halved any more where there is no room."""


def charges(
    source: Prediction | str | Path,
    *,
    method: Partitioning = "bader",
    pseudopotentials: str | Path | Mapping[str, Element] | None = None,
    radius: float | None = None,
    temperature: float | None = None,
    client: Client | None = None,
) -> xr.Dataset:
    """Electrons, volume and D(ε) of each atom, after Bader or Voronoi.

    n(r) is that of the valence electrons, smooth in the cores: it need not have a maximum at a nucleus, and in a metal
    has most of them between the atoms. A basin of Bader's whose maximum is not an atom's is given to none. With
    ``pseudopotentials`` that have a core charge (PP_NLCC) the basins are those of n + n_core, which has one at each.

    Parameters
    ----------
    source
        A result or a snapshot with a density, as a Prediction or its store.
    method
        'bader': basins of the density's maxima, with the weights of Yu and Trinkle, J. Chem. Phys. 134, 064111 (2011);
        'voronoi': each point to the nearest atom, shared where several are as near.
    pseudopotentials
        Folder of UPF files, or elements by symbol such as ``load_model(...).elements``: valences, for net charges, and
        core charges, for Bader's basins.
    radius
        Bader: largest distance of a maximum from the atom that it belongs to, Å. Default: half the covalent radius,
        and at least the diagonal of a voxel.
    temperature
        Temperature of the electrons, K, of a store that has several.
    client
        Client whose workers compute. By default a small cell is computed in this process.

    Returns
    -------
    Dataset
        Along ``atom``: ``electrons``, ``volume`` (Å³), ``net_charge`` (valence less electrons; where the valence is
        known: from the pseudopotentials, or n_electrons of one element), ``position``, ``number``; with an LDOS in the
        store ``atom_dos`` (atom, energy), 1/eV. Along ``maximum``, of Bader's basins that belong to no atom:
        ``maximum_position``, the nearest atom ``maximum_atom`` and its ``maximum_distance`` (Å), ``maximum_electrons``,
        ``maximum_volume``, ``maximum_dos``; and ``vacuum_electrons``, ``vacuum_volume``, ``vacuum_dos`` of the points
        whose density is at most 1e-6 1/Å³. All of them together hold all electrons. float64. Attributes ``method`` and
        ``notes``.

    Raises
    ------
    InputError
        A method or a radius that is none; a temperature that the store has not.
    StoreError
        No density, or no atoms.
    PseudopotentialError
        The pseudopotential of an element is missing, or not that of the density.
    BlockError
        Basins that reach over more points than a worker has room for.

    Examples
    --------
    >>> found = maladist.charges("result.zarr", method="voronoi")
    >>> round(float(found.electrons.sum()), 6)
    4.0
    """
    if method not in get_args(Partitioning):
        raise InputError("method", repr(method), " or ".join(get_args(Partitioning)))
    if radius is not None and (method != "bader" or not 0 < radius < np.inf):
        came = f"{radius} Å" if method == "bader" else f"given with {method}"
        raise InputError("radius", came, "a positive distance in Å, for bader")
    dataset, density = stored_density(source, temperature, "source")
    elements = {} if pseudopotentials is None else _checked(elements_of(pseudopotentials), dataset)
    system = metadata.read_system(dataset, elements, source="source")
    with client_or_here(client, are_few(system.grid.n_points, "auto")) as runner:
        sums = _sums(dataset, density, system, method, runner)
    return by_atom(dataset, system, method, sums, radius)


@dataclass(frozen=True)
class _Work:
    """What the tasks share."""

    density: StoredDensity
    system: System
    method: Partitioning
    levels: int
    chunk: tuple[int, ...]
    most_points: int

    def partition(self, block: Block) -> Partition:
        system = self.system
        if self.method == "voronoi":
            return voronoi(system.grid, block, system.positions, system.numbers)
        return bader(self._uphill, system.grid, block, self.most_points)

    def _uphill(self, first: Indices, size: Indices) -> Array:
        """The density whose basins are sought: n + n_core, where that is known."""
        system = self.system
        core = core_charge_at(system.grid, first, size, system.positions, system.numbers, system.elements)
        return core + self.density.box(first, size, system.grid.shape)


def _sums(dataset: xr.Dataset, density: StoredDensity, system: System, method: Partitioning, runner: Runner) -> Sums:
    """Sums over all blocks, by label."""
    levels: int = 0
    chunk: tuple[int, ...] = (1, 1, 1)
    if "ldos" in dataset:
        levels, chunk = dataset.sizes["energy"], stores.open_array(density.path, "ldos", "r").chunks[:3]
    blocks = _blocks(system.grid, chunk)
    most = Workers.of(runner).room(8 * levels * math.prod(chunk)) // WINDOW_BYTES
    work = waves.share(runner, _Work(density, system, method, levels, chunk, most), run_key="charges")
    jobs = (waves.NamedJob(str(block.index), work, block) for block in blocks)
    return added(waves.in_order(runner, _block_charges, jobs, run_key="charges"))


def _blocks(grid: Grid, chunk: tuple[int, ...]) -> Blocks:
    """Blocks of whole chunks of the LDOS, so that each is read once."""
    if grid.n_points <= _ONE_BLOCK:
        return grid.blocks(grid.shape)
    return grid.blocks([n * max(1, _SIDE // n) for n in chunk])


def _block_charges(work: _Work, block: Block) -> Sums:
    """What each part of space holds of a block."""
    try:
        partition = work.partition(block)
    except WorkerTooSmallError:
        # A smaller block with what is around it has room sooner, and no block has other weights.
        axis = int(np.argmax(block.shape))
        if block.shape[axis] <= _LEAST:
            raise
        return added([_block_charges(work, half) for half in _halves(block, axis)])
    start, shape = np.array(block.start), np.array(block.shape)
    n = work.density.box(start, shape, work.system.grid.shape).ravel()
    values = [partition.sums(np.stack([n, np.ones_like(n)], axis=1))]
    if work.levels:
        values.append(np.zeros((len(partition.labels), work.levels)))
        for brick in _bricks(block, work.chunk):
            values[1] += _levels(work, block, partition, brick)
    return Sums(partition.labels, np.concatenate(values, axis=1) * work.system.grid.voxel_volume)


def _levels(work: _Work, block: Block, partition: Partition, brick: tuple[slice, ...]) -> Array:
    """Sums of the LDOS in a brick of a block."""
    ldos = stores.read_region(work.density.path, "ldos", brick)
    axes = [np.arange(s.start - a, s.stop - a) for s, a in zip(brick, block.start, strict=True)]
    points = np.ravel_multi_index(np.ix_(*axes), block.shape).ravel()
    return partition.at(points).sums(ldos.reshape(-1, work.levels))


def _bricks(block: Block, chunk: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """The parts of a block that lie in one chunk each."""
    cuts = [[a, *range(a // n * n + n, b, n), b] for a, b, n in zip(block.start, block.stop, chunk, strict=True)]
    return product(*([slice(a, b) for a, b in pairwise(ends)] for ends in cuts))


def _halves(block: Block, axis: int) -> list[Block]:
    middle = (block.start[axis] + block.stop[axis]) // 2
    (a, b, c), (d, e, f) = (np.where(np.arange(3) == axis, middle, end).tolist() for end in (block.start, block.stop))
    return [Block(block.index, block.start, (d, e, f)), Block(block.index, (a, b, c), block.stop)]


def _checked(elements: Mapping[str, Element], dataset: xr.Dataset) -> Mapping[str, Element]:
    """The elements of the cell, held against what the density's data tell of them."""
    for symbol in sorted(set(metadata.atoms_of(dataset).symbols)):
        if symbol not in elements or elements[symbol].valence is None:
            raise PseudopotentialError("pseudopotentials", f"none for {symbol}", "one for each element")
    check_same_files(elements, dataset.attrs.get("pseudopotentials", {}))
    return elements
