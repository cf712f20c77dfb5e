"""What a GPU gives and how fast: every part of the work on a device beside the same on the CPU. `make gpu-check`.

    python tests/benchmarks/gpu_check.py [--device cuda:0] [--points 200000] [--atoms 128] [--json FILE]

Descriptors, their adjoint, the networks, a prediction with forces and stress, and a training, each in the precisions
that it has; of each the largest difference from float64 on the CPU, and its bound: some ten times what the same
precision is off on a CPU, and for a training, whose steps add up what sums in another order differ by, 2 %. Exits with
1 where a bound is passed. On a machine without a GPU `--device cpu` says whether the script itself works, and no more.
Needs what `make setup` installs, with a torch that knows the GPU.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import torch
from ase import Atoms

import maladist
from maladist import LDOSModel, TrainConfig, examples
from maladist.descriptors import Spec, adjoint, evaluate
from maladist.grid import Grid
from maladist.io.shipped import shipped_models
from maladist.learning.head import Reduction
from maladist.neighbors import CellList, LocalAtoms
from maladist.testing import Listener

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}
SAMPLE = 2000  # points whose descriptors are compared with the CPU's: those of all would take minutes there


@dataclass
class Row:
    """One part in one precision: work done a second, and how far it is off, beside what it may be."""

    part: str
    precision: str
    rate: float
    unit: str
    off: float
    bound: float
    peak_bytes: int

    @property
    def passed(self) -> bool:
        """Whether it is within its bound; a NaN is not."""
        return self.off <= self.bound


class Stopwatch:
    """Best time of a few runs on a device, and the most memory of its allocator."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def __call__(self, work: Callable[[], Any], runs: int = 3) -> tuple[Any, float, int]:
        """What the work gives, seconds, bytes (0 on a CPU); a run before the first, which compiles."""
        result, best = work(), np.inf
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        for _ in range(runs):
            self._wait()
            began = time.perf_counter()
            result = work()
            self._wait()
            best = min(best, time.perf_counter() - began)
        peak = torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else 0
        return result, best, peak

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def off(found: Any, exact: Any) -> float:
    """Largest difference, of the largest value."""
    a, b = (torch.as_tensor(x).detach().cpu().double() for x in (found, exact))
    return float((a - b).abs().max() / b.abs().max())


def descriptors(
    points: np.ndarray, atoms: LocalAtoms, spec: Spec, device: torch.device, watch: Stopwatch
) -> Iterator[Row]:
    """Descriptors of a family and their adjoint by torch's kernel, against the compiled one."""
    family = spec.family.replace("_", " ")
    some = points[:: max(1, len(points) // SAMPLE)][:SAMPLE]
    exact = evaluate(some, atoms, spec, backend="cpu", dtype=torch.float64)
    c = torch.randn(exact.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    back = adjoint(some, atoms, spec, c, backend="cpu", dtype=torch.float64)
    for name, dtype in PRECISIONS.items():
        how: dict[str, Any] = {"backend": "torch", "device": device, "dtype": dtype}
        bound = 1e-4 if dtype is torch.float32 else 1e-10
        got = evaluate(some, atoms, spec, **how)
        _, seconds, peak = watch(partial(evaluate, points, atoms, spec, **how))
        yield Row(family, name, len(points) / seconds, "points/s", off(got, exact), bound, peak)
        pulled, seconds, peak = watch(partial(adjoint, some, atoms, spec, c, **how))
        error = off(pulled.gradient, back.gradient)
        yield Row(f"adjoint ({family})", name, len(some) / seconds, "points/s", error, bound, peak)


def networks(features: torch.Tensor, model: LDOSModel, device: torch.device, watch: Stopwatch) -> Iterator[Row]:
    """Hidden layers and the sum of the LDOS; bfloat16 for the products of the hidden layers, by autocast."""
    none = torch.empty(model.energy_grid.levels, 0, dtype=torch.float64)

    def summed(model: LDOSModel, features: torch.Tensor, amp: bool = False) -> torch.Tensor:
        reduction = Reduction(model, none.to(features.device))
        with torch.inference_mode(), torch.autocast(features.device.type, torch.bfloat16, enabled=amp):
            for part in torch.split(features, 2**16 if features.is_cuda else model.batch):
                hidden = model.hidden(part)
                with torch.autocast(features.device.type, enabled=False):
                    reduction.add(hidden.to(model.dtype))
        return reduction.sum

    exact = summed(model.to("cpu", torch.float64), features.double())
    for name, amp, bound in (("float32", False, 1e-6), ("float64", False, 1e-12), ("bfloat16", True, 5e-3)):
        dtype = PRECISIONS.get(name, torch.float32)
        here, there = model.to(device, dtype), features.to(device, dtype)
        got, seconds, peak = watch(partial(summed, here, there, amp))
        yield Row("networks, D(ε)", name, len(features) / seconds, "points/s", off(got, exact), bound, peak)


def predictions(atoms: Atoms, model: LDOSModel, device: torch.device, watch: Stopwatch) -> Iterator[Row]:
    """A whole prediction in this process, with forces and stress."""
    family = model.descriptor.family.replace("_", " ")

    def predicted(**how: Any) -> tuple[float, np.ndarray]:
        with closing(maladist.predict(atoms, model, forces=True, stress=True, **how)) as got:
            total = got.energies.total
            assert total is not None
            return total / len(atoms), np.asarray(got.forces)

    energy, forces = predicted(device="cpu", precision="float64")
    for name in PRECISIONS:
        (a, f), seconds, peak = watch(partial(predicted, device=str(device), precision=name), runs=1)
        rate, tight = len(atoms) / seconds, name == "float64"
        yield Row(f"A an atom, eV ({family})", name, rate, "atoms/s", abs(a - energy), 1e-8 if tight else 1e-5, peak)
        yield Row(f"forces ({family})", name, rate, "atoms/s", off(f, forces), 1e-8 if tight else 1e-4, peak)


def training(device: torch.device, folder: Path) -> Iterator[Row]:
    """Epochs of a small network from one seed, on the device and on the CPU; the first has other work in it."""
    data = examples.small_data_set(folder)
    losses, rates = [], []
    for i, where in enumerate(("cpu", str(device))):
        told = Listener()
        config = TrainConfig.of(
            {
                "data": {"train": str(data / "snapshots/train-*"), "points": 400},
                "descriptor": {"family": "bispectrum", "twojmax": 4, "cutoff": 3.5},
                "network": {"hidden": [64, 64]},
                "batch": {"snapshots": 2, "points": 64},
                "optimiser": {"name": "AdamW", "lr": 2e-3},
                "epochs": 6,
                "device": where,
            }
        )
        maladist.train(config, folder / f"training-{i}", observer=told)
        epochs = [t for t in told.tasks if hasattr(t, "loss")]
        losses.append([e.loss for e in epochs])
        rates.append(1 / min(e.seconds for e in epochs[1:]))
    yield Row("training, loss", "float32", rates[1], "epochs/s", off(losses[1], losses[0]), 0.02, 0)


def rows(device: torch.device, n_points: int, n_atoms: int) -> Iterator[Row]:
    """Every part, cheapest first."""
    # One family of descriptors each, the second with a density channel.
    (model, second), watch = (maladist.load_model(name) for name in ("be-1000K", "be-1000K-2")), Stopwatch(device)
    cell = ase.io.read(shipped_models()["be-1000K"].folder / "held-out.extxyz")
    grid = Grid(cell.cell.array.tolist(), (2 * round((n_points / 8) ** (1 / 3)),) * 3)
    found = CellList(grid.cell_array, cell.positions, cell.numbers.astype(np.int16), model.descriptor.cutoff)
    assert second.descriptor.cutoff <= model.descriptor.cutoff
    atoms, points = found.near_block(grid, grid.whole), grid.points()
    for one in (model, second):
        yield from descriptors(points, atoms, one.descriptor, device, watch)
    features = evaluate(points, atoms, model.descriptor, device=device, dtype=torch.float32).cpu()
    yield from networks(features, model, device, watch)
    repeated = cell.repeat((1, 1, max(1, n_atoms // len(cell))))
    for one in (model, second):
        yield from predictions(repeated, one, device, watch)
    with tempfile.TemporaryDirectory() as folder:
        yield from training(device, Path(folder))


def machine(device: torch.device) -> dict[str, Any]:
    """What was measured on."""
    facts: dict[str, Any] = {"device": str(device), "torch": torch.__version__, "python": platform.python_version()}
    if device.type == "cuda":
        p = torch.cuda.get_device_properties(device)
        facts |= {
            "name": p.name,
            "memory": p.total_memory,
            "cuda": torch.version.cuda,
            "units": p.multi_processor_count,
        }
    return facts


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; 1 where something is off."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--points", type=int, default=200_000)
    parser.add_argument("--atoms", type=int, default=128)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args(arguments)
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print(f"torch {torch.__version__} sees no GPU; --device cpu tries the script alone", file=sys.stderr)
        return 2
    facts, done = machine(device), []
    print(json.dumps(facts))
    for row in rows(device, options.points, options.atoms):
        done.append(row)
        error = f"off {row.off:.1e} of {row.bound:.0e}" + ("" if row.passed else "  TOO MUCH")
        memory = f", {row.peak_bytes / 1e6:.0f} MB" if row.peak_bytes else ""
        print(f"{row.part:31} {row.precision:9} {row.rate:10.4g} {row.unit:9} {error}{memory}", flush=True)
    if options.json is not None:
        everything = [{**asdict(row), "passed": row.passed} for row in done]
        options.json.write_text(json.dumps({"machine": facts, "rows": everything}, indent=1))
    return int(not all(row.passed for row in done))


if __name__ == "__main__":
    raise SystemExit(main())
