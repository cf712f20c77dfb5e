"""A failed run leaves when its own tasks have come to their end, and does not wait for those of others."""

from __future__ import annotations

import time
import traceback
from pathlib import Path

import pytest
from distributed import Client, Event, Worker

from maladist.errors import BlockError, DataFileError
from maladist.parallel import ending, waves
from tests.parallel.test_waves import call, refuse


def write_late(path: Path) -> None:
    Event("another runs").set()
    time.sleep(0.2)
    path.touch()


def slow(interval: float, dask_worker: Worker) -> None:
    dask_worker.batched_stream.interval = interval


def test_an_error_leaves_when_no_task_writes_any_more(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who cleans up after it would race with the others, which Dask cannot stop."""
    # Messages are on their way for longer than a task takes, as on a busy machine.
    monkeypatch.setattr(client.scheduler_comm, "interval", 2.0)
    client.run(slow, 0.8)
    jobs = [waves.NamedJob("bad", refuse, DataFileError("a.cube", "cut off", "a whole file"))]
    jobs += [waves.NamedJob(f"late{i}", write_late, tmp_path / str(i)) for i in range(200)]
    with pytest.raises(BlockError, match=r"block bad failed: DataFileError: a\.cube: cut off") as caught:
        waves.in_order(client, call, jobs, run_key="late")
    assert isinstance(caught.value.__cause__, DataFileError)
    where = [frame.name for frame in traceback.extract_tb(caught.value.__cause__.__traceback__)]
    assert where[-1] == "refuse"  # for --debug: where on the worker
    left = len(list(tmp_path.iterdir()))
    assert 0 < left < 200  # those that ran came to their end, the others were taken back
    time.sleep(1.0)
    client.run(slow, 0.002)
    assert len(list(tmp_path.iterdir())) == left


def wait_for(event: str) -> bool:
    return bool(Event(event).wait(timeout=60))


def test_a_failed_run_does_not_wait_for_the_tasks_of_another(client: Client) -> None:
    Event("another runs", client=client).set()
    worker, *_ = client.scheduler_info(n_workers=-1)["workers"]
    held = client.submit(wait_for, "the run has failed", workers=[worker], pure=False)
    began = time.monotonic()
    with pytest.raises(BlockError, match="block a failed"):
        waves.in_order(client, call, [waves.NamedJob("a", refuse, ZeroDivisionError("ours"))], run_key="alone")
    assert not held.done() and time.monotonic() - began < ending.LAST_TASKS / 2
    Event("the run has failed", client=client).set()
    assert held.result()
