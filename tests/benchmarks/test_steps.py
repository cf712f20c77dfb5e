"""Cost of a step of the ASE calculator with forces: in this process beside a local cluster, interleaved in one run.

    pytest tests/benchmarks/test_steps.py --benchmark-enable -s

Beside wall times it tells the processor's: that of all processes for a step, and the share in it of the caller's
thread, which hands out blocks and adds up what the kernels gave. Other programs on the machine change them little.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from distributed import Client

import maladist
from maladist.calculator import Maladist

pytestmark = [pytest.mark.timeout(3000), pytest.mark.filterwarnings("ignore")]


class Cost(NamedTuple):
    """Seconds of a step: wall, of the processor in all processes, and of it in the caller's thread."""

    wall: float
    processor: float
    caller: float


def step(atoms: Atoms, calculator: Maladist) -> Cost:
    """What forces of atoms that have moved cost."""

    def now() -> np.ndarray:
        workers = calculator.client.run(time.process_time) if isinstance(calculator.client, Client) else {}
        return np.array([time.perf_counter(), time.process_time() + sum(workers.values()), time.thread_time()])

    atoms.positions[0, 0] += 0.01
    atoms.calc = calculator
    began = now()
    atoms.get_forces()
    return Cost(*(now() - began).tolist())


@pytest.mark.parametrize(("repeat", "steps"), [((2, 2, 1), 10), ((4, 4, 4), 3)])
def test_a_step_in_this_process_beside_one_on_a_cluster(benchmark: Any, repeat: tuple[int, ...], steps: int) -> None:
    atoms = bulk("Be", "hcp", a=2.29, c=3.59) * repeat
    atoms.rattle(0.05, seed=1)
    with maladist.cluster("local") as client, Maladist("be-1000K") as here:
        there = Maladist("be-1000K", client=client)
        for calculator in (here, there):
            step(atoms, calculator)  # compiled, imported, warm
        pairs = [(step(atoms, here), step(atoms, there)) for _ in range(steps)]
        benchmark.pedantic(step, (atoms, here), rounds=1)
    own, cluster = (Cost(*np.median(costs, axis=0)) for costs in zip(*pairs, strict=True))
    ratio = np.median([a.processor / b.processor for a, b in pairs])
    share = own.caller / own.processor
    print(
        f"\n{len(atoms)} Be: wall {own.wall:.2f} s a step here, {cluster.wall:.2f} s on a cluster; processor ", end=""
    )
    print(f"{own.processor:.2f} and {cluster.processor:.2f} s, ratio {ratio:.2f}; share of the caller {share:.0%}")
    assert ratio < 1.0
    assert share < 0.15
