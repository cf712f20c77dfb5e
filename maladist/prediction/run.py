"""The streaming prediction: blocks in one pass, μ, density, energies, into a store, and resumable at any point.

1. A pilot of random points gives a first μ and the window that the real one will lie in.
2. Every block computes its LDOS once, and keeps its share of D(ε) and its projections on the span of the Fermi weights.
3. D(ε) is summed in the order of the blocks' index, so a resumed run gives the same bits; μ follows.
4. n(r) follows per block from the projections; the energies from n and D.

The store is the memory of the run: a block is done when its row of ``work/tally`` is there, which is written last.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from distributed import Client

from maladist import schema
from maladist.errors import StoreError
from maladist.io import stores
from maladist.io.stores import ArrayTemplate, field_template
from maladist.neighbors import LocalAtoms
from maladist.parallel import waves
from maladist.parallel.progress import Observer
from maladist.parallel.workers import Workers
from maladist.physics.fermi import FermiWeights, fermi_states, window_modes
from maladist.prediction.block import Report, Work, compute_block, density_blocks, pilot_batch
from maladist.prediction.fields import terms_of_store
from maladist.prediction.pilot import pilot_jobs, pilot_points, window
from maladist.prediction.plan import make_plan
from maladist.prediction.provenance import provenance
from maladist.prediction.record import check_record, damaged, read_basis, recorded, verify_jobs
from maladist.prediction.setup import Setup
from maladist.prediction.tally import STAGES, Tally, add_up
from maladist.prediction.values import result_values

Array = npt.NDArray[np.float64]
_DENSITY_POINTS: Final = 2**18  # points of a task of the density
_ROWS: Final = 1024  # tallies that the client reads at a time
_passes = count()  # no two passes share a key: the scheduler would answer with the basis of the first


@dataclass
class Run:
    """One run from its plan to its finished store."""

    setup: Setup
    path: Path
    client: Client
    observer: Observer
    chunks: str | Sequence[int]
    resume: bool
    overwrite: bool
    began: float
    priority: int = 0

    def execute(self) -> None:
        """Do what is not done yet."""
        record = self._record()
        basis = None if record is None else read_basis(self.path)
        chunks = self.chunks if record is None else self._blocks_of(record)
        self.plan = make_plan(self.setup, Workers.of(self.client), chunks)
        self.observer.begin(self.client, self.plan)
        self.key = f"maladist-{self.setup.blob.content_hash[:8]}-{time.time_ns():x}"
        # A future that any worker can compute again: it is not lost with the worker that holds it.
        self.blob = self.client.submit(_same, self.setup.blob, key=f"{self.key}-model")
        if basis is None:  # a new run, or one that died before its first block
            self.resume, self.overwrite = False, self.overwrite or record is not None
            basis = self._start_store()
        self.reports: list[Report] = []
        self._blocks(basis)
        tally = self._total()
        weights = self._weights(tally.dos)
        coefficients = np.stack([w.number.numpy() for _, w in weights]) @ basis
        if self._outside(weights, basis, coefficients):
            self.observer.note(
                "the Fermi level lies outside the window of the first pass: computing the blocks a second time"
            )
            basis = np.linalg.qr(np.stack([w.number.numpy() for _, w in weights]).T)[0]
            self._reset_work(basis)
            self._blocks(basis)
            tally = self._total()
            weights = self._weights(tally.dos)
            coefficients = np.stack([w.number.numpy() for _, w in weights]) @ basis
        self._density(coefficients)
        self._finish(tally, weights)

    # -- the store -------------------------------------------------------------------------------------------------

    def _record(self) -> dict[str, Any] | None:
        """What the unfinished store was computed with; None for a new run."""
        if not self.resume or not self.path.exists():
            return None
        return check_record(self.path, self.setup.fingerprint(), unfinished=True)

    def _start_store(self) -> Array:
        """Make the template with everything that the blocks write to; return the basis of the window."""
        basis = self._pilot()
        system, model, plan = self.setup.system, self.setup.model, self.plan
        shape, chunks, nt = system.grid.shape, plan.block_shape, len(system.temperatures)
        arrays = {"density": field_template("density", shape, chunks, nt if nt > 1 else 0)}
        for name, width in (("ldos", model.energy_grid.levels), ("descriptors", model.descriptor.n_features)):
            if name in self.setup.keep:
                arrays[name] = field_template(name, (*shape, width), (*chunks, width))
        arrays |= self._work_arrays(basis)
        attributes = {
            **schema.system_attributes(system),
            **schema.energy_attributes(model.energy_grid),
            "descriptors": model.descriptor.to_dict(),
            "model_hash": self.setup.model_hash,
            "source": f"maladist {version('maladist')} predict",
            "work": {**self.setup.fingerprint(), "block_shape": list(plan.block_shape)},
        }
        stores.create(self.path, arrays, attributes, self.overwrite)
        stores.write_values(self.path, {"work/basis": (("energy", "mode"), basis, "1")})
        return basis

    def _work_arrays(self, basis: Array) -> dict[str, ArrayTemplate]:
        shape, chunks = self.setup.system.grid.shape, self.plan.block_shape
        levels, modes = basis.shape
        row = levels + 1 + len(STAGES)
        return {
            "work/modes": ArrayTemplate((*shape, modes), (*chunks, modes), ("x", "y", "z", "mode")),
            "work/tally": ArrayTemplate((len(self.plan.blocks), row), (1, row), ("block", "entry")),
        }

    def _reset_work(self, basis: Array) -> None:
        stores.remove(self.path / stores.WORK)
        stores.add_arrays(self.path, self._work_arrays(basis))
        stores.write_values(self.path, {"work/basis": (("energy", "mode"), basis, "1")})

    def _blocks_of(self, record: dict[str, Any]) -> Sequence[int]:
        """Block shape of the run that is continued; other chunks that were asked for are refused."""
        shape = tuple(record["block_shape"])
        if not isinstance(self.chunks, str) and self.setup.system.grid.blocks(self.chunks).block_shape != shape:
            raise StoreError("chunks", f"{tuple(self.chunks)} to resume", f"{shape}, with which the run began")
        return shape

    # -- the stages ------------------------------------------------------------------------------------------------

    def _pilot(self) -> Array:
        """Basis of the Fermi weights over the window that a random sample of the points gives."""
        s, p = self.setup, self.setup.system
        jobs = pilot_jobs(pilot_points(p.grid), s.cell_list)
        self.observer.stage("first Fermi level", len(jobs))
        shared = (self.blob, s.backend, s.device, s.dtype)
        jobs = [waves.NamedJob(j.name, i, *j.arguments, *shared) for i, j in enumerate(jobs)]
        found: dict[int, Array] = {}
        for i, mean in self._run(pilot_batch, jobs):
            found[i] = mean
            self.observer.advance(None)
        means = np.array([found[i] for i in sorted(found)])  # in this order, whoever was first: the bits depend on it
        low, high = window(means, s.model.energy_grid, p)
        return window_modes(s.model.energy_grid, p.temperatures, low, high, correction=p.correction).numpy()

    def _blocks(self, basis: Array) -> None:
        """The LDOS of every block that is not done."""
        blocks, s = self.plan.blocks, self.setup
        done = self._done()
        self.observer.stage("blocks", len(blocks), int(done.sum()))
        work = Work(str(self.path), s.system.grid, s.backend, s.device, s.dtype, basis, s.keep)
        shared = self.client.submit(_same, work, key=f"{self.key}-work-{next(_passes)}")

        def jobs() -> Iterator[waves.NamedJob]:
            for index in np.flatnonzero(~done):
                block = blocks[int(index)]
                seen = s.cell_list.near_block(s.system.grid, block)
                few = LocalAtoms(seen.positions, seen.numbers, seen.indices[:0])
                yield waves.NamedJob(f"block{index}", block, few, self.blob, shared)

        for report in self._run(compute_block, jobs()):
            self.reports.append(report)
            self.observer.advance(report)

    def _done(self) -> npt.NDArray[np.bool_]:
        """Blocks that an earlier run has finished, as far as they can be read."""
        n = len(self.plan.blocks)
        if not self.resume:
            return np.zeros(n, bool)
        done = recorded(self.path, n)
        jobs = verify_jobs(self.path, self.plan.blocks, done, ("work/modes", *self.setup.keep))
        bad = [index for found in waves.run(self.client, damaged, jobs, run_key=self.key) for index in found]
        if bad:
            self.observer.note(f"{len(bad)} blocks of the earlier run cannot be read and are computed again")
            done[bad] = False
        return done

    def _total(self) -> Tally:
        """Sum of the tallies in the order of the blocks."""
        rows, levels = stores.open_array(self.path, "work/tally", "r"), self.setup.model.energy_grid.levels
        n = len(self.plan.blocks)
        every = (Tally.from_row(row) for i in range(0, n, _ROWS) for row in np.asarray(rows[i : i + _ROWS]))
        return add_up(every, levels)

    def _weights(self, dos: Array) -> list[tuple[float, FermiWeights]]:
        """μ and the weights at it, for every temperature."""
        return fermi_states(torch.as_tensor(dos), self.setup.model.energy_grid, self.setup.system)

    def _outside(self, weights: Sequence[tuple[float, FermiWeights]], basis: Array, coefficients: Array) -> bool:
        """Whether the weights at μ do not lie in the span of the basis: μ has left the window."""
        exact = np.stack([w.number.numpy() for _, w in weights])
        return bool(np.abs(coefficients @ basis.T - exact).max() > 1e-9 * np.abs(exact).max())

    def _density(self, coefficients: Array) -> None:
        blocks = self.plan.blocks
        # A block's density is a matter of milliseconds: some of them make a task.
        many = max(1, _DENSITY_POINTS // math.prod(self.plan.block_shape))
        starts = range(0, len(blocks), many)
        self.observer.stage("density", len(starts))
        jobs = (waves.NamedJob(f"density{i}", blocks[i : i + many], str(self.path), coefficients) for i in starts)
        self.density_reports = []
        for report in self._run(density_blocks, jobs):
            self.density_reports.append(report)
            self.observer.advance(report)

    def _run(self, function: Callable[..., Any], jobs: Any) -> Iterator[Any]:
        return waves.run(
            self.client, function, jobs, run_key=self.key, resources=self.plan.resources, priority=self.priority
        )

    def _finish(self, tally: Tally, weights: Sequence[tuple[float, FermiWeights]]) -> None:
        system = self.setup.system
        self.observer.stage("energies", 1)
        clock = time.perf_counter()
        terms = terms_of_store(
            self.client,
            self.path,
            system,
            distributed=self.plan.distributed_fields,
            room=self.plan.room,
            run_key=self.key,
        )
        seconds_energies = time.perf_counter() - clock
        self.observer.advance(None)
        values = result_values(system, self.setup.model.energy_grid, tally.dos, weights, terms)
        stores.write_values(self.path, values | self._run_values())
        stores.set_attributes(self.path, self._run_attributes(tally, seconds_energies))
        stores.finish(self.path)

    def _run_values(self) -> dict[str, Any]:
        """When (seconds since 1970) and where each block ran, for the report."""
        workers = sorted({r.worker for r in self.reports})
        rank = {w: i for i, w in enumerate(workers)}
        r = sorted(self.reports, key=lambda r: r.block)
        return {
            "run/block": (("task",), np.array([x.block for x in r], np.int64), "1"),
            "run/worker": (("task",), np.array([rank[x.worker] for x in r], np.int64), "1"),
            "run/start": (("task",), np.array([x.start for x in r], np.float64), "s"),
            "run/stop": (("task",), np.array([x.stop for x in r], np.float64), "s"),
            "run/peak_memory": (("task",), np.array([x.peak_memory for x in r], np.int64), "B"),
        }

    def _run_attributes(self, tally: Tally, seconds_energies: float) -> dict[str, Any]:
        every = [*self.reports, *self.density_reports]
        of_density = sum(sum(r.seconds.values()) for r in self.density_reports)
        stages = dict(zip(STAGES, map(float, tally.seconds), strict=True))
        return {
            **provenance(),
            "model": str(self.setup.model),
            "blocks": len(self.plan.blocks),
            "block_shape": list(self.plan.block_shape),
            "workers": len({r.worker for r in every}),
            "peak_memory_bytes": max(r.peak_memory for r in every),
            "seconds": {
                **stages,
                "density": of_density,
                "energies": seconds_energies,
                "wall": time.perf_counter() - self.began,
            },
        }


def _same(value: Any) -> Any:
    return value
