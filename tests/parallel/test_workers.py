"""What is asked of the workers, while they come and go."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from typing import Any

import pytest
from distributed import Client

from maladist.parallel.workers import Workers

FAULTS = """
import resource, sys, threading
import numpy as np
from maladist.parallel.workers import keep_freed_memory

def batches():
    for _ in range(50):
        a = np.ones(2**20)  # 8 MB, 2048 pages
        b = a + a
        del a, b

def task():
    if sys.argv[1] == "kept":
        keep_freed_memory()
    batches()  # the memory comes once
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    batches()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

thread = threading.Thread(target=task)  # as a worker's tasks run
thread.start()
thread.join()
"""


def test_a_worker_that_leaves_before_it_is_asked_about_is_waited_for_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, answers = client.scheduler_info, [{"workers": {}}]

    def info(**how: Any) -> Any:
        return answers.pop() if answers else real(**how)

    monkeypatch.setattr(client, "scheduler_info", info)
    assert Workers.of(client).count == len(client.nthreads())
    assert not answers


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is another")
def test_arrays_of_a_batch_do_not_come_from_the_system_each_time() -> None:
    def faults(how: str) -> int:
        environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536"}  # as Dask starts its workers
        command = [sys.executable, "-c", FAULTS, how]
        return int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)

    # Of 100 arrays of 2048 pages each; large pages, where the system has them, make it fewer.
    assert faults("kept") < 200 < faults("given back")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is another")
def test_between_tasks_a_worker_is_no_fuller_than_what_it_holds() -> None:
    """Else Dask pauses it at four fifths of its limit, and the run waits for it without end."""
    code = (
        "import numpy as np, psutil; from maladist.parallel.workers import begin_task, end_task; begin_task()\n"
        "rss = lambda: psutil.Process().memory_info().rss / 2**20\n"
        "before = rss(); arrays = [np.ones(2**13) for _ in range(3200)]; result = np.ones(2**13); del arrays\n"
        "during = rss() - before; end_task(); print(during, rss() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    during, after = map(float, done.stdout.split())
    assert during > 150 and after < 20  # MB, of 200 below a result that stays
