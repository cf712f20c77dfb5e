"""The dry run: how a cell is cut into blocks, what a task and a worker will need, and whether it fits.

A block's task peaks at the arrays of its own points plus those of one batch; the density's terms come in one task of a
small grid, whose work arrays must fit, or by slabs. The coefficients here are counted from the arrays that `block` and
`fields` hold at one time and are held against a worker's peak in a test.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Unpack

from distributed import Client

from maladist.atoms import AtomsLike
from maladist.descriptors.dispatch import BATCH
from maladist.errors import WorkerTooSmallError
from maladist.grid import Blocks, Grid
from maladist.learning.model import LDOSModel
from maladist.parallel import waves
from maladist.parallel.blocking import choose_block
from maladist.parallel.here import Runner
from maladist.parallel.workers import IDLE_BYTES, Workers
from maladist.physics.fermi import window_modes
from maladist.prediction.block import time_ldos
from maladist.prediction.derivatives import derivative_row_length, time_derivatives
from maladist.prediction.fields import (
    DERIVATIVES_REALS,
    TERMS_REALS,
    in_slabs,
    one_task_bytes,
    potential_bytes,
    slabs_along,
)
from maladist.prediction.options import Chunks, Options
from maladist.prediction.place import client_or_here, is_small
from maladist.prediction.setup import Setup, setup
from maladist.prediction.tally import row_length
from maladist.reprs import html_table, size

_ADJOINT_BYTES: Final = 256 * 2**20  # what autograd holds of descriptors, for a batch
_KERNEL_BYTES: Final = 24 * 2**20  # what descriptors hold of their own, for a batch


@dataclass(frozen=True)
class Plan:
    """What a run will do and need.

    Attributes
    ----------
    grid, block_shape, n_atoms
        Grid of the cell, shape of a block, and number of atoms.
    temperatures
        Temperatures of the electrons, K.
    n_workers, n_threads
        Numbers of worker processes, 0 where it is this one that computes, and of their threads, all together.
    worker_memory
        Memory limit of the smallest worker, bytes; None where there is none.
    task_bytes
        Peak of one block's task above an idle worker.
    argument_bytes
        Bytes that are sent to a worker for a block, on the average.
    model_bytes
        Bytes that are sent to every worker once.
    fields_bytes
        Peak of the task that computes the density's terms, were it one task.
    output_bytes
        Size of the finished store, uncompressed.
    work_bytes
        Size of what the store holds only while the run lasts.
    room
        Bytes that one task may use above an idle worker.
    resources
        Dask resources that a block's task asks for: a GPU where workers declare one.
    seconds
        Forecast of the wall time, calibrated on one block on this machine; None where it was not asked for.
    notes
        Sentences that the user should read before anything runs: where the cell lies outside of the model's training,
        say.
    potential_bytes
        Peak of the task that computes what forces and stress need of the whole density, were it one; 0 where they are
        not wanted.
    seen_atoms
        Atoms, images apart, that a block sees at most, bounded from above; 0 alike.
    """

    grid: Grid
    block_shape: tuple[int, int, int]
    n_atoms: int
    temperatures: tuple[float, ...]
    n_workers: int
    n_threads: int
    worker_memory: int | None
    task_bytes: int
    argument_bytes: int
    model_bytes: int
    fields_bytes: int
    output_bytes: int
    work_bytes: int
    room: int
    resources: dict[str, float] | None = None
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    potential_bytes: int = 0
    seen_atoms: int = 0

    def __repr__(self) -> str:
        width = max(len(what) for what, _ in self.rows())
        return "Plan\n" + "\n".join(f"  {what:<{width}}  {much}" for what, much in self.rows())

    def _repr_html_(self) -> str:
        return html_table("Plan", self.rows())

    @property
    def blocks(self) -> Blocks:
        """The blocks."""
        return self.grid.blocks(self.block_shape)

    @property
    def distributed_fields(self) -> bool:
        """Whether the density's terms are computed by slabs."""
        return in_slabs(self.grid, self.fields_bytes, self.room)

    @property
    def distributed_potential(self) -> bool:
        """Whether what forces and stress need of the density is computed by slabs."""
        return in_slabs(self.grid, self.potential_bytes, self.room)

    @property
    def n_tasks(self) -> int:
        """Tasks of blocks, at most: one for the LDOS and one for the density of each, and one for the forces."""
        return (3 if self.seen_atoms else 2) * len(self.blocks)

    def _how(self, distributed: bool, reals: int) -> str:
        if not distributed:
            return "in one task"
        x, y = (len(slabs_along(axis, self.grid, self.room, reals)) for axis in (0, 1))
        return f"by {x} slabs of x and {y} of y"

    def rows(self) -> list[tuple[str, str]]:
        """The plan as (what, how much) for people."""
        nx, ny, nz = self.grid.shape
        bx, by, bz = self.block_shape
        where = f"{self.n_workers} with" if self.n_workers else "none: this process with"
        limit = "none" if self.worker_memory is None else size(self.worker_memory)
        rows = [
            ("atoms", f"{self.n_atoms}"),
            ("grid", f"{nx} × {ny} × {nz} = {self.grid.n_points} points"),
            ("blocks", f"{len(self.blocks)} of {bx} × {by} × {bz}"),
            ("block tasks", f"{self.n_tasks}"),
            ("workers", f"{where} {self.n_threads} threads in all, memory limit {limit}"),
            ("peak memory of a block's task", f"{size(self.task_bytes)} above an idle worker's {size(IDLE_BYTES)}"),
            ("density's terms", f"{size(self.fields_bytes)}, {self._how(self.distributed_fields, TERMS_REALS)}"),
            ("sent to a worker", f"model {size(self.model_bytes)} once, {size(self.argument_bytes)} a block"),
            ("output", f"{size(self.output_bytes)}, and {size(self.work_bytes)} while it runs"),
        ]
        if self.potential_bytes:
            how = self._how(self.distributed_potential, DERIVATIVES_REALS)
            rows.append(("fields of the forces", f"{size(self.potential_bytes)}, {how}"))
        if self.seconds is not None:
            rows.append(("time of the blocks", f"about {self.seconds:.0f} s"))
        return rows + [("note", note) for note in self.notes]


def make_plan(setup: Setup, workers: Workers, chunks: Chunks = "auto") -> Plan:
    """Cut the grid into blocks that fit the workers, and say what it will take.

    Raises
    ------
    WorkerTooSmallError
        A block's task cannot fit the memory of the smallest worker.
    """
    grid, model, modes = setup.system.grid, setup.model, expected_modes(setup)
    room = workers.room(len(setup.blob.data))
    if isinstance(chunks, str):
        fits = largest_block(room, setup, modes)
        shape = choose_block(grid, workers.threads, fits)
    else:
        shape = grid.blocks(chunks).block_shape
    points = math.prod(shape)
    blocks, levels, nt = grid.blocks(shape), model.energy_grid.levels, len(setup.system.temperatures)
    widths = {"ldos": levels, "descriptors": model.descriptor.n_features}
    kept = 4 * (int(model.domain is not None) + sum(n for name, n in widths.items() if name in setup.keep))
    # The middle block stands for all: what it sees is what a block sees on the average.
    seen = setup.cell_list.near_block(grid, blocks[len(blocks) // 2])
    seen_atoms = setup.cell_list.most_near(blocks) if setup.derivatives else 0
    plan = Plan(
        grid=grid,
        block_shape=shape,
        n_atoms=setup.system.n_atoms,
        temperatures=setup.system.temperatures,
        n_workers=workers.count,
        n_threads=workers.threads,
        worker_memory=workers.memory,
        task_bytes=most_bytes(points, setup, modes),
        argument_bytes=26 * len(seen) + 1000,
        model_bytes=len(setup.blob.data),
        fields_bytes=one_task_bytes(grid, setup.system.n_atoms),
        room=room,
        output_bytes=(8 * nt + kept) * grid.n_points + 8 * nt * levels,
        work_bytes=8 * (modes + int(setup.derivatives)) * grid.n_points
        + 8 * len(blocks) * (row_length(levels) + derivative_row_length(nt, seen_atoms) * int(setup.derivatives)),
        resources={"GPU": 1.0} if workers.gpu else None,
        notes=setup.system.notes,
        potential_bytes=potential_bytes(grid, setup.system.n_atoms) if setup.derivatives else 0,
        seen_atoms=seen_atoms,
    )
    check_fits(plan, workers, setup, modes)
    return plan


def plan(
    atoms: AtomsLike,
    model: LDOSModel | str | Path,
    *,
    client: Client | None = None,
    calibrate: bool = True,
    **options: Unpack[Options],
) -> Plan:
    """Say what `predict` with the same arguments would do and need, without doing it.

    Parameters
    ----------
    atoms, model, client
        Atoms, model and client, as in `predict`.
    calibrate
        Whether to compute one block on a worker, twice, to forecast the time.
    options
        The other parameters of `predict` that say what is computed, and how: temperature, grid, chunks, backend, ...

    Raises
    ------
    InputError
        For the reasons of `predict`, before anything is computed; WorkerTooSmallError where a block cannot fit.

    Examples
    --------
    >>> plan = maladist.plan(be.repeat((4, 4, 4)), "be-1000K-2", calibrate=False)
    >>> plan.n_atoms, plan.grid.shape
    (128, (54, 54, 90))
    """
    ready = setup(atoms, model, **options)
    with client_or_here(client, is_small(ready)) as connected:
        workers = Workers.of(connected)
        planned = make_plan(ready, workers, ready.chunks)
        if not calibrate:
            return planned
        return replace(planned, seconds=_forecast(ready, planned, connected))


def _forecast(ready: Setup, planned: Plan, client: Runner) -> float:
    """Wall seconds: the middle block's in each pass, warmed up, times the number of blocks over that of the threads."""
    block = planned.blocks[len(planned.blocks) // 2]
    seen = ready.cell_list.near_block(planned.grid, block).without_indices()
    arguments = (planned.grid.points(block), seen, ready.blob, ready.numerics)

    def timed(name: str, task: Callable[..., float], *more: object) -> float:
        # Twice: the first compiles the kernel and decodes the model, which a run does once.
        for i in range(2):
            jobs = [waves.NamedJob(f"{name}{i}", *arguments, *more)]
            (seconds,) = waves.run(client, task, jobs, run_key="plan", resources=planned.resources)
        return float(seconds)

    seconds = timed("calibration", time_ldos)
    if ready.derivatives:
        seconds += timed("calibration of forces ", time_derivatives, len(planned.temperatures))
    return seconds * len(planned.blocks) / max(1, min(planned.n_threads, len(planned.blocks)))


def task_bytes(n_points: int, model: LDOSModel, n_modes: int, keep: Sequence[str], itemsize: int) -> int:
    """Peak memory of the task of a block of n_points, counted from the arrays that it holds at one time."""
    levels, features = model.energy_grid.levels, model.descriptor.n_features
    widths = [max(n.layer_sizes) for n in model.network.evaluated]
    new = 4 * int(model.domain is not None)
    fields = [8 * n_modes, new, *(4 * n for name, n in (("ldos", levels), ("descriptors", features)) if name in keep)]
    # Positions and the fields are there all the time; with them either a batch (descriptors; of the network's part of
    # them the scaled ones, two layers of a member, the last hidden ones of all twice, the LDOS) or a field a second
    # time, while its chunk is encoded.
    described, part = min(n_points, BATCH), min(n_points, BATCH, model.batch)
    batch = itemsize * (described * features + part * (2 * features + 2 * max(widths) + 2 * sum(widths) + levels))
    return n_points * (24 + sum(fields)) + max(batch, n_points * max(fields)) + _KERNEL_BYTES


def back_bytes(n_points: int, setup: Setup) -> int:
    """The same of a block's task of the second pass, which keeps all of a batch's layers, and cotangents of each."""
    model, itemsize, nt = setup.model, setup.numerics.itemsize, len(setup.system.temperatures)
    features, levels = model.descriptor.n_features, model.energy_grid.levels
    layers = 3 * sum(sum(n.layer_sizes) for n in model.network.evaluated)
    batch = min(n_points, BATCH) * (itemsize * (layers + (2 + nt) * features + levels) + 8 * (nt + 1) * levels)
    return n_points * 32 + batch + _ADJOINT_BYTES


def most_bytes(n_points: int, setup: Setup, n_modes: int) -> int:
    """Peak memory of any task of a block of n_points."""
    first = task_bytes(n_points, setup.model, n_modes, setup.keep, setup.numerics.itemsize)
    return max(first, back_bytes(n_points, setup)) if setup.derivatives else first


def expected_modes(setup: Setup) -> int:
    """Numbers that a run will keep of a point: projections of its LDOS, and n₀ where the model gives it.

    Projections are as many as the rank of the Fermi weights over a window of ±0.3 eV; none where n₀ is all that is
    wanted.
    """
    energies, p = setup.model.energy_grid, setup.system
    channel = int(setup.model.has_density_channel)
    if not setup.needs_modes:
        return channel
    highest = energies.parts[-1]  # where the Fermi level is
    middle = highest.origin + 0.5 * highest.spacing * highest.levels
    basis = window_modes(energies, p.temperatures, middle - 0.3, middle + 0.3, correction=p.correction)
    return int(basis.shape[1]) + channel


def check_fits(plan: Plan, workers: Workers, setup: Setup, modes: int) -> None:
    """Refuse a plan whose block task does not fit a worker.

    Raises
    ------
    WorkerTooSmallError
        Naming the block size, or the worker memory, that would fit.
    """
    if plan.task_bytes <= plan.room or workers.memory is None:
        return
    fits = largest_block(plan.room, setup, modes)
    needed = (IDLE_BYTES + plan.model_bytes + workers.most_threads * plan.task_bytes) / 0.85
    blocks = f"blocks of at most {fits} points (--chunks), or " if fits else ""
    raise WorkerTooSmallError(
        "workers",
        f"{size(workers.memory)} of memory, where blocks of {math.prod(plan.block_shape)} points need {size(needed)}",
        f"{size(needed)} a worker",
        f"Use {blocks}workers with that memory.",
    )


def largest_block(room: int, setup: Setup, n_modes: int) -> int:
    """Most points of a block whose task fits ``room`` bytes; 0 where none does."""
    low, high = 0, 2**30
    while low < high:
        # By halves, since the memory of a task has a kink at the size of a batch and no inverse in closed form.
        middle = (low + high + 1) // 2
        low, high = (middle, high) if most_bytes(middle, setup, n_modes) <= room else (low, middle - 1)
    return low
