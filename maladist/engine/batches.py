"""Batches of portions, each of P random points of one snapshot, from chunks on disk, at bounded memory.

An epoch goes through the snapshots in random order. A few are open at a time, so few that the buffer holds each whole
if it can; each reads its chunks in random order into its share of the buffer, which is permuted and handed out P rows
at a time, and filled again when fewer are left. A batch takes its portions from different open snapshots, drawn with
probabilities that grow with what they have left. So a batch mixes snapshots, a portion mixes the chunks that a filling
holds, and the next epoch mixes others. Where everything fits into half of the buffer all snapshots are open, every
portion is a random draw from the whole snapshot, and what was read is kept. The fewer than P rows that a snapshot has
left at its end wait for the next epoch, which orders anew.

In memory are at most ``buffer`` points, or two chunks for each portion of a batch where that is more, and the batches
that a thread has made ahead of the network. A portion stands for its snapshot in the mean errors of the loss, which is
why it should mix all of the snapshot's chunks rather than a batch more snapshots.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from maladist.engine.samples import Chunk
from maladist.errors import InputError
from maladist.io.samples import Rows

AHEAD: Final = 8
"""Batches that the thread makes ahead."""


@dataclass(frozen=True)
class Batch:
    """Portions of points.

    Attributes
    ----------
    features
        Descriptors, (portions, points, features) float32.
    ldos
        (portions, points, levels) float32, 1/(eV Å³).
    snapshots
        Number of each portion's snapshot, (portions,) int64.
    """

    features: torch.Tensor
    ldos: torch.Tensor
    snapshots: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        moved = (t.to(device, non_blocking=True) for t in (self.features, self.ldos, self.snapshots))
        return Batch(*moved)


class Batches:
    """The batches of a training, or one rank's part of them.

    Parameters
    ----------
    chunks
        Of all snapshots.
    portions, points
        Of a batch: portions over all ranks, and points of a portion.
    buffer
        Points to hold.
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
        shares = [_by_snapshot(chunks[r::world]) for r in range(world)]
        self.steps = min(-(-_portions(share, points) // self.portions) for share in shares)
        if self.steps == 0:
            raise InputError("batch.points", f"{points}", f"fewer, so that each of {world} ranks has a portion")
        self.chunks = shares[rank]
        total = sum(c.rows for c in chunks[rank::world])
        largest = max(sum(c.rows for c in own) for own in self.chunks.values())
        self.keep = 2 * total <= buffer
        self.open = len(self.chunks) if self.keep else max(self.portions, buffer // (2 * largest))
        self.fill = total if self.keep else max(points, buffer // (2 * self.open))
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
        """The batches of an epoch, one by one."""
        rng = np.random.default_rng([self.seed, number, self.rank])
        waiting = iter(rng.permutation(list(self.chunks)))
        opened: list[_Stream] = []
        while True:
            while len(opened) < self.open and (snapshot := next(waiting, None)) is not None:
                stream = _Stream(int(snapshot), self, rng)
                opened += [stream] if stream.left else []
            if not opened:
                return
            taken = [(s.snapshot, *s.take()) for s in _draw(opened, self.portions, rng)]
            opened = [s for s in opened if s.left]
            numbers, features, ldos = zip(*taken, strict=True)
            yield Batch(torch.from_numpy(np.stack(features)), torch.from_numpy(np.stack(ldos)), torch.tensor(numbers))


@dataclass
class _Stream:
    """The rows of one snapshot in random order."""

    snapshot: int
    source: Batches
    rng: np.random.Generator
    left: int = field(init=False)

    def __post_init__(self) -> None:
        chunks = self.source.chunks[self.snapshot]
        self.left = sum(c.rows for c in chunks) // self.source.points  # portions still to be taken
        self._waiting = [chunks[i] for i in self.rng.permutation(len(chunks))]
        self._features, self._ldos = [np.empty((0, 0), np.float32)] * 2
        self._at = 0

    def take(self) -> tuple[Rows, Rows]:
        """The next portion."""
        p = self.source.points
        if len(self._features) - self._at < p:
            self._fill()
        rows = slice(self._at, self._at + p)
        self._at += p
        self.left -= 1
        found = self._features[rows], self._ldos[rows]
        if self.left == 0:
            self._features, self._ldos = [np.empty((0, 0), np.float32)] * 2
        return found

    def _fill(self) -> None:
        parts = [(self._features[self._at :], self._ldos[self._at :])] if self._at < len(self._features) else []
        count = sum(len(part[0]) for part in parts)
        while self._waiting and count < self.source.fill:
            parts.append(self.source.read(self._waiting.pop()))
            count += len(parts[-1][0])
        order = self.rng.permutation(count)
        self._features, self._ldos = (_permuted([part[i] for part in parts], order) for i in (0, 1))
        self._at = 0


def _permuted(parts: list[Rows], order: npt.NDArray[np.int64]) -> Rows:
    """Rows of all parts together in another order, without a copy of them together in this one."""
    out = np.empty((len(order), parts[0].shape[1]), np.float32)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    start = 0
    for part in parts:
        out[place[start : start + len(part)]] = part
        start += len(part)
    return out


def _draw(opened: list[_Stream], portions: int, rng: np.random.Generator) -> list[_Stream]:
    """Streams for a batch: different ones as far as there are, more often those with more left; each as it can give."""
    drawn: list[_Stream] = []
    left = np.array([s.left for s in opened], dtype=float)
    while len(drawn) < portions and left.any():
        # Efraimidis and Spirakis, Inf. Process. Lett. 97, 181 (2006): weighted draws without replacement.
        keys = np.where(left > 0, rng.random(len(left)) ** (1 / np.maximum(left, 1)), -1.0)
        best = [i for i in np.argsort(-keys, kind="stable") if left[i] > 0][: portions - len(drawn)]
        left[best] -= 1
        drawn += [opened[i] for i in best]
    return drawn


def _by_snapshot(chunks: Sequence[Chunk]) -> dict[int, list[Chunk]]:
    found: dict[int, list[Chunk]] = {}
    for chunk in chunks:
        found.setdefault(chunk.snapshot, []).append(chunk)
    return found


def _portions(share: dict[int, list[Chunk]], points: int) -> int:
    return sum(sum(c.rows for c in chunks) // points for chunks in share.values())


def _check_points(chunks: Sequence[Chunk], points: int) -> None:
    for own in _by_snapshot(chunks).values():
        if (rows := sum(c.rows for c in own)) < points:
            raise InputError("batch.points", f"{points}", f"at most {rows}, the points chosen of {own[0].store}")


def _ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same, made by a thread a few ahead; its errors are raised here."""
    made: queue.Queue[Any] = queue.Queue(AHEAD)
    stop = threading.Event()

    def put(item: Any) -> None:
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
