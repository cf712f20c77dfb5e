"""Batches of portions, each of P random points of one snapshot, from chunks on disk, at bounded memory.

An epoch deals every snapshot's chunks, or parts of them, at random into handfuls, and goes through the handfuls of all
snapshots in random order. Some are open at a time: each is read, permuted and handed out P rows at a time. A batch
takes its portions from different open handfuls, drawn with probabilities that grow with what they have left. So a batch
mixes snapshots all through the epoch, a portion mixes the chunks of a handful, and the next epoch mixes others. Where
twice the points fit into the buffer a handful is a whole snapshot, all are open, every portion is a random draw from
its snapshot, and what was read is kept. The fewer than P rows that a handful has left go into its snapshot's next one;
those that a snapshot has left wait for the next epoch.

In memory are at most ``buffer`` points, or four chunks for each portion of a batch where that is more, fewer than P of
every snapshot, and the batches that a thread has made ahead of the network. A portion stands for its snapshot in the
mean errors of the loss, so it should mix much of it: a handful takes from all chunks where the rows lie in random order
in files of their own, and from a few where the store itself is read; there the buffer wants to hold several chunks for
each portion.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np
import torch

from maladist.arrays import Indices
from maladist.errors import InputError
from maladist.io.samples import Rows
from maladist.training.samples import Chunk

AHEAD: Final = 8
"""Batches that the thread makes ahead."""


@dataclass(frozen=True)
class Batch:
    """Portions of points.

    Attributes
    ----------
    features
        Descriptors, (portions, points, features) float32.
    targets
        LDOS and what is learnt beside it, (portions, points, columns) float32; see :meth:`Chunk.read`.
    snapshots
        Number of each portion's snapshot, (portions,) int64.
    """

    features: torch.Tensor
    targets: torch.Tensor
    snapshots: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        moved = (t.to(device, non_blocking=True) for t in (self.features, self.targets, self.snapshots))
        return Batch(*moved)


class Batches:
    """The batches of a training, or one rank's part of them.

    Parameters
    ----------
    chunks
        Chunks of all snapshots.
    portions, points
        Number of portions of a batch, over all ranks, and of points of a portion.
    buffer
        Number of points to hold in memory.
    seed
        The same seed gives the same batches, epoch by epoch.
    rank, world
        This process' number and how many there are: a rank reads its own chunks, and makes its share of the portions.

    Raises
    ------
    InputError
        A snapshot with fewer points than a portion, or portions that the ranks cannot share.
    """

    def __init__(
        self,
        chunks: Sequence[Chunk],
        *,
        portions: int,
        points: int,
        buffer: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if portions % world:
            raise InputError("batch.snapshots", f"{portions} for {world} ranks", "a multiple of the number of ranks")
        _check_points(chunks, points)
        self.points, self.seed, self.rank = points, seed, rank
        self.portions = portions // world
        # Every rank computes the shares of all, so that all agree on sizes and steps without having to talk.
        shares = [_by_snapshot(chunks[r::world]) for r in range(world)]
        sizes = [[sum(c.rows for c in own) for own in share.values()] for share in shares]
        # Twice the points: rows that were read are kept, and a second time in the order of the open handfuls.
        largest, most = max(map(max, sizes)), max(map(sum, sizes))
        self.keep = 2 * most <= buffer
        # Open handfuls fill half of the buffer: one may be larger than ``fill``, and exists twice while it is permuted.
        self.open = len(chunks) if self.keep else max(2 * self.portions, buffer // (2 * largest))
        self.fill = largest if self.keep else max(4 * points, buffer // (2 * self.open))
        if not self.keep:  # parts of every chunk for each handful, where chunks have parts
            shares = [{s: _split(own, self.fill, points) for s, own in share.items()} for share in shares]
        self.chunks = shares[rank]
        # All ranks take as many steps, since each gradient is an average over all: the rank with
        # the fewest portions decides.
        self.steps = min(-(-_portions(share, points) // self.portions) for share in shares)
        if self.steps == 0:
            raise InputError("batch.points", f"{points}", f"fewer, so that each of {world} ranks has a portion")
        self._kept: dict[Chunk, tuple[Rows, Rows]] = {}

    def read(self, chunk: Chunk) -> tuple[Rows, Rows]:
        """A chunk's rows; from memory where everything fits."""
        if not self.keep:
            return chunk.read()
        if chunk not in self._kept:
            self._kept[chunk] = chunk.read()
        return self._kept[chunk]

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of an epoch, made ahead by a thread; the same ones for the same number."""
        return _ahead(islice(self.make(number), self.steps))

    def make(self, number: int) -> Iterator[Batch]:
        """The batches of an epoch, one by one; of a rank perhaps a few more than ``steps``."""
        # From the number of the epoch alone: a training that goes on after an interruption sees the same batches.
        rng = np.random.default_rng([self.seed, number, self.rank])
        handfuls = [h for own in self.chunks.values() for h in _handfuls(own, self.fill, rng)]
        # Of all snapshots mixed: else the last steps of an epoch would see the last snapshot only.
        waiting = iter(rng.permutation(len(handfuls)))
        opened: list[_Handful] = []
        rest: dict[int, tuple[Rows, Rows]] = {}
        while True:
            while len(opened) < self.open and (i := next(waiting, None)) is not None:
                snapshot = handfuls[i][0].snapshot
                parts = [self.read(c) for c in handfuls[i]]
                if snapshot in rest:
                    parts.append(rest.pop(snapshot))
                handful = _Handful(parts, snapshot, self.points, rng)
                # Fewer rows than a portion would weigh more than others in the loss, or be lost:
                # the next handful takes them along.
                rest[snapshot] = handful.rest()
                opened += [handful] if handful.left else []
            if not opened:
                return
            taken = [(h.snapshot, *h.take()) for h in _draw(opened, self.portions, rng)]
            opened = [h for h in opened if h.left]
            numbers, features, targets = zip(*taken, strict=True)
            at_points, wanted = torch.from_numpy(np.stack(features)), torch.from_numpy(np.stack(targets))
            yield Batch(at_points, wanted, torch.tensor(numbers))


class _Handful:
    """Rows of some chunks of one snapshot in random order, handed out P at a time."""

    def __init__(
        self, parts: Sequence[tuple[Rows, Rows]], snapshot: int, points: int, rng: np.random.Generator
    ) -> None:
        self.snapshot, self.points = snapshot, points
        count = sum(len(features) for features, _ in parts)
        order = rng.permutation(count)
        self.features, self.targets = (_permuted([part[i] for part in parts], order) for i in (0, 1))
        self.left = count // points  # portions still to be taken

    def rest(self) -> tuple[Rows, Rows]:
        """The rows that no portion will take, for the snapshot's next handful."""
        # Copied, or a few rows would keep the whole handful in memory.
        end = self.left * self.points
        return self.features[end:].copy(), self.targets[end:].copy()

    def take(self) -> tuple[Rows, Rows]:
        """The next portion, from the end."""
        self.left -= 1
        rows = slice(self.left * self.points, (self.left + 1) * self.points)
        return self.features[rows], self.targets[rows]


def _handfuls(chunks: Sequence[Chunk], fill: int, rng: np.random.Generator) -> list[list[Chunk]]:
    """Chunks of one snapshot in random order, in groups of about ``fill`` rows or more, none of which is small."""
    groups: list[list[Chunk]] = [[]]
    for i in rng.permutation(len(chunks)):
        if sum(c.rows for c in groups[-1]) >= fill:
            groups.append([])
        groups[-1].append(chunks[i])
    # A small group at the end would give portions that stand for a corner of the cell only.
    if len(groups) > 1 and 2 * sum(c.rows for c in groups[-1]) < fill:
        groups[-2:] = [groups[-2] + groups[-1]]
    return groups


def _split(chunks: Sequence[Chunk], fill: int, points: int) -> list[Chunk]:
    return [part for chunk in chunks for part in chunk.split(max(points, fill // len(chunks)))]


def _portions(share: dict[int, list[Chunk]], points: int) -> int:
    return sum(sum(c.rows for c in chunks) // points for chunks in share.values())


def _permuted(parts: list[Rows], order: Indices) -> Rows:
    """Rows of all parts together in another order, without a copy of them together in this one."""
    out = np.empty((len(order), parts[0].shape[1]), np.float32)
    # The inverse permutation: where each row goes. So every part is read once, from its beginning to its end.
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    start = 0
    for part in parts:
        out[place[start : start + len(part)]] = part
        start += len(part)
    return out


def _draw(opened: list[_Handful], portions: int, rng: np.random.Generator) -> list[_Handful]:
    """Handfuls for a batch: different ones as far as there are, more often those with more left."""
    drawn: list[_Handful] = []
    left = np.array([s.left for s in opened], dtype=float)
    while len(drawn) < portions and left.any():
        # Efraimidis and Spirakis, Inf. Process. Lett. 97, 181 (2006): weighted draws without replacement.
        keys = np.where(left > 0, rng.random(len(left)) ** (1 / np.maximum(left, 1)), -1.0)
        best = [i for i in np.argsort(-keys, kind="stable") if left[i] > 0][: portions - len(drawn)]
        left[best] -= 1
        drawn += [opened[i] for i in best]
    return drawn


def _by_snapshot(chunks: Sequence[Chunk]) -> dict[int, list[Chunk]]:
    by_snapshot: dict[int, list[Chunk]] = {}
    for chunk in chunks:
        by_snapshot.setdefault(chunk.snapshot, []).append(chunk)
    return by_snapshot


def _check_points(chunks: Sequence[Chunk], points: int) -> None:
    for own in _by_snapshot(chunks).values():
        if (rows := sum(c.rows for c in own)) < points:
            raise InputError("batch.points", f"{points}", f"at most {rows}, the points chosen of {own[0].store}")


def _ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same, made by a thread a few ahead; its errors are raised here."""
    # Bounded: the disk is often faster than the network, and batches that wait take memory.
    made: queue.Queue[Any] = queue.Queue(AHEAD)
    stop = threading.Event()

    def put(item: Any) -> None:
        # With a timeout, since nobody may be left to take it: a loop that fails must not leave a
        # thread that waits for ever.
        while not stop.is_set():
            try:
                made.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            for batch in batches:
                put(batch)
                if stop.is_set():
                    return
            put(None)
        except BaseException as error:
            # Also KeyboardInterrupt and MemoryError: raised in the loop that waits for the batch,
            # not lost with the thread.
            put(error)

    thread = threading.Thread(target=work, name="batches", daemon=True)
    thread.start()
    try:
        while (item := made.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()
