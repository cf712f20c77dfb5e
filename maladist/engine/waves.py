"""Any number of tasks through a Dask client with a bounded number of them in the scheduler at a time.

A hundred thousand blocks put into the scheduler at once would cost it hundreds of megabytes; in waves its memory is
flat. A task whose worker dies is given to another by Dask; one whose workers keep dying, or that raises, ends the run
with the block's name, and everything that was finished stays in the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Protocol

from distributed import Client, Future, KilledWorker, as_completed

from maladist.errors import BlockError


class Job(Protocol):
    """A task to be: its name in errors and the arguments of the function."""

    name: str
    arguments: tuple[Any, ...]


class NamedJob:
    """The plain form of a Job."""

    __slots__ = ("arguments", "name")

    def __init__(self, name: str, *arguments: Any) -> None:
        self.name, self.arguments = name, arguments


def in_flight(client: Client) -> int:
    """How many tasks to keep in the scheduler: enough that no worker waits for the client."""
    threads = sum(client.nthreads().values())
    return max(64, 16 * threads)


def run(
    client: Client,
    function: Callable[..., Any],
    jobs: Iterable[Job],
    *,
    run_key: str,
    resources: dict[str, float] | None = None,
    priority: int = 0,
) -> Iterator[Any]:
    """Run a function over jobs; yield results as they come, in no order.

    Raises
    ------
    BlockError
        Naming the job that failed and why; the others that were under way are cancelled.
    """
    names: dict[str, str] = {}
    jobs = iter(jobs)
    limit = in_flight(client)

    def submit(many: int) -> list[Future]:
        futures = []
        for job in islice(jobs, many):
            key = f"{run_key}-{job.name}"
            names[key] = job.name
            futures.append(
                client.submit(function, *job.arguments, key=key, pure=False, resources=resources, priority=priority)
            )
        return futures

    flying = as_completed(submit(limit), raise_errors=False)
    try:
        for future in flying:
            name = names.pop(future.key)
            if future.status != "finished":
                raise _failure(name, future)
            result = future.result()
            del future
            yield result
            flying.update(submit(limit - flying.count()))
    finally:
        flying.clear()
        client.cancel([Future(key, client) for key in names], reason="maladist: run ended") if names else None


def _failure(name: str, future: Future) -> BlockError:
    if future.status == "cancelled" or future.status == "lost":
        return BlockError(name, "its task was lost: the scheduler or the client's connection went away")
    error = future.exception()
    if isinstance(error, KilledWorker):
        cause = "the workers that tried it died, most likely of too little memory: use larger workers or smaller blocks"
        failure = BlockError(name, cause)
    else:
        failure = BlockError(name, f"{type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure
