"""A process in a task and after it: threads, and memory that is at hand and then given back."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import psutil
import pytest
import torch
from distributed import Client

import maladist
from maladist.parallel.task import in_a_task, in_batches

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is another")


@pytest.fixture(scope="module")
def roomy() -> Iterator[Client]:
    with maladist.cluster("local", workers=1) as client:
        yield client


@pytest.fixture(scope="module")
def tight() -> Iterator[Client]:
    """A worker whose imports alone take more than half of what it may hold."""
    config = {"distributed.worker.memory.terminate": False}
    with maladist.cluster({"kind": "local", "memory_limit": "450MB", "config": config}, workers=1) as client:
        yield client


def batches(n: int) -> None:
    for _ in range(50):
        a = np.ones(n)
        b = a + a
        del a, b


def page_faults(after: bool, during: bool, n: int = 2**20) -> int:
    """Of a hundred arrays of n numbers (8 MB, 2048 pages): after those of a task, in a task."""
    if after:
        with in_a_task(), in_batches():
            batches(n)
    with ExitStack() as stack:
        if during:
            stack.enter_context(in_batches())
        batches(n)  # the memory comes once
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        batches(n)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.slow
@glibc
@pytest.mark.parametrize("kind", ["roomy", "tight"])
def test_arrays_of_a_batch_do_not_come_from_the_system_each_time_while_a_task_is_at_its_batches(
    kind: str, request: pytest.FixtureRequest
) -> None:
    worker: Client = request.getfixturevalue(kind)
    plain, task, after = (
        worker.submit(page_faults, *how, pure=False).result() for how in ((False, False), (False, True), (True, False))
    )
    # Of 100 arrays of 2048 pages each; large pages, where the system has them, make it fewer.
    assert task < 200 < plain
    assert after < 200 if kind == "roomy" else after > 200


def held() -> tuple[float, float]:
    """What many arrays hold of memory when they are freed, and when the task has ended, MB; a result is left."""

    def resident() -> float:
        return float(psutil.Process().memory_info().rss / 2**20)

    before = resident()
    with in_a_task(), in_batches():
        arrays = [np.ones(2**13) for _ in range(3200)]
        _result = np.ones(2**13)
        del arrays
        during = resident() - before
    return during, resident() - before


@glibc
def test_between_tasks_a_worker_that_has_little_room_is_no_fuller_than_what_it_holds(tight: Client) -> None:
    """Else Dask pauses it at four fifths of its limit, and the run waits for it without end."""
    during, after = tight.submit(held, pure=False).result()
    assert during > 150 and after < 20  # MB, of 200 below a result that stays


OWN = """
import sys
from tests.parallel.test_task import page_faults
print(page_faults(sys.argv[1] == "after", False, 2**16))  # of arrays of half a MB: what glibc finds out to keep
"""


@pytest.mark.slow
@glibc
def test_a_users_own_process_has_its_memory_as_before() -> None:
    """glibc would no longer find its thresholds by itself: a user's arrays would come from the system each time."""
    own = {k: v for k, v in os.environ.items() if k != "MALLOC_TRIM_THRESHOLD_"}  # which a cluster leaves here
    for how in ("before", "after"):
        done = subprocess.run([sys.executable, "-c", OWN, how], env=own, capture_output=True, text=True, check=True)
        assert int(done.stdout) < 200


def test_torch_has_one_thread_in_each_task() -> None:
    before = torch.get_num_threads()
    try:
        for _ in range(2):
            torch.set_num_threads(2)  # as a task that has the worker to itself
            with in_a_task():
                assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
