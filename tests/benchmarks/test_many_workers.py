"""What the client and Dask's scheduler cost a block, and so how many workers one scheduler keeps busy.

    pytest tests/benchmarks/test_many_workers.py --benchmark-enable -s

The workers are threads of this process that sleep where a block would be computed, with a block's atoms sent to each:
all their messages, and the client's and scheduler's work for a block, are real, on this machine's cores together with
the workers' own, which a cluster has elsewhere. So the efficiency is a bound from below: on two cores 95 % of 64
workers at blocks of 1 s, 91 % of 256 at 4 s, 0.15 ms of the caller a block. These cores cannot pretend to be more.
"""

from __future__ import annotations

import time
from typing import Any

import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster

from maladist.neighbors import LocalAtoms
from maladist.parallel import waves

pytestmark = [pytest.mark.timeout(3000), pytest.mark.filterwarnings("ignore")]

BLOCKS = 6
"""Blocks of a worker: weak scaling."""


def block(atoms: LocalAtoms, seconds: float, *_: object) -> float:
    """What stands for a block of so many seconds."""
    time.sleep(seconds)
    return float(len(atoms))


@pytest.mark.parametrize(("workers", "seconds"), [(2, 1.0), (64, 1.0), (64, 4.0), (256, 4.0)])
def test_weak_scaling_with_workers_that_sleep(benchmark: Any, workers: int, seconds: float) -> None:
    rng = np.random.default_rng(0)
    # As many as a block of 32 thousand points sees: some 10 kB.
    atoms = LocalAtoms(rng.normal(size=(300, 3)), np.full(300, 4, np.int16), np.arange(300))
    with (
        # Each worker looks at its own stack every 10 ms: where there are hundreds in a process it does nothing else.
        dask.config.set({"distributed.worker.profile.enabled": False}),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=False,
            dashboard_address=None,
            memory_limit=None,  # each would take the memory of all for its own, and pause
        ) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(workers)
        jobs = [waves.NamedJob(f"block{i}", atoms, seconds) for i in range(workers * BLOCKS)]
        began, processor, caller = time.perf_counter(), time.process_time(), time.thread_time()
        done = sum(1 for _ in waves.run(client, block, iter(jobs), run_key=f"many{workers}"))
        wall, processor = time.perf_counter() - began, time.process_time() - processor
        caller = time.thread_time() - caller
    benchmark.pedantic(lambda: None)
    print(f"\n{workers} workers, blocks of {seconds} s: efficiency {BLOCKS * seconds / wall:.0%}; a block", end=" ")
    print(
        f"{1e3 * caller / done:.2f} ms of the caller, {1e3 * processor / done:.1f} ms of client, scheduler and worker"
    )
    assert done == len(jobs)
