"""What the client and Dask's scheduler cost a block, and so how many workers one scheduler keeps busy.

    pytest tests/benchmarks/test_many_workers.py --benchmark-enable -s

Real are the scheduler (a process of its own, over TCP), the client, the engine that feeds them (`waves.run`) and the
blocks of a Be cell with the atoms that each sees, the model's and the run's arguments shared as in a prediction. Their
workers only hold each block for a time (`light_workers`). All of it runs on the cores of this machine, those that
pretend to be workers included, so the efficiency is a bound from below: where the machine is shared, the processor time
a block says more. A worker's share of scheduler and client is that time by the time of a block, and one scheduler, a
process of one thread, keeps at most the quotient busy, which is printed as the bound.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from ase.build import bulk
from distributed import Client

from maladist.parallel import waves
from maladist.parallel.blocking import choose_block
from maladist.prediction.block import Work, compute_block
from maladist.prediction.setup import Setup, setup

pytestmark = [pytest.mark.timeout(3000), pytest.mark.filterwarnings("ignore")]

BLOCKS = 15
"""Blocks of a worker: weak scaling; 1,000,000 atoms of Be are so many for each of 1,024 workers."""

CRYSTAL = bulk("Be", "hcp", a=2.2866, c=3.5833) * (32, 16, 16)
"""Its blocks are sent, over and over."""


@contextmanager
def process(*command: str) -> Iterator[psutil.Process]:
    """A Python process, ended with the context."""
    with subprocess.Popen([sys.executable, *command], stderr=subprocess.DEVNULL) as running:
        try:
            yield psutil.Process(running.pid)
        finally:
            running.terminate()


@contextmanager
def cluster(folder: Path, workers: int, seconds: float) -> Iterator[tuple[Client, psutil.Process, psutil.Process]]:
    """A client, and the processes of its scheduler and of its light workers."""
    file = folder / "scheduler.json"
    listen = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
    with (
        process("-m", "distributed.cli.dask_scheduler", *listen) as scheduler,
        Client(scheduler_file=str(file)) as client,
    ):
        address = json.loads(file.read_text())["address"]
        with process("-m", "tests.benchmarks.light_workers", address, str(workers), str(seconds)) as light:
            client.wait_for_workers(workers, timeout=600)
            yield client, scheduler, light


@pytest.fixture(scope="module")
def ready() -> Setup:
    """A prediction's input."""
    return setup(CRYSTAL, "be-1000K-2")


def jobs_of(ready: Setup, client: Client, number: int) -> Iterator[waves.NamedJob]:
    """Tasks as `sum_blocks` makes them."""
    grid, cells = ready.system.grid, ready.cell_list
    blocks = grid.blocks(choose_block(grid, 2, 2**30))
    work = Work(Path("nowhere.zarr"), grid, ready.numerics, np.zeros((95, 10)), True, True)
    shared = tuple(waves.share(client, value, run_key="many") for value in (ready.blob, work))
    for i, block in enumerate(islice(cycle(blocks), number)):
        yield waves.NamedJob(f"block{i}", block, cells.near_block(grid, block).without_indices(), *shared)


def used(*processes: psutil.Process) -> np.ndarray[Any, Any]:
    """Processor seconds of processes, of this one, and of this thread."""
    times = [one.cpu_times() for one in processes]
    return np.array([*(t.user + t.system for t in times), time.process_time(), time.thread_time()])


@pytest.mark.parametrize(("workers", "seconds"), [(64, 0.5), (256, 0.5), (256, 2.0), (1024, 0.5), (1024, 4.0)])
def test_weak_scaling(benchmark: Any, ready: Setup, tmp_path: Path, workers: int, seconds: float) -> None:
    number = workers * BLOCKS
    with cluster(tmp_path, workers, seconds) as (client, scheduler, light):
        list(
            waves.run(client, compute_block, jobs_of(ready, client, 1), run_key="warm")
        )  # it imports what it unpickles
        before, began = used(scheduler, light), time.perf_counter()
        done = sum(1 for _ in waves.run(client, compute_block, jobs_of(ready, client, number), run_key="many"))
        wall, each = time.perf_counter() - began, 1e3 * (used(scheduler, light) - before) / number
    benchmark.pedantic(lambda: None)
    print(f"\n{workers} workers, blocks of {seconds} s: efficiency {BLOCKS * seconds / wall:.0%}; a block", end=" ")
    print(f"{each[0]:.2f} ms of the scheduler, {each[2]:.2f} of the client (caller {each[3]:.2f})", end=" ")
    print(f"and {each[1]:.2f} of the light workers; bound {1e3 * seconds / max(each[0], each[2]):.0f} workers")
    assert done == number
