"""What many thousands of blocks cost the scheduler, and that a block's own cost does not grow with the cell."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import psutil
import pytest
from distributed import Client

import maladist
from maladist.grid import Block
from maladist.neighbors import CellList, LocalAtoms
from maladist.parallel import waves
from maladist.prediction.block import Report
from maladist.testing import be_atoms, tiny_model

pytestmark = pytest.mark.filterwarnings("ignore:broadening correction")


def dummy_kernel(block: Block, atoms: LocalAtoms, shared: Any, seconds: float = 0.0) -> Report:
    """What a block sends back, and nothing else."""
    time.sleep(seconds)
    return Report(block.index, "here", 0.0, 0.0, 0, {"descriptors": float(len(atoms))})


def jobs(n: int, shared: Any, seconds: float = 0.0) -> Iterator[waves.NamedJob]:
    """Blocks with arguments of the size of real ones: 300 atoms."""
    rng = np.random.default_rng(0)
    seen = LocalAtoms(rng.random((300, 3)), np.full(300, 4, np.int16))
    for i in range(n):
        yield waves.NamedJob(f"block{i}", Block(i, (0, 0, i), (1, 1, i + 1)), seen, shared, seconds)


def run(client: Client, n: int, seconds: float = 0.0) -> tuple[float, int]:
    """Seconds, and the largest growth of the scheduler's process (which is this one), bytes."""
    shared = client.submit(bytes, 100_000, pure=False)
    before, peak, done = psutil.Process().memory_info().rss, 0, 0
    began = time.perf_counter()
    for _ in waves.run(client, dummy_kernel, jobs(n, shared, seconds), run_key=f"dummy{time.time_ns():x}"):
        done += 1
        if done % 1000 == 0:
            peak = max(peak, psutil.Process().memory_info().rss - before)
    assert done == n
    return time.perf_counter() - began, peak


@pytest.mark.slow
def test_the_scheduler_holds_no_more_than_a_wave(client: Client) -> None:
    def tasks() -> int:
        return int(client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)))

    limit, most, done = waves.in_flight(client), 0, 0
    before = tasks()  # what earlier tests on this cluster still hold
    shared = client.submit(bytes, 10, pure=False)
    for _ in waves.run(client, dummy_kernel, jobs(1000, shared), run_key=f"wave{time.time_ns():x}"):
        done += 1
        if done % 100 == 0:
            most = max(most, tasks() - before)
    assert done == 1000 and most <= limit + 8


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_twenty_thousand_blocks_pass_at_flat_scheduler_memory(client: Client) -> None:
    """A leak shows in bytes a block, whatever their number: 1.7 kB, a fifth of the arguments of one."""
    run(client, 5000)  # what is allocated once; Dask's own logs are bounded deques, full after a thousand tasks
    n = 15_000
    seconds, grown = run(client, n)
    print(f"{1000 * seconds / n:.2f} ms a block, scheduler grew by {grown / n:.0f} bytes a block")
    assert grown < 1700 * n


@pytest.mark.slow
def test_blocks_of_half_a_second_lose_less_than_five_percent_to_the_scheduler(client: Client) -> None:
    # Asleep, not computing: what is measured is the way from one block to the next, not the cores of this machine.
    threads, n = sum(client.nthreads().values()), 24
    run(client, 4)
    seconds = min(run(client, n, 0.5)[0] for _ in range(3))  # the least disturbed by what else this machine does
    assert seconds < 1.05 * 0.5 * n / threads


@pytest.mark.slow
def test_a_thousand_real_blocks_of_a_point_each(client: Client) -> None:
    # The whole engine, store and all, where nothing but its overhead is left.
    result = maladist.predict(be_atoms(), tiny_model(), client=client, grid=(10, 10, 10), chunks=(1, 1, 1))
    assert result.dataset.attrs["blocks"] == 1000
    whole = maladist.predict(be_atoms(), tiny_model(), client=client, grid=(10, 10, 10), chunks=(10, 10, 10))
    assert result.energies.total == pytest.approx(whole.energies.total, abs=1e-4)


def test_finding_a_blocks_atoms_costs_the_same_in_a_large_cell() -> None:
    def seconds(n: int) -> float:
        edge = 2.0 * n
        cell = np.diag([edge] * 3)
        atoms = CellList(cell, np.random.default_rng(0).uniform(0, edge, (n**3, 3)), np.full(n**3, 4, np.int16), 4.0)
        atoms.around([0.4] * 3, [0.4 + 4 / edge] * 3)  # bins are made once
        times = []
        for _ in range(20):
            began = time.perf_counter()
            atoms.around([0.4] * 3, [0.4 + 4 / edge] * 3)
            times.append(time.perf_counter() - began)
        return min(times)

    assert seconds(40) < 3 * seconds(10)  # 64,000 atoms and 1,000


@pytest.mark.slow
def test_two_thousand_atoms_on_workers_smaller_than_the_work_arrays_of_the_fft() -> None:
    atoms, model = be_atoms((10, 10, 10)), tiny_model()
    grid = (140, 140, 200)
    with maladist.cluster({"kind": "local", "memory_limit": "4GB"}, workers=2) as client:
        roomy = maladist.predict(atoms, model, client=client, grid=grid)
    with maladist.cluster({"kind": "local", "memory_limit": "700MB"}, workers=2) as client:
        planned = maladist.plan(atoms, model, client=client, grid=grid, calibrate=False)
        assert planned.distributed_fields and planned.fields_bytes > 8 * np.prod(grid) * 10 > planned.room
        tight = maladist.predict(atoms, model, client=client, grid=grid)
    assert tight.dataset.attrs["peak_memory_bytes"] < 700e6
    for (name, a), (_, b) in zip(tight.energies, roomy.energies, strict=True):
        assert a is not None and b is not None
        assert a / 2000 == pytest.approx(b / 2000, abs=1e-8), name
