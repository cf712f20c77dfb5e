"""The streaming prediction: blocks in one pass, μ, density, energies, into a store, and resumable at any point.

1. A pilot of random points gives a first μ and the window that the real one will lie in.
2. Every block computes its LDOS once, and keeps its share of D(ε) and its projections on the span of the Fermi weights.
3. D(ε) is summed in the order of the blocks' index, so a resumed run gives the same bits; μ follows. Where it lies
   outside of the window after all, the blocks are computed once more, for this μ alone: `spectrum`.
4. n(r) follows per block from the projections; the energies from D and n₀, the n(r) at the temperature of the data.
5. Forces and stress, where they are asked for, take a second pass: `forces`.

Every stage is a function of the run and of what earlier stages gave. The store is the memory of the run: a block is
done when its row of ``work/tally`` is there, which is written last.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch

from maladist.arrays import Array
from maladist.attributes import Attributes
from maladist.errors import StoreError
from maladist.grid import Block
from maladist.io import stores
from maladist.io.appearing import take_over
from maladist.io.memory import Memory
from maladist.parallel import waves
from maladist.parallel.here import Runner
from maladist.parallel.progress import Finished, Observer
from maladist.parallel.workers import Workers
from maladist.physics.energies import Energies
from maladist.physics.fermi import fermi_states
from maladist.physics.forces import check_stationary
from maladist.physics.limits import check_limits
from maladist.prediction.block import Report, Work, compute_block, density_blocks
from maladist.prediction.channel import Counted, coefficients, count_electrons
from maladist.prediction.fields import terms_of_store
from maladist.prediction.forces import Electrons, find_derivatives
from maladist.prediction.novelty import NOVELTY, check_points, check_sample, outside_attributes
from maladist.prediction.options import Chunks
from maladist.prediction.passes import Pass, Run, run_pass
from maladist.prediction.pilot import first_window, sampled
from maladist.prediction.plan import make_plan
from maladist.prediction.record import MODES, TALLY, Record, check_record, read_basis
from maladist.prediction.setup import Setup
from maladist.prediction.sigma import sigma_values
from maladist.prediction.spectrum import Spectrum
from maladist.prediction.tally import Tally, add_up
from maladist.prediction.template import make_store, reset_work
from maladist.prediction.values import result_values, run_attributes, run_values, worker_seconds

_DENSITY_POINTS: Final = 2**18  # points of a task of the density
_ROWS: Final = 1024  # tallies that the client reads at a time


_SAMPLED: Final = 2000
"""Points that --strict looks at before the run is paid for: a share of 2 % is then known to 0.3 %."""


@dataclass(frozen=True)
class Target:
    """Where a run writes.

    Attributes
    ----------
    path
        Path of the store.
    resume
        Whether to continue the run that left it unfinished.
    overwrite
        Whether to replace what is there.
    """

    path: Path
    resume: bool = False
    overwrite: bool = False


def execute(
    setup: Setup,
    target: Target | Memory,
    client: Runner,
    observer: Observer,
    *,
    began: float,
    priority: int = 0,
    last: Callable[[stores.Where], object] = lambda _: None,
    window: Array | None = None,
) -> Array | None:
    """Do what is not done yet, from the plan to the finished store.

    Parameters
    ----------
    setup
        Input of the run, checked.
    target
        Store to write; of a run in this process it may be in memory.
    client, observer
        Client whose workers compute, or this process; and who is told of it.
    began
        Time when the caller began, as of `time.perf_counter`: the wall time that the store tells counts from there.
    priority
        Priority of this run's tasks where several runs share the workers; the larger goes first.
    last
        Function that writes what else belongs into the store, before it is sealed.
    window
        Basis of the modes of an earlier run of like atoms, in place of a pilot.

    Returns
    -------
    ndarray or None
        Basis of the modes, (levels, modes); None where it was not good enough and the blocks were computed twice.
    """
    # The record decides all that follows: blocks that are done must keep their shape and their basis.
    record = _unfinished(setup, target)
    chunks = _block_shape(setup, record)
    with ExitStack() as owned:  # however it ends, others may go on with the store
        # Claimed before anything is read from it: two that resume one store would compute its blocks twice.
        path: stores.Where = target if isinstance(target, Memory) else target.path
        if isinstance(target, Target) and record is not None:
            path = owned.enter_context(take_over(target.path))
        run = _begin(setup, path, client, observer, chunks, priority)
        basis = None if record is None else read_basis(path)
        resumed = basis is not None
        if basis is None:  # a new run, or one that died before its first block
            if setup.strict:
                check_sample(sampled(setup, _SAMPLED))
            basis = first_window(run) if window is None else window
            overwrite = record is not None or (isinstance(target, Target) and target.overwrite)
            store = make_store(run, basis, overwrite)
            owned.enter_context(store)
            run = replace(run, path=store)
        held = _fill_store(run, basis, resumed, began)
        # Before the seal, which holds all that the store has from then on.
        last(run.path)
        stores.finish(run.path)
    return basis if held else None


def _fill_store(run: Run, basis: Array, resumed: bool, began: float) -> bool:
    """All stages from the blocks on, and what they give into the store; whether the basis served."""
    setup = run.setup
    spectrum = sum_blocks(run, basis, resumed)
    reports = spectrum.reports
    lacks = spectrum.lacks(basis, setup)
    if lacks:
        run.observer.note(f"{lacks}: computing the blocks a second time")
        # For this μ alone: it is known now, so that no window is needed a second time.
        basis = spectrum.basis(setup)
        reset_work(run, basis)
        spectrum = sum_blocks(run, basis, resumed=False)
        # Both passes are part of what the run took.
        reports = reports + spectrum.reports

    # Checked before the density is made: what is refused here has cost the blocks, and nothing more.
    counted = count_electrons(setup, spectrum.tally)
    notes = _check(setup, spectrum, counted)
    for note in notes:
        run.observer.note(note)
    densities = make_density(run, coefficients(setup, spectrum.weights(setup) @ basis, counted))
    # From the density in the store: no worker has all of it in memory, and neither has the client.
    terms, seconds = find_energies(run)
    electrons = Electrons(spectrum.tally.dos, spectrum.states, basis, counted.share)
    derivatives, of_derivatives = find_derivatives(run, electrons) if setup.derivatives else ({}, {})

    values = result_values(setup.system, setup.model.energy_grid, spectrum.tally.dos, spectrum.states, terms)
    values |= derivatives
    there = {"density": np.zeros(()), **{name: value for name, (_, value, _) in values.items()}}
    growth = spectrum.tally.outside.mean_growth
    values |= sigma_values(setup.model.uncertainty, growth, setup.system.n_atoms, there)
    stores.write_values(run.path, values | run_values(reports))
    wall = time.perf_counter() - began
    took = {"density": worker_seconds(densities), "energies": seconds, **of_derivatives, "wall": wall}
    told = run_attributes([*reports, *densities], spectrum.tally, took)
    stores.set_attributes(run.path, _result_attributes(run, spectrum.tally, notes) | told)
    return lacks is None


# -- the beginning ---------------------------------------------------------------------------------------------------


def _unfinished(setup: Setup, target: Target | Memory) -> Record | None:
    """What the unfinished store was computed with; None for a new run."""
    if isinstance(target, Memory) or not target.resume or not target.path.exists():
        return None
    return check_record(target.path, setup.fingerprint(), unfinished=True)


def _block_shape(setup: Setup, record: Record | None) -> Chunks:
    """Blocks of the run that is continued, where there is one; other chunks that were asked for are refused."""
    if record is None:
        return setup.chunks
    shape: tuple[int, ...] = tuple(record["block_shape"])
    # 'auto' would give another shape on other workers: it takes whatever the run began with.
    if not isinstance(setup.chunks, str) and setup.system.grid.blocks(setup.chunks).block_shape != shape:
        raise StoreError("chunks", f"{tuple(setup.chunks)} to resume", f"{shape}, with which the run began")
    return shape


def _begin(setup: Setup, path: stores.Where, client: Runner, observer: Observer, chunks: Chunks, priority: int) -> Run:
    plan = make_plan(setup, Workers.of(client), chunks)
    points = f"{plan.grid.n_points} points in {len(plan.blocks)} blocks"
    observer.begin(client, f"{plan.n_atoms} atoms, {points}")
    key = f"maladist-{setup.blob.content_hash[:8]}"
    # Once to a worker and not with each block: a model is megabytes, a block's own arguments kilobytes.
    model = waves.share(client, setup.blob, run_key=key)
    return Run(setup, plan, path, client, key, priority, observer, model)


# -- the stages ------------------------------------------------------------------------------------------------------


def sum_blocks(run: Run, basis: Array, resumed: bool) -> Spectrum:
    """The pass over the blocks: from the atoms to D(ε) and the projections on a basis; then μ."""
    setup = run.setup
    grid, cells = setup.system.grid, setup.cell_list
    knows, channel = setup.model.domain is not None, setup.model.has_density_channel
    work = Work(run.path, grid, setup.numerics, basis, channel, knows, setup.keep)
    shared = run.model, waves.share(run.client, work, run_key=run.key)

    def arguments(block: Block) -> tuple[object, ...]:
        return (cells.near_block(grid, block).without_indices(), *shared)

    fields = (MODES, *((NOVELTY,) if knows else ()), *setup.keep)
    reports = run_pass(run, Pass("blocks", compute_block, arguments, TALLY, fields), resumed)
    tally = _total(run)
    if not setup.model.has_ldos:
        return Spectrum(tally, [], reports)
    states = fermi_states(torch.as_tensor(tally.dos), setup.model.energy_grid, setup.system)
    return Spectrum(tally, states, reports)


def _check(setup: Setup, spectrum: Spectrum, counted: Counted) -> list[str]:
    """Refuse a result that the model's energies or its domain cannot hold; say what the user should know of it."""
    tally, n_electrons = spectrum.tally, setup.system.n_electrons
    if setup.derivatives and n_electrons is not None:
        check_stationary(spectrum.states, torch.as_tensor(tally.dos), n_electrons)
    limits: Sequence[str] = ()
    if setup.model.has_ldos:
        limits = check_limits(torch.as_tensor(tally.dos), setup.model.energy_grid, spectrum.states, setup.system)
    return [*limits, *counted.notes, *check_points(tally.outside, setup.strict)]


def _result_attributes(run: Run, tally: Tally, notes: list[str]) -> Attributes:
    """What the store tells of the result beside its variables."""
    setup, plan = run.setup, run.plan
    known = setup.model.domain is not None
    return {
        **({"outside": outside_attributes(tally.outside, setup.system)} if known else {}),
        "model": str(setup.model),
        "notes": [*setup.system.notes, *notes],
        "blocks": len(plan.blocks),
        "block_shape": list(plan.block_shape),
    }


def _total(run: Run) -> Tally:
    """Sum of the tallies in the order of the blocks."""
    rows, n = stores.open_array(run.path, TALLY, "r"), len(run.plan.blocks)
    # The tallies of a hundred thousand blocks are never in the client's memory together.
    every = (Tally.from_row(row) for i in range(0, n, _ROWS) for row in np.asarray(rows[i : i + _ROWS]))
    return add_up(every, run.setup.model.energy_grid.levels)


def make_density(run: Run, coefficients: Array) -> list[Report]:
    """n(r) from the projections, with the Fermi weights in their basis, (temperatures, modes); n₀ is among them."""
    blocks = run.plan.blocks
    # A block's density is a matter of milliseconds: some of them make a task.
    many = max(1, _DENSITY_POINTS // math.prod(run.plan.block_shape))
    starts = range(0, len(blocks), many)
    n = len(run.setup.system.temperatures)
    jobs = (waves.NamedJob(f"density{i}", blocks[i : i + many], run.path, coefficients, n) for i in starts)
    return run.stage("density", density_blocks, jobs, len(starts))


def find_energies(run: Run) -> tuple[Energies, float]:
    """The terms of the energy that need the whole density, n₀; and the seconds that they took."""
    run.observer.stage("energies", 1)
    clock = time.perf_counter()
    distributed, room = run.plan.distributed_fields, run.plan.room
    terms = terms_of_store(run.client, run.path, run.setup.system, distributed=distributed, room=room, run_key=run.key)
    seconds = time.perf_counter() - clock
    run.observer.advance(Finished())
    return terms, seconds
