"""Training by several ranks: the same weights as one process, whatever dies is named, and the next call goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from distributed import Client

import maladist
from maladist import train
from maladist.errors import ClusterError, InputError, RankError
from maladist.parallel.progress import Finished, Silent
from maladist.training.batches import Batch
from maladist.training.metrics import EpochReport
from maladist.training.prepare import Prepared
from maladist.training.train import CHECKPOINT
from tests.training.common import config_of, metrics, weights


class Joined:
    """The batches of two ranks, step by step, as one process sees them."""

    def __init__(self, parts: list[Any]) -> None:
        self.parts, self.steps = parts, parts[0].steps

    def epoch(self, number: int) -> Iterator[Batch]:
        for batches in zip(*(part.epoch(number) for part in self.parts), strict=True):
            yield Batch(*(torch.cat([getattr(b, f) for b in batches]) for f in ("features", "targets", "snapshots")))


def listening() -> set[str]:
    """Addresses on which this process listens."""
    return {c.laddr.ip for c in psutil.Process().net_connections() if c.status == psutil.CONN_LISTEN}


@pytest.mark.parametrize("portions", [2, 4])  # of 4, the last batch is ragged
def test_two_ranks_learn_what_one_process_learns_from_the_same_batches(
    portions: int, small_data_set: Path, tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(small_data_set, batch={"snapshots": portions, "points": 32}, loss={"mean_band": 0.01})
    two = train(config, tmp_path / "two", client=client, ranks=2)
    made = Prepared.batches

    def joined(self: Prepared, config: Any, rank: int = 0, world: int = 1) -> Any:
        return Joined([made(self, config, r, 2) for r in range(2)])

    monkeypatch.setattr(Prepared, "batches", joined)
    one = train(config, tmp_path / "one", client=client)
    for name, weight in weights(one).items():
        # Sums in another order in float32, over the steps of AdamW.
        torch.testing.assert_close(weights(two)[name], weight, rtol=1e-4, atol=1e-5)
    rows = [metrics(tmp_path / name) for name in ("one", "two")]
    for a, b in zip(*rows, strict=True):
        assert float(b["loss"]) == pytest.approx(float(a["loss"]), rel=0.05)  # a ragged batch counts as a whole


@pytest.mark.slow
def test_a_rank_that_dies_is_named_and_the_next_call_goes_on(small_data_set: Path, tmp_path: Path) -> None:
    config = config_of(small_data_set, epochs=60, schedule=None, validation=False)
    with maladist.cluster("local", workers=2) as own:
        victim = own.run(os.getpid)[sorted(own.nthreads())[1]]

        class Killer(Silent):
            def advance(self, task: Finished) -> None:
                assert isinstance(task, EpochReport)
                if task.epoch == 2:
                    for where in own.run(listening).values():
                        assert where <= {"127.0.0.1", "::1"}, where  # ranks of a local cluster talk on loopback only
                if task.epoch == 3:
                    os.kill(victim, signal.SIGKILL)

        with pytest.raises(RankError, match=r"rank 1 of 2 .*resume"):
            train(config, tmp_path / "out", client=own, ranks=2, observer=Killer())
    assert (tmp_path / "out" / CHECKPOINT).exists()
    finished = len(metrics(tmp_path / "out"))
    assert 3 <= finished < 60
    with maladist.cluster("local", workers=2) as own:
        train(config, tmp_path / "out", client=own, ranks=2, resume=True)
    assert [int(row["epoch"]) for row in metrics(tmp_path / "out")] == list(range(1, 61))


@pytest.mark.slow
def test_more_ranks_than_workers_or_than_portions_are_refused(
    small_data_set: Path, tmp_path: Path, client: Client
) -> None:
    with pytest.raises(InputError, match=r"batch\.snapshots"):
        train(config_of(small_data_set), tmp_path / "a", client=client, ranks=3)
    config = config_of(small_data_set, batch={"snapshots": 4, "points": 16})
    with pytest.raises(ClusterError, match="4 for 2 workers"):
        train(config, tmp_path / "b", client=client, ranks=4)
