"""A large cell of Be by `maladist predict` on two workers of 1 GB, killed once on the way and gone on with.

    python tests/benchmarks/large_cell.py [--repeat 32 32 16] [--kill-after 60] [--folder large] [--json FILE]

The held-out cell of the shipped model (8 atoms) repeated: 131,072 atoms and 287 million points by default, MALA's
largest published cell (npj Comput. Mater. 9, 115 (2023)). Its energies an atom must be those of the 8 atoms on the same
grid, to 1e-6 eV. Prints seconds, processor time and the largest memory of client and workers; exits with 1 where the
energies differ. A folder that exists is gone on with.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import ase.io
import psutil

from maladist.io.shipped import shipped_models

MODEL = "be-1000K-2"
POINTS = (27, 27, 24)  # of the 8 atoms
CLOSE = 1e-6  # eV an atom


class Watched:
    """A command under way: its wall time, processor time and largest memory, by client and worker."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.log = log
        with log.open("a") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        self.began, self.client, self.worker = time.monotonic(), 0, 0
        self._cpu: dict[int, float] = {}

    def wait(self, at_most: float = float("inf")) -> int | None:
        """Its status; None where it still runs after so many seconds."""
        while self.process.poll() is None:
            if time.monotonic() - self.began > at_most:
                return None
            with suppress(psutil.Error):
                self._look(psutil.Process(self.process.pid))
            time.sleep(0.5)
        return self.process.returncode

    def _look(self, client: psutil.Process) -> None:
        everyone = [client, *client.children(recursive=True)]
        for p in everyone:
            with suppress(psutil.Error):
                held, used = p.memory_info().rss, p.cpu_times()
                self._cpu[p.pid] = used.user + used.system
                if p is client:
                    self.client = max(self.client, held)
                else:
                    self.worker = max(self.worker, held)

    def facts(self) -> dict[str, float]:
        """What it took so far."""
        seconds = time.monotonic() - self.began
        return {
            "wall_s": round(seconds, 1),
            "processor_s": round(sum(self._cpu.values()), 1),
            "client_MB": self.client // 10**6,
            "largest_worker_MB": self.worker // 10**6,
        }


def predict(atoms: Path, grid: list[int], output: Path, *more: str) -> list[str]:
    """The command."""
    size = ["--grid", *map(str, grid)]
    start = [sys.executable, "-m", "maladist", "predict", str(atoms), "--model", MODEL, "--output", str(output)]
    return [*start, *size, "--json", str(output.with_suffix(".json")), *more]


def main() -> int:
    """Run, kill, go on, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, nargs=3, default=(32, 32, 16))
    parser.add_argument("--kill-after", type=float, default=60.0, help="seconds")
    parser.add_argument("--folder", type=Path, default=Path("large"))
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    folder: Path = options.folder
    folder.mkdir(exist_ok=True)
    small = shipped_models()[MODEL].folder / "held-out.extxyz"
    cell = ase.io.read(small)
    large, workers = folder / "large.extxyz", folder / "workers.yaml"
    ase.io.write(large, ase.Atoms(cell.symbols, cell.positions, cell=cell.cell, pbc=True) * options.repeat)
    workers.write_text("kind: local\nworkers: 2\nmemory_limit: 1GB\n")
    log = folder / "log"
    if Watched(predict(small, list(POINTS), folder / "small.zarr", "--overwrite"), log).wait():
        raise SystemExit(f"the small cell failed: see {log}")

    output, facts = folder / "large.zarr", {}
    grid = [n * m for n, m in zip(POINTS, options.repeat, strict=True)]
    command = predict(large, grid, output, "--cluster", str(workers), "--report", str(folder / "large.html"))
    if not output.exists():
        first = Watched(command, log)
        if first.wait(options.kill_after) is None:
            first.process.send_signal(signal.SIGKILL)
            first.process.wait()
            facts["killed"] = first.facts()
        elif first.process.returncode:
            raise SystemExit(f"status {first.process.returncode}: see {log}")
    if output.exists() and not output.with_suffix(".json").exists():
        second = Watched([*command, "--resume"], log)
        status = second.wait()
        facts["gone on"] = second.facts()
        if status:
            raise SystemExit(f"status {status}: see {log}")

    one, many = (json.loads((folder / f"{name}.json").read_text()) for name in ("small", "large"))
    # σ an atom is that of a cell of the calibration's sizes: it need not be the same.
    none = ("fermi_energy_eV", *(name for name in one if name.endswith("_sigma_eV")))
    terms = [name for name in one if name.endswith("_eV") and name not in none and one[name] is not None]
    off = {t: many[t] / many["n_atoms"] - one[t] / one["n_atoms"] for t in terms}
    facts["atoms"], facts["points"], facts["off_eV_per_atom"] = many["n_atoms"], grid[0] * grid[1] * grid[2], off
    print(json.dumps(facts, indent=1))
    if options.json is not None:
        options.json.write_text(json.dumps(facts, indent=1))
    return int(max(map(abs, off.values())) > CLOSE)


if __name__ == "__main__":
    raise SystemExit(main())
