"""From snapshots to the points that a network learns from: chosen, described and measured in one pass on Dask.

A task takes one chunk of a snapshot's LDOS as it lies on disk: it reads the chunk, picks the chosen points, takes their
stored descriptors or computes them, keeps the rows in files of their own and returns the moments that the scalers are
fitted from. The rows of a training are kept in random order, so that any part of a file is a fair share of its chunk.
Where all points of a snapshot with stored descriptors are wanted, nothing is kept: the store itself is read, by chunks.
Nothing larger than a chunk is ever in memory. A second pass over the same samples finds the rows and computes nothing.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from operator import add
from pathlib import Path
from typing import Final

import numpy as np
import torch
from distributed import Client

from maladist.arrays import Indices
from maladist.datasets.snapshots import Snapshot
from maladist.descriptors import Spec
from maladist.descriptors.dispatch import batches
from maladist.errors import InputError
from maladist.grid import Block
from maladist.io import stores
from maladist.io.samples import Rows, read_rows, write_rows
from maladist.learning.scaling import Moments
from maladist.neighbors import CellList, LocalAtoms
from maladist.parallel import waves

_LEVELS: Final = 4096  # rows whose deviations exist in float64 at one time


@dataclass(frozen=True)
class Chunk:
    """The chosen points of one chunk of a snapshot, and where their rows are.

    Attributes
    ----------
    snapshot
        Number of the snapshot.
    rows
        Number of chosen points.
    store, block
        Group of the snapshot, and the part of its arrays that holds what no file of its own does.
    fields
        Arrays of the snapshot that are learnt: 'ldos', and 'density' where there is a channel for it; or this alone.
    features, targets
        Files of rows; empty where the store's arrays are read.
    start
        Number of its first row in the files.
    """

    snapshot: int
    rows: int
    store: str
    block: Block
    fields: tuple[str, ...] = ("ldos",)
    features: str = ""
    targets: str = ""
    start: int = 0

    def split(self, size: int) -> list[Chunk]:
        """Parts of about ``size`` rows, none smaller; itself where the store is read, which has no smaller parts."""
        if not self.features:
            return [self]
        ends = np.linspace(0, self.rows, max(1, self.rows // size) + 1).astype(int).tolist()
        return [replace(self, rows=b - a, start=self.start + a) for a, b in pairwise(ends)]

    def read(self) -> tuple[Rows, Rows]:
        """Descriptors and targets of its points, in the same order every time.

        Returns
        -------
        features
            (rows, features) float32.
        targets
            (rows, columns) float32: the LDOS, 1/(eV Å³), then the density, 1/Å³, where it is learnt, then the potential
            of the double counting, eV, where the loss needs it.
        """
        if not self.features:
            targets = [read_block(self.store, name, self.block) for name in self.fields]
            return read_block(self.store, "descriptors", self.block), np.concatenate(targets, axis=1)
        stop = self.start + self.rows
        return read_rows(self.features, self.start, stop), read_rows(self.targets, self.start, stop)


@dataclass(frozen=True)
class Sampled:
    """Chunks of a list of snapshots, and the moments of what is in them.

    Attributes
    ----------
    chunks
        Chunks, by snapshot, then by place.
    features, ldos, rest
        Moments of descriptors, of the LDOS, and of the targets after it (none, or one column or two).
    hashes
        SHA-256 of each snapshot's chosen targets, hexadecimal.
    """

    chunks: tuple[Chunk, ...]
    features: Moments
    ldos: Moments
    rest: Moments
    hashes: tuple[str, ...]


@dataclass(frozen=True)
class Wanted:
    """What is wanted of every snapshot.

    Attributes
    ----------
    spec
        Descriptor; read where a snapshot holds the same, else computed.
    points
        Points to choose of each snapshot: a fraction up to 1, or a number above.
    folder
        Folder of the rows; files that are there are taken as they are.
    seed
        Seed of the choice and of the order.
    shuffled
        Whether kept rows are in random order, else in the order of the grid.
    cross
        Whether the moments of descriptors and of the LDOS need the products of features.
    fields
        Arrays of the snapshots to be learnt.
    """

    spec: Spec
    points: float
    folder: Path
    seed: int = 0
    shuffled: bool = False
    cross: tuple[bool, bool] = (False, False)
    fields: tuple[str, ...] = ("ldos",)


def sample(snapshots: Sequence[Snapshot], wanted: Wanted, client: Client) -> Sampled:
    """Choose the points of snapshots and make them ready to be read.

    Raises
    ------
    BlockError
        A task failed; names its snapshot and chunk.
    """
    wanted.folder.mkdir(parents=True, exist_ok=True)
    jobs = (job for i, s in enumerate(snapshots) for job in _jobs(i, s, wanted))
    sampled = waves.in_order(client, sample_chunk, jobs, run_key="sample")
    # In the order of the chunks: moments and hashes are the same bits whichever worker was first.
    digests = [hashlib.sha256() for _ in snapshots]
    for one in sampled:
        digests[one.chunk.snapshot].update(one.digest)
    features, ldos, rest = (reduce(add, (s.moments[i] for s in sampled)) for i in range(3))
    return Sampled(tuple(s.chunk for s in sampled), features, ldos, rest, tuple(d.hexdigest() for d in digests))


def number_of_points(points: float, total: int) -> int:
    """How many points of a snapshot a fraction or a number stands for, at least one."""
    return max(1, round(points * total)) if points <= 1 else min(int(points), total)


def _jobs(number: int, snapshot: Snapshot, wanted: Wanted) -> Iterator[waves.NamedJob]:
    spec, seed = wanted.spec, wanted.seed
    grid, stored = snapshot.system.grid, snapshot.stored == spec
    n = number_of_points(wanted.points, grid.n_points)
    every = n == grid.n_points
    chosen = None if every else _by_block(_choose(snapshot, n, seed), snapshot)
    cells = CellList(grid.cell_array, snapshot.system.positions, snapshot.system.numbers, spec.cutoff)
    key = _key(snapshot, wanted, n)
    for block in grid.blocks(snapshot.chunks):
        picked = None if chosen is None else chosen.get(block.index)
        if chosen is not None and picked is None:
            continue
        chunk = Chunk(number, block.n_points if picked is None else len(picked), snapshot.path, block, wanted.fields)
        # Files only where the rows are not just the store's own: no disk is spent on what is there already.
        if not (stored and every) or snapshot.resampling is not None or snapshot.potential:
            name = str(wanted.folder / f"{snapshot.name}-{key}-{block.index}")
            chunk = replace(chunk, features=f"{name}.features.npy", targets=f"{name}.targets.npy")
        # Only the atoms near a block travel with its task: a large cell is not sent a thousand times.
        near = None if stored else cells.near_block(grid, block)
        # By the snapshot's name and not its number: other snapshots in the list do not change the order of this one.
        order = (seed, zlib.crc32(snapshot.name.encode()), block.index) if wanted.shuffled else None
        at = f"{snapshot.name} chunk {block.index} (snapshot {number})"  # data sets may share names
        yield waves.NamedJob(at, chunk, snapshot, picked, order, spec, near, wanted.cross)


def _choose(snapshot: Snapshot, n: int, seed: int) -> Indices:
    """Points drawn without repetition, whatever other snapshots there are."""
    # `hash` differs from process to process, crc32 does not.
    rng = np.random.default_rng([seed, zlib.crc32(snapshot.name.encode())])
    return np.sort(rng.choice(snapshot.system.grid.n_points, n, replace=False))


def _by_block(chosen: Indices, snapshot: Snapshot) -> dict[int, Indices]:
    """Chosen points by the index of their block: their numbers in it, C order."""
    blocks = snapshot.system.grid.blocks(snapshot.chunks)
    at = np.stack(np.unravel_index(chosen, snapshot.system.grid.shape), axis=-1)
    owner, inside = np.divmod(at, blocks.block_shape)
    index = np.ravel_multi_index(tuple(owner.T), blocks.counts)
    by_block: dict[int, Indices] = {}
    for i in np.unique(index):
        rows = inside[index == i]
        by_block[int(i)] = np.ravel_multi_index(tuple(rows.T), blocks[int(i)].shape).astype(np.int64)
    return by_block


def _key(snapshot: Snapshot, wanted: Wanted, n: int) -> str:
    # Trainings of other settings may share the folder: what the rows depend on beside the data is in their names.
    axis = [snapshot.energies.windows, snapshot.zero]
    potential = Path(snapshot.potential).name if snapshot.potential else False
    how = [wanted.spec.to_dict(), n, wanted.seed, wanted.shuffled, wanted.fields, potential]
    what = json.dumps([snapshot.path, how, snapshot.chunks, axis], sort_keys=True)
    return hashlib.sha256(what.encode()).hexdigest()[:12]


# -- on a worker -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SampledChunk:
    """What a task tells: its chunk, the moments of descriptors, LDOS and the rest of its rows, their targets' hash."""

    chunk: Chunk
    moments: tuple[Moments, Moments, Moments]
    digest: bytes


def sample_chunk(
    chunk: Chunk,
    snapshot: Snapshot,
    picked: Indices | None,
    order: tuple[int, ...] | None,
    spec: Spec,
    atoms: LocalAtoms | None,
    cross: tuple[bool, bool],
) -> SampledChunk:
    """Make one chunk's rows ready, and measure them."""
    # Kept by an earlier training: their names tell that they are the same.
    if chunk.features and Path(chunk.features).exists() and Path(chunk.targets).exists():
        features, targets = chunk.read()
    else:
        rows = np.arange(chunk.rows) if picked is None else picked
        if order is not None and chunk.features:
            # Shuffled when they are written: any later read of a run of rows is then a random draw of the chunk.
            rows = np.random.default_rng(order).permutation(rows)
        targets = _targets(chunk, snapshot, rows)
        features = _features(chunk, snapshot, rows, spec, atoms)
        if chunk.features:
            write_rows(Path(chunk.features), features)
            # Targets last: where both files are there, both are whole.
            write_rows(Path(chunk.targets), targets)
    ldos, rest = np.split(targets, [snapshot.energies.levels], axis=1)
    # Here and not in the loss, where one NaN in a million points would only say that the training diverged.
    for name, values in (("LDOS", ldos), ("density", rest), ("descriptors", features)):
        if not np.isfinite(values).all():
            raise InputError(snapshot.name, f"{name} that are not finite", "finite numbers", "Convert it again.")
    digest = hashlib.sha256(np.ascontiguousarray(targets).tobytes()).digest()
    return SampledChunk(chunk, (moments(features, cross[0]), moments(ldos, cross[1]), moments(rest, False)), digest)


def _targets(chunk: Chunk, snapshot: Snapshot, rows: Indices) -> Rows:
    """LDOS on the energies that are learnt, then the other fields, then the potential of the double counting."""
    fields = [read_block(chunk.store, name, chunk.block)[rows] for name in chunk.fields]
    if snapshot.resampling is not None:
        fields[0] = fields[0] @ snapshot.resampling  # of the LDOS, which comes first
    if snapshot.potential:
        potential = np.load(snapshot.potential, mmap_mode="r", allow_pickle=False)[chunk.block.slices]
        fields.append(np.asarray(potential, np.float32).reshape(-1, 1)[rows])
    return np.concatenate(fields, axis=1)


def _features(chunk: Chunk, snapshot: Snapshot, rows: Indices, spec: Spec, atoms: LocalAtoms | None) -> Rows:
    if atoms is None:
        return read_block(chunk.store, "descriptors", chunk.block)[rows]
    points = snapshot.system.grid.points(chunk.block)[rows]
    return np.concatenate([features.numpy() for _, features in batches(points, atoms, spec)])


def moments(rows: Rows, cross: bool) -> Moments:
    """Moments of rows, a few thousand in float64 at a time."""
    parts = (torch.from_numpy(rows[i : i + _LEVELS]) for i in range(0, len(rows), _LEVELS))
    return reduce(add, (Moments.of(part, cross=cross) for part in parts))


def read_block(store: str, name: str, block: Block) -> Rows:
    """All rows of a block of a snapshot's array, (points, width) float32."""
    values = stores.read_region(store, name, block.slices).astype(np.float32, copy=False)
    return values.reshape(block.n_points, -1)
