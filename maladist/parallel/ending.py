"""The end of a run that failed or is given up: its tasks leave the scheduler, and those that run come to their end.

An error of a task leaves :func:`maladist.parallel.waves.run` when the run's other tasks have come to their end, so that
whoever cleans up after it is alone with the files. Not so an error of the caller's own loop over the results, which
`run` never sees: its tasks are cancelled, and those that run go on to their end while the error is on its way.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Hashable, Mapping
from contextlib import suppress
from typing import Final

from distributed import Client, Future, Worker, as_completed

LAST_TASKS: Final = 30.0
"""Seconds for which a run that failed waits for its other tasks; Dask cannot stop one that runs."""


def let_go(flying: as_completed, keys: list[object], client: Client) -> None:
    """Take the tasks of a run that ended out of the scheduler; those that run go on to their end.

    Also where the caller stops early or raises: tasks that nobody waits for would keep the workers from the next run.
    A client that has lost its scheduler has nobody to tell.
    """
    flying.clear()
    if keys and client.status == "running":
        client.cancel([Future(key, client) for key in keys], reason="maladist: run ended")


def wait_for_the_end(call: str, client: Client) -> None:
    """Wait until no worker is at a task of a run that failed: it would write on while its files are removed."""
    if client.status != "running":
        return
    ask = client._run  # what Client.run calls; that has no limit of time, and a worker may hang
    with suppress(TimeoutError, OSError):
        # Tasks and their cancellation go through the scheduler, and a question to the workers overtakes them: it would
        # find one at rest to which a task is still on its way. A task of no matter comes behind all of them; it only
        # has to arrive, for it may have to wait until a task of somebody else's run is done.
        behind = {worker: _behind(worker, client) for worker in _at_work(client)}
        keys = {worker: future.key for worker, future in behind.items()}
        client.sync(ask, _last_task, call, keys, on_error="ignore", callback_timeout=LAST_TASKS)


def _behind(worker: str, client: Client) -> Future:
    return client.submit(_nothing, key=f"last-of-a-run-{uuid.uuid4()}", workers=[worker], pure=False)


def _nothing() -> None:
    return


def _at_work(client: Client) -> list[str]:
    """Workers that begin tasks: not those that are paused for want of memory."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return [address for address, worker in workers.items() if worker["status"] == "running"]


async def _last_task(call: str, behind: Mapping[str, Hashable], dask_worker: Worker | None = None) -> None:
    """Return when this worker is at no task of a run, and the task that comes behind them has arrived."""
    assert dask_worker is not None  # which Dask hands over by the parameter's name
    last = behind.get(dask_worker.address)
    while last is not None and last not in dask_worker.state.tasks:
        await asyncio.sleep(0.02)
    while any(isinstance(t.key, tuple) and t.key[0] == call for t in dask_worker.state.all_running_tasks):
        await asyncio.sleep(0.02)
