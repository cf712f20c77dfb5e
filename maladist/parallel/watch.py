"""Waiting for results while somebody is there to give them."""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from distributed import Client, Future, as_completed

from maladist.errors import ClusterLostError
from maladist.reprs import size

PATIENCE: Final = 600.0
"""Seconds for which a run waits without a single worker; then it ends, and can be resumed."""

PAUSED: Final = 120.0
"""The same with workers of whom Dask has paused each, for what they hold, and none is at a task."""

_LOOK: Final = 5.0  # seconds without a result after which to see whether there are workers

_log = logging.getLogger("maladist")


class _Trouble(NamedTuple):
    """Why no result can come: in words, what would be right, and how long to wait for it."""

    got: str
    wanted: str
    patience: float


@dataclass(frozen=True)
class Failed:
    """What came of a task in place of a result."""

    error: Exception


def answers(flying: as_completed, client: Client, most: int) -> list[tuple[Hashable, Any]]:
    """Keys and results of the futures that are completed, of one at least and of so many at most; or how each Failed.

    No reference to a future is left, which would keep its result on the worker.

    Raises
    ------
    ClusterLostError
        For too long there was no worker that could complete any: none at all, or only such as Dask has paused.
    """
    _wait_for_one(flying, client)
    futures: list[Future] = []
    while flying.has_ready() and len(futures) < most:
        futures.append(next(flying))
    there = [future for future in futures if future.status == "finished"]
    results: dict[Hashable, Any] = {}
    # Together: each question goes by the scheduler to the workers and back, and the caller would do nothing else.
    with suppress(Exception):  # of a result that was lost since; asked for alone, each tells of itself
        results = {future.key: result for future, result in zip(there, client.gather(there), strict=True)}
    return [(future.key, results[future.key] if future.key in results else _alone(future)) for future in futures]


def _alone(future: Future) -> Any:
    try:
        return future.result()
    except Exception as error:
        return Failed(error)


def _wait_for_one(flying: as_completed, client: Client) -> None:
    """Wait until a future is completed, for as long as there is somebody who can."""
    last = time.monotonic()  # when there was a worker for one
    look, said = last + _LOOK, ""
    while not flying.has_ready():
        # `next` would wait without end; on its condition, with a timeout, there is time to look
        # whether workers are left.
        with flying.thread_condition:
            flying.thread_condition.wait(timeout=0.1)
        now = time.monotonic()
        if now <= look:
            continue
        look = now + _LOOK
        trouble = _trouble(client)
        if trouble is None:
            last = now
            if said:
                _log.warning("there is a worker again")
            said = ""
        elif now - last > trouble.patience:
            raise ClusterLostError("cluster", f"{trouble.got} since {now - last:.0f} s", trouble.wanted)
        elif trouble.wanted != said:  # what the workers hold is another number at each look
            _log.warning("%s; waiting up to %.0f s for one", trouble.got, trouble.patience)
            said = trouble.wanted


def _trouble(client: Client) -> _Trouble | None:
    """None where a worker can go on; one without results is at work on a long task."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    if not workers:
        return _Trouble("no worker", "workers that live as long as the run", PATIENCE)
    if any(w["status"] != "paused" or w["metrics"].get("task_counts", {}).get("executing") for w in workers):
        return None
    least = min(workers, key=lambda w: w["memory_limit"])
    held = f"{size(least['metrics']['memory'])} of {size(least['memory_limit'])}"
    return _Trouble(
        f"no worker that Dask has not paused for what it holds ({held})",
        "workers with more memory, or fewer threads a worker",
        PAUSED,
    )
