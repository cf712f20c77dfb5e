"""A process in a task and after it: threads, and memory that is at hand and then given back."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest
import torch

from maladist.parallel.task import in_a_task

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is another")

FAULTS = """
import resource, sys, threading
from contextlib import nullcontext
import numpy as np
from maladist.parallel.task import in_batches

def batches():
    for _ in range(50):
        a = np.ones(2**20)  # 8 MB, 2048 pages
        b = a + a
        del a, b

def run():
    if sys.argv[1] == "after":
        with in_batches():
            batches()
    with in_batches() if sys.argv[1] == "task" else nullcontext():
        batches()  # the memory comes once
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        batches()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

thread = threading.Thread(target=run)  # as a worker's tasks run
thread.start()
thread.join()
"""

HELD = """
import numpy as np, psutil
from maladist.parallel.task import in_a_task, in_batches
rss = lambda: psutil.Process().memory_info().rss / 2**20
before = rss()
with in_a_task(), in_batches():
    arrays = [np.ones(2**13) for _ in range(3200)]
    result = np.ones(2**13)
    del arrays
    print(rss() - before)
print(rss() - before)
"""


def run(*command: str) -> list[float]:
    """Numbers that a process prints, started as Dask starts its workers."""
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536"}
    done = subprocess.run([sys.executable, "-c", *command], env=environment, capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


@glibc
def test_arrays_of_a_batch_do_not_come_from_the_system_each_time_while_a_task_is_at_its_batches() -> None:
    (task,), (plain,), (after,) = (run(FAULTS, how) for how in ("task", "plain", "after"))
    # Of 100 arrays of 2048 pages each; large pages, where the system has them, make it fewer.
    assert task < 200 < plain and after > 200


@glibc
def test_between_tasks_a_worker_is_no_fuller_than_what_it_holds() -> None:
    """Else Dask pauses it at four fifths of its limit, and the run waits for it without end."""
    during, after = run(HELD)
    assert during > 150 and after < 20  # MB, of 200 below a result that stays


def test_torch_has_one_thread_in_each_task() -> None:
    before = torch.get_num_threads()
    try:
        for _ in range(2):
            torch.set_num_threads(2)  # as a task that has the worker to itself
            with in_a_task():
                assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
