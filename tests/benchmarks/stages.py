"""What each stage of a prediction takes: processor seconds an atom, and how much of them is spent in one place.

    python tests/benchmarks/stages.py [--model be-1000K-2] [--atoms 8 128 2000 16384] [--workers 2] [--json FILE]

Crystals of Be, each in a process of its own that imports maladist, starts its workers (8 and 128 atoms need none),
predicts twice, the first time to have all kernels compiled, and ends. Processor time is read off the operating system
at the borders of the stages, for this process and for its workers, so that other users of the machine matter little.
"In one place": this process, and the energies where they are one task, while other workers wait. `--model` may be a
path: run the script of an older commit with the same model for a before and after.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from ase.build import bulk

CRYSTAL = bulk("Be", "hcp", a=2.2866, c=3.5833)
REPEATS = {8: (2, 2, 1), 128: (4, 4, 4), 2000: (10, 10, 10), 16384: (32, 16, 16)}
BLOCKS = ("descriptors", "network", "reductions", "io")


def used() -> tuple[float, float, float]:
    """Processor seconds so far of this process, of its workers, and the kernel's share of both."""
    own = psutil.Process()
    times = [own.cpu_times()]
    for child in own.children(recursive=True):
        try:
            times.append(child.cpu_times())
        except psutil.Error:
            continue
    each = [t.user + t.system for t in times]
    return each[0], sum(each[1:]), sum(t.system for t in times)


class Meter:
    """An observer that reads the clocks where a stage begins."""

    def __init__(self) -> None:
        self.read: list[tuple[str, tuple[float, float, float]]] = []

    def begin(self, client: object, work: str) -> None:
        """The plan has been made."""
        del client, work

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """A stage begins."""
        del total, done
        self.read.append((name, used()))

    def advance(self, task: object) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


def one(atoms: int, model: str, workers: int) -> dict[str, Any]:
    """One cell, in this process and its workers."""
    import maladist

    cell = CRYSTAL * REPEATS[atoms]
    with tempfile.TemporaryDirectory() as folder:

        def predict(number: int, client: Any, meter: Meter) -> Any:
            return maladist.predict(cell, model, client=client, store=f"{folder}/{number}.zarr", observer=meter)

        def measured(client: Any) -> dict[str, Any]:
            predict(0, client, Meter()).close()
            meter = Meter()
            meter.stage("prepare", 0)
            result = predict(1, client, meter)
            meter.stage("end", 0)
            seconds = result.to_dict()["seconds"]
            result.close()
            by_slabs = maladist.plan(cell, model, client=client, calibrate=False).distributed_fields
            return {"read": meter.read, "seconds": seconds, "by_slabs": by_slabs}

        if atoms <= 128:
            return measured(None)
        with maladist.cluster("local", workers=workers) as client:
            return measured(client)


def table(found: dict[str, Any]) -> dict[str, Any]:
    """Processor seconds by stage, the system's share, and the share in one place."""
    rows: dict[str, float] = {}
    read, alone = found["read"], 0.0
    for (name, before), (_, after) in pairwise(read):
        here, there = after[0] - before[0], after[1] - before[1]
        rows[name] = rows.get(name, 0.0) + here + there
        # In a process without workers all is one place, which says nothing.
        alone += here + (there if name == "energies" and not found["by_slabs"] else 0.0)
    whole, seconds = sum(rows.values()), found["seconds"]
    blocks = sum(seconds[name] for name in BLOCKS)
    for name in BLOCKS:  # by the workers' own clocks: only their shares are taken
        rows[f"  {name}"] = rows["blocks"] * seconds[name] / blocks
    system = (read[-1][1][2] - read[0][1][2]) / whole
    return {"core_s": whole, "stages": rows, "system": system, "in_one_place": alone / whole, "wall_s": seconds["wall"]}


def main() -> int:
    """Measure each size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="be-1000K-2")
    parser.add_argument("--atoms", type=int, nargs="+", default=[8, 128, 2000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--one", type=int, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(one(options.one, options.model, options.workers)))
        return 0
    every = {}
    for atoms in options.atoms:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        how = ["--model", options.model, "--workers", str(options.workers), "--one", str(atoms)]
        done = subprocess.run([sys.executable, __file__, *how], stdout=subprocess.PIPE, check=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found = table(json.loads(done.stdout.splitlines()[-1]))
        every[atoms] = found
        print(f"\n{atoms} atoms: {found['core_s']:.2f} core-s = {found['core_s'] / atoms:.5f} an atom, ", end="")
        print(f"wall {found['wall_s']:.1f} s, system {found['system']:.1%}, in one place {found['in_one_place']:.1%}")
        for name, seconds in found["stages"].items():
            print(f"  {name:<20} {seconds:9.3f}  {seconds / atoms:.6f} an atom")
        total = sum(getattr(after, t) - getattr(before, t) for t in ("ru_utime", "ru_stime"))
        print(f"  the whole process, imports, a first run, start and end of workers: {total:.1f} core-s")
    if options.json is not None:
        options.json.write_text(json.dumps(every, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
