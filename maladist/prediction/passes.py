"""What the stages of a run have in common, and a pass: one function mapped over the blocks, with a record of its own.

A task of a pass writes what its block gives and, last, its row of the record; so a block is whole or absent, and a run
that was stopped goes on where it was. `predict` makes one pass, from atoms to what D(ε) and n(r) need, and for forces a
second, which takes u(r) at every point back to the atoms: each is a `Pass` with a function, arguments and a record of
its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from maladist.grid import Block
from maladist.io import stores
from maladist.parallel import waves
from maladist.parallel.here import Runner
from maladist.parallel.progress import Observer, advance
from maladist.prediction.block import Report
from maladist.prediction.plan import Plan
from maladist.prediction.record import find_damaged, recorded, verify_jobs
from maladist.prediction.setup import Setup

R = TypeVar("R")


@dataclass(frozen=True)
class Run:
    """What all stages of a run have in common.

    Attributes
    ----------
    setup
        Input of the run, checked.
    plan
        Plan by which the cell is cut.
    path
        Store, the memory of the run; the run's claim to it, once it is there.
    client, key, priority
        Client whose workers compute, or this process; prefix of the tasks' keys; which run goes first where several
        share the workers.
    observer
        Observer that is told of progress.
    model
        Model as the tasks take it.
    """

    setup: Setup
    plan: Plan
    path: stores.Where
    client: Runner
    key: str
    priority: int
    observer: Observer
    model: object

    def stage(
        self, name: str, function: Callable[..., R], jobs: Iterable[waves.Job], total: int, done: int = 0
    ) -> list[R]:
        """Compute the jobs of a stage; results in the order of the jobs.

        Of ``total`` tasks that the observer hears of, ``done`` were finished by an earlier run.
        """
        self.observer.stage(name, total, done)
        return waves.in_order(
            self.client,
            function,
            jobs,
            run_key=self.key,
            resources=self.plan.resources,
            priority=self.priority,
            finished=partial(advance, self.observer),
            total=total - done,
        )


@dataclass(frozen=True)
class Pass:
    """A function of a block, mapped over all blocks.

    Attributes
    ----------
    name
        Name that the observer calls it by.
    function
        ``function(block, *arguments(block))`` on a worker; writes the block's fields and then its row of the record.
    arguments
        Function that gives what a block's task takes beside the block; futures for what all of them share
        (`waves.share`).
    record
        Array of the store with a row for each block, of finite numbers where the block is done.
    fields
        Arrays that must be whole where a block is done.
    """

    name: str
    function: Callable[..., Report]
    arguments: Callable[[Block], tuple[object, ...]]
    record: str
    fields: tuple[str, ...]


def run_pass(run: Run, one: Pass, resumed: bool) -> list[Report]:
    """Make a pass over the blocks that are not done; all of them where the run is not resumed."""
    blocks = run.plan.blocks
    done = _done(run, one) if resumed else np.zeros(len(blocks), bool)
    # Lazily: a hundred thousand blocks, each with its atoms, are made as the workers take them.
    todo = (blocks[int(i)] for i in np.flatnonzero(~done))
    jobs = (waves.NamedJob(f"block{block.index}", block, *one.arguments(block)) for block in todo)
    return run.stage(one.name, one.function, jobs, len(blocks), int(done.sum()))


def _done(run: Run, one: Pass) -> npt.NDArray[np.bool_]:
    """Blocks that an earlier run has finished, as far as they can be read."""
    blocks = run.plan.blocks
    done = recorded(run.path, one.record, len(blocks))
    # The record was on the disk before the machine died; what it says of other chunks need not be.
    jobs = verify_jobs(run.path, blocks, done, one.fields)
    bad = [index for group in waves.run(run.client, find_damaged, jobs, run_key=run.key) for index in group]
    if bad:
        run.observer.note(f"{len(bad)} blocks of the earlier run cannot be read and are computed again")
        done[bad] = False
    return done
