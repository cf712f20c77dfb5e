"""Cost of a step of the ASE calculator with forces: in this process beside a local cluster, interleaved in one run.

    pytest tests/benchmarks/test_steps.py --benchmark-enable -s

What the kernels do not do is the share of the caller's thread, which only hands out blocks and adds up, in the
processor's time: a figure that other programs on the machine do not change. The wall times are theirs too.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

import maladist
from maladist.calculator import Maladist

pytestmark = [pytest.mark.timeout(3000), pytest.mark.filterwarnings("ignore")]


def step(atoms: Atoms, calculator: Maladist) -> tuple[float, float]:
    """Wall seconds, and the share of the caller's thread in the processor's time of this process."""
    atoms.positions[0, 0] += 0.01
    atoms.calc = calculator
    wall, own, every = time.perf_counter(), time.thread_time(), time.process_time()
    atoms.get_forces()
    return time.perf_counter() - wall, (time.thread_time() - own) / (time.process_time() - every)


@pytest.mark.parametrize(("repeat", "steps"), [((2, 2, 1), 10), ((4, 4, 4), 3)])
def test_a_step_in_this_process_beside_one_on_a_cluster(benchmark: Any, repeat: tuple[int, ...], steps: int) -> None:
    atoms = bulk("Be", "hcp", a=2.29, c=3.59) * repeat
    atoms.rattle(0.05, seed=1)
    with maladist.cluster("local") as client, Maladist("be-1000K") as here:
        there = Maladist("be-1000K", client=client)
        for calculator in (here, there):
            step(atoms, calculator)  # compiled, imported, warm
        pairs = [(step(atoms, here), step(atoms, there)[0]) for _ in range(steps)]
        benchmark.pedantic(step, (atoms, here), rounds=1)
    own, cluster = (np.array(x) for x in zip(*((a[0], b) for a, b in pairs), strict=True))
    share = float(np.median([a[1] for a, _ in pairs]))
    print(
        f"\n{len(atoms)} Be: {np.median(own):.2f} s a step here, {np.median(cluster):.2f} s on a cluster, "
        f"ratio {np.median(own / cluster):.2f}; {share:.0%} of the processor's time is the caller's"
    )
    assert np.median(own / cluster) < 1.1
    assert share < 0.15
