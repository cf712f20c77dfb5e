"""Any number of tasks through a Dask client with a bounded number of them in the scheduler at a time.

A hundred thousand blocks put into the scheduler at once would cost it hundreds of megabytes; in waves its memory is
flat. A message costs it more than a task, so that many go by one, and so do results on their way back. A task whose
worker dies is given to another by Dask, and after `allowed-failures` deaths (3 of Dask's) once more
by us: where workers come and go, some task is always unlucky. One whose workers keep dying, or that raises, ends the
run with the block's name, and everything that was finished stays in the store. The error leaves `run` when the run's
other tasks have come to their end (:mod:`maladist.parallel.ending`).

What a task refuses (`InputError`, `OSError`) comes back as its answer: it is told once, where the run was called, and
Dask's workers, who print the traceback of every task that raises, have nothing to print.

A worker runs as many tasks as it has threads, so a task begins with torch on one thread; one that has the worker to
itself sets their number.

Where there is no client but this process (`InProcess`), the same tasks run in its threads, with the same answers and
errors; whether a run is worth a cluster is the caller's to say.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sized
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from types import TracebackType
from typing import Final, Protocol, TypeVar

import dask
from dask.utils import funcname
from distributed import Client, Future, KilledWorker, as_completed
from distributed.client import FutureCancelledError

from maladist.errors import BlockError, ClusterLostError, InputError, OutputError, StoreError
from maladist.parallel.dashboard import announce_stage
from maladist.parallel.ending import let_go, wait_for_the_end
from maladist.parallel.here import InProcess, Runner
from maladist.parallel.task import in_a_task
from maladist.parallel.watch import Failed, answers

R = TypeVar("R")

ATTEMPTS: Final = 2
"""How often a task whose workers died is put into the scheduler."""

TOGETHER: Final = 32
"""How many tasks go into the scheduler, and at most how many results come back, by one message.

Each message costs it more than a task. The fewest that are in flight are twice as many, so that there is always work.
"""

_serial = count()


class Job(Protocol):
    """A task to be: its name in errors and the arguments of the function."""

    name: str
    arguments: tuple[object, ...]


class NamedJob:
    """The plain form of a Job."""

    __slots__ = ("arguments", "name")

    def __init__(self, name: str, *arguments: object) -> None:
        self.name, self.arguments = name, arguments


def in_flight(client: Client) -> int:
    """How many tasks to keep in the scheduler: enough that no worker waits for the client."""
    threads = sum(client.nthreads().values())
    # A block takes about a second: sixteen a thread are some 16 s of work, in which the client
    # may well be busy. The floor is for clusters that have only begun to grow.
    return max(64, 16 * threads)


def _words(function: Callable[..., object]) -> str:
    """A function's name as Dask's dashboard tells its tasks apart: by the words before the first number in a key."""
    return str(funcname(function)).strip("_").replace("_", "-")


def _unique(words: str, run_key: str) -> str:
    """A key that no other call has, in any process: the scheduler would answer with the old result."""
    # The clock tells processes apart, the counter two calls within one tick of the clock. The run comes behind them: of
    # a name before the first number the dashboard has room for fifteen letters.
    return f"{words}-{time.time_ns():x}-{next(_serial)}-{run_key}"


def share(client: Runner, value: object, *, run_key: str) -> object:
    """A value that many tasks take: sent to a worker once, computed again where the worker that holds it is lost."""
    if isinstance(client, InProcess):
        return value
    # A task and not `client.scatter`: scattered data are lost with their worker, a task is computed again.
    return client.submit(_same, value, key=_unique("shared", run_key))


def run(
    client: Runner,
    function: Callable[..., R],
    jobs: Iterable[Job],
    *,
    run_key: str,
    resources: dict[str, float] | None = None,
    priority: int = 0,
) -> Iterator[R]:
    """Run a function over jobs; yield results as they come, in no order.

    Raises
    ------
    BlockError
        Naming the job that failed and why; the others that were under way are cancelled.
    OutputError, StoreError
        A job met a full disk, or a store that is damaged or no longer the run's.
    ClusterLostError
        The scheduler went away, or for too long no worker could go on.
    """
    for _, result in _numbered(client, function, jobs, run_key, resources, priority, lambda _: None):
        yield result


def in_order(
    client: Runner,
    function: Callable[..., R],
    jobs: Iterable[Job],
    *,
    run_key: str,
    resources: dict[str, float] | None = None,
    priority: int = 0,
    finished: Callable[[R], object] = lambda _: None,
    total: int | None = None,
) -> list[R]:
    """Results of `run` in the order of the jobs, whoever was first: the bits of a sum depend on it.

    ``finished`` is told of each as it comes; ``total`` is how many jobs there are, for those that are made as they go.
    """
    results = dict(_numbered(client, function, jobs, run_key, resources, priority, finished, total))
    return [results[i] for i in sorted(results)]


def _numbered(
    client: Runner,
    function: Callable[..., R],
    jobs: Iterable[Job],
    run_key: str,
    resources: dict[str, float] | None,
    priority: int,
    finished: Callable[[R], object],
    total: int | None = None,
) -> Iterator[tuple[int, R]]:
    """Results as they come, each with the number of its job, after ``finished`` was told of it."""
    if isinstance(client, InProcess):
        yield from _numbered_here(client, function, jobs, finished)
        return
    numbered = enumerate(jobs)
    call = _unique(_words(function), run_key)
    if total is None and isinstance(jobs, Sized):
        total = len(jobs)
    if client.status == "running":  # of a scheduler that is gone the first task tells
        with suppress(OSError):
            announce_stage(client, call, _words(function), run_key, total)
    under_way: dict[Hashable, tuple[int, Job, int]] = {}

    def submit(some: Iterable[tuple[int, Job]], attempt: int = 1) -> list[Future]:
        # One group: Dask then queues the tasks, and a death touches those that run.
        new: dict[Hashable, tuple[int, Job, int]] = {(call, attempt, job.name): (n, job, attempt) for n, job in some}
        under_way.update(new)
        calls = [(function, *job.arguments) for _, job, _ in new.values()]
        # First come, first served: of what comes within a tenth of a second Dask would else begin everything at once.
        how = {"pure": False, "resources": resources, "priority": priority, "fifo_timeout": 0}
        # Each is small, and Dask's warning is for one that is not.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 GB"}):
            return client.map(_call, calls, key=list(new), **how)

    # `raise_errors=False`: a future that failed comes like any other, and its own attempt decides
    # what is done about it.
    flying = as_completed([], loop=client.loop, raise_errors=False)
    done, limit = 0, in_flight(client)
    # The first are more than two a thread, by which Dask knows a group that it should queue: a smaller one it gives to
    # the few workers that hold what the tasks share, and the others would have to steal it.
    most = max(TOGETHER, limit // 6)
    try:
        while True:
            if done >= limit:
                done, limit = 0, in_flight(client)  # workers join and leave
            while limit - len(under_way) >= TOGETHER and (some := list(islice(numbered, most))):
                flying.update(submit(some))
                most = TOGETHER
            if not under_way:
                return
            for key, answer in answers(flying, client, TOGETHER):
                number, job, attempt = under_way.pop(key)
                done += 1
                if isinstance(answer, Failed):
                    if not (isinstance(answer.error, KilledWorker) and attempt < ATTEMPTS):
                        raise _failure(job.name, answer.error, client) from answer.error
                    # The attempt is part of the key: under the old one the scheduler may still hold the failure.
                    flying.update(submit([(number, job)], attempt + 1))
                    continue
                result: R = _result(job.name, answer)
                finished(result)
                yield number, result
    except BaseException as error:
        let_go(flying, list(under_way), client)
        # Not after Ctrl-C, nor where the caller only stops early: these should be quick.
        if isinstance(error, Exception):
            wait_for_the_end(call, client)
        raise


def _numbered_here(
    here: InProcess, function: Callable[..., R], jobs: Iterable[Job], finished: Callable[[R], object]
) -> Iterator[tuple[int, R]]:
    """The same in this process."""
    with closing(here.each(partial(_attempt, function), jobs)) as done:
        for number, job, future in done:
            try:
                answer = future.result()
            except Exception as error:
                raise _task_failed(job.name, error) from error
            result = _result(job.name, answer)
            finished(result)
            yield number, result


@dataclass(frozen=True)
class _Refused:
    """What a task refuses, or the system refuses it, and where: its answer."""

    error: InputError | OSError
    where: TracebackType | None


def _call(call: tuple[Callable[..., R], *tuple[object, ...]]) -> R | _Refused:
    """What `map` gives a task, for which it takes one argument."""
    return _attempt(*call)


def _attempt(function: Callable[..., R], *arguments: object) -> R | _Refused:
    with in_a_task():
        try:
            return function(*arguments)
        except (InputError, OSError) as error:
            return _Refused(error, error.__traceback__)


def _same(value: R) -> R:
    return value


def _result(name: str, answer: R | _Refused) -> R:
    """What a task answered; what it refused is raised."""
    if isinstance(answer, _Refused):
        raise _task_failed(name, answer.error) from answer.error.with_traceback(answer.where)
    return answer


def _failure(name: str, error: Exception, client: Client) -> BlockError | InputError:
    if isinstance(error, KilledWorker):
        cause = "the workers that tried it died, most likely of too little memory: use larger workers or smaller blocks"
        return BlockError(name, cause)
    if isinstance(error, FutureCancelledError):
        # Dask cancels all futures when it loses the scheduler; for any other reason somebody has cancelled this one.
        lost = error.reason == "scheduler-connection-lost"
        return scheduler_gone(client) if lost else BlockError(name, f"its task was cancelled ({error.reason})")
    return _task_failed(name, error)


def _task_failed(name: str, error: Exception) -> BlockError | InputError:
    if isinstance(error, OutputError | StoreError):  # of the disk or the store, not of the block
        return error
    return BlockError(name, f"{type(error).__name__}: {error}")


def scheduler_gone(client: Runner) -> ClusterLostError:
    """The error of a run whose scheduler went away."""
    scheduler = getattr(getattr(client, "scheduler", None), "address", "an unknown address")
    return ClusterLostError(
        "cluster", f"the scheduler at {scheduler} went away during the run", "a scheduler that outlives the run"
    )
