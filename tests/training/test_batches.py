"""Batches: every point once an epoch, the same for the same seed, mixed, shared out among ranks, in bounded memory."""

from __future__ import annotations

import threading
import time
import weakref
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from maladist.errors import DataFileError, InputError
from maladist.grid import Block
from maladist.io.samples import write_rows
from maladist.training import batches as module
from maladist.training.batches import AHEAD, Batches
from maladist.training.samples import Chunk


def chunks_of(folder: Path, sizes: list[list[int]]) -> list[Chunk]:
    """Chunks of snapshots whose descriptor is the row's number in its snapshot, and whose LDOS twice that."""
    found = []
    for snapshot, rows in enumerate(sizes):
        start = 0
        for i, n in enumerate(rows):
            values = np.arange(start, start + n, dtype=np.float32)[:, None]
            name = folder / f"{snapshot}-{i}"
            write_rows(name.with_suffix(".f.npy"), values + 1000 * snapshot)
            write_rows(name.with_suffix(".l.npy"), 2 * (values + 1000 * snapshot))
            block = Block(i, (0, 0, 0), (n, 1, 1))
            files = str(name.with_suffix(".f.npy")), str(name.with_suffix(".l.npy"))
            found.append(Chunk(snapshot, n, f"snapshot {snapshot}", block, ("ldos",), *files))
            start += n
    return found


@pytest.fixture(scope="module")
def chunks(tmp_path_factory: pytest.TempPathFactory) -> list[Chunk]:
    """Four snapshots of 60, 61, 40 and 90 points."""
    return chunks_of(tmp_path_factory.mktemp("rows"), [[20, 20, 20], [20, 20, 20, 1], [40], [45, 45]])


def batches(chunks: list[Chunk], **options: int) -> Batches:
    return Batches(chunks, **{"portions": 2, "points": 10, "buffer": 10_000, "seed": 3, **options})


def seen(made: Batches, epoch: int = 0) -> list[float]:
    return [x for batch in made.epoch(epoch) for x in batch.features.ravel().tolist()]


@pytest.mark.parametrize("buffer", [10_000, 300, 60, 1], ids=lambda b: f"buffer{b}")
def test_every_point_comes_at_most_once_and_less_than_a_portion_is_left_over(chunks: list[Chunk], buffer: int) -> None:
    counts = Counter(seen(batches(chunks, buffer=buffer)))
    assert max(counts.values()) == 1
    by_snapshot = Counter(int(x) // 1000 for x in counts)
    assert by_snapshot == {0: 60, 1: 60, 2: 40, 3: 90}
    later = {x for epoch in range(1, 6) for x in seen(batches(chunks, buffer=buffer), epoch)}
    assert len(later | set(counts)) == 251, "what was left over has its turn"


def test_a_batch_holds_portions_of_one_snapshot_each_and_targets_beside_its_descriptors(chunks: list[Chunk]) -> None:
    made = list(batches(chunks).epoch(0))
    assert len(made) == batches(chunks).steps == 13  # 25 portions, two a batch
    for batch in made[:-1]:
        assert batch.features.shape == batch.targets.shape == (2, 10, 1)
        assert torch.equal(batch.targets, 2 * batch.features)
        assert torch.equal(batch.features[..., 0] // 1000, batch.snapshots[:, None].float().expand(2, 10))


def test_portions_of_a_batch_come_from_different_snapshots_while_there_are_some(chunks: list[Chunk]) -> None:
    made = list(batches(chunks).epoch(0))
    different = [len(set(batch.snapshots.tolist())) == 2 for batch in made[:-1]]
    assert sum(different) >= len(different) - 1


@pytest.mark.parametrize("buffer", [10_000, 60])
def test_the_same_seed_and_epoch_give_the_same_batches_and_others_do_not(chunks: list[Chunk], buffer: int) -> None:
    one, two, other = (batches(chunks, buffer=buffer, seed=s) for s in (3, 3, 4))
    assert seen(one, 5) == seen(two, 5)
    assert seen(one, 5) != seen(one, 6)
    assert seen(one, 5) != seen(other, 5)
    list(islice(one.epoch(0), 2))  # an epoch that was left has no part in the next
    assert seen(one, 5) == seen(two, 5)


def test_a_full_shuffle_mixes_chunks_in_a_portion(chunks: list[Chunk]) -> None:
    portions = [b.features[i, :, 0] for b in batches(chunks).epoch(0) for i in range(len(b.features))]
    mixed = [len({int(x) % 1000 // 20 for x in p}) > 1 for p in portions if 0 <= p[0] < 1000]
    assert sum(mixed) >= len(mixed) - 1


def test_memory_is_bounded_by_the_buffer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = chunks_of(tmp_path, [[50] * 20 for _ in range(10)])  # 10 000 points
    handfuls: list[weakref.ref[module._Handful]] = []

    class Watched(module._Handful):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            handfuls.append(weakref.ref(self))

    monkeypatch.setattr(module, "_Handful", Watched)
    held = []
    for _ in batches(chunks, buffer=1000, points=10).make(0):
        held.append(sum(len(h.features) for ref in handfuls if (h := ref()) is not None))
    assert len(held) == 500
    assert 300 < max(held) <= 1000


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_the_points_and_take_the_same_number_of_steps(chunks: list[Chunk], world: int) -> None:
    ranks = [batches(chunks, portions=world, points=5, rank=r, world=world) for r in range(world)]
    every = [seen(rank) for rank in ranks]
    assert len({rank.steps for rank in ranks}) == 1
    assert all(len(points) == ranks[0].steps * 5 for points in every)
    assert len(set().union(*every)) == sum(map(len, every)), "no point in two ranks"


def test_what_cannot_be_is_refused_naming_the_key(chunks: list[Chunk]) -> None:
    with pytest.raises(InputError, match=r"batch\.points: 41; wanted at most 40, the points chosen of snapshot 2"):
        batches(chunks, points=41)
    with pytest.raises(InputError, match=r"batch\.snapshots: 3 for 2 ranks"):
        batches(chunks, portions=3, world=2)


def test_a_missing_file_is_raised_where_the_batches_are_used(tmp_path: Path) -> None:
    chunks = chunks_of(tmp_path, [[20, 20]])
    Path(chunks[1].targets).unlink()
    with pytest.raises(DataFileError, match="No such file"):
        seen(batches(chunks))


def test_batches_are_made_ahead_but_not_far_and_the_thread_ends(chunks: list[Chunk]) -> None:
    made = batches(chunks, points=2)
    running = made.epoch(0)
    next(running)
    deadline = time.monotonic() + 5
    while not any(t.name == "batches" for t in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert made.steps > AHEAD + 2
    assert any(t.name == "batches" for t in threading.enumerate())
    running.close()
    assert not any(t.name == "batches" for t in threading.enumerate())


def test_neighbouring_points_are_batches_apart_even_in_a_small_buffer(tmp_path: Path) -> None:
    """Mean distance in time of rows with neighbouring numbers, as a share of the epoch."""
    chunks = chunks_of(tmp_path, [[50] * 8 for _ in range(6)])

    def spread(buffer: int) -> float:
        order = {x: i for i, x in enumerate(seen(batches(chunks, buffer=buffer, portions=2, points=10)))}
        steps = [abs(order[x] - order[x + 1]) for x in order if x + 1 in order and int(x) // 1000 == int(x + 1) // 1000]
        return float(np.mean(steps)) / len(order)

    whole, small = spread(10_000), spread(600)
    # A full shuffle has 1/3. In a buffer of a quarter of the points four handfuls are open, one of which both are in as
    # often as not: a twentieth of the epoch is six batches.
    assert whole == pytest.approx(1 / 3, abs=0.03)
    assert small > 0.05
