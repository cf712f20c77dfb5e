"""A run whose workers cannot go on ends with a word, and does not wait without end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from distributed import Client, as_completed

import maladist
from maladist.errors import ClusterError
from maladist.parallel import watch, waves

SMALL = {"kind": "local", "memory_limit": "400MB", "config": {"distributed.worker.memory.terminate": False}}


def hold(megabytes: int) -> int:
    """Fill this worker, for as long as it lives."""
    import builtins

    builtins.kept = b"x" * (megabytes * 10**6)  # type: ignore[attr-defined]
    return megabytes


def divide(by: int) -> float:
    return 1 / by


def test_what_has_come_is_fetched_together_and_what_failed_is_told_as_such(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    flying = as_completed(client.map(divide, [1, 2, 0, 4], pure=False), loop=client.loop, raise_errors=False)
    while flying.queue.qsize() < 4:
        time.sleep(0.01)
    asked: list[int] = []
    real = client.gather
    monkeypatch.setattr(client, "gather", lambda futures: asked.append(len(futures)) or real(futures))
    got = [answer for _, answer in watch.answers(flying, client, 8)]
    assert asked == [3]
    (failed,) = [answer for answer in got if isinstance(answer, watch.Failed)]
    assert isinstance(failed.error, ZeroDivisionError)
    assert sorted(answer for answer in got if answer is not failed) == [0.25, 0.5, 1.0]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_LOOK", 0.5)
    monkeypatch.setattr(watch, "PAUSED", 2.0)


@pytest.fixture
def small() -> Iterator[Client]:
    with maladist.cluster(SMALL, workers=1) as client:
        yield client


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_workers_paused_for_good_end_a_run_with_what_they_hold_and_may_hold(
    small: Client, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ClusterError, match=r"no worker that Dask has not paused .*of 400 MB\) since \d+ s") as caught:
        list(waves.run(small, hold, [waves.NamedJob(f"{i}", 300) for i in range(50)], run_key="full"))
    assert "more memory" in str(caught.value)
    assert caplog.text.count("waiting up to 2 s for one") == 1  # though what they hold changes


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_paused_worker_that_is_at_a_task_is_waited_for(
    small: Client, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = watch._trouble, []

    def look(client: Client) -> Any:
        seen.extend(w["status"] for w in client.scheduler_info()["workers"].values())
        return real(client)

    monkeypatch.setattr(watch, "_trouble", look)
    assert list(waves.run(small, _hold_and_work, [waves.NamedJob("long", 300, 6.0)], run_key="long")) == [300]
    assert seen.count("paused") > 4  # looks, two a second, where two seconds are the patience


def _hold_and_work(megabytes: int, seconds: float) -> int:
    kept = b"x" * (megabytes * 10**6)
    time.sleep(seconds)
    return len(kept) // 10**6
