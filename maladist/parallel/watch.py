"""Waiting for results while somebody is there to give them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

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


def watched(flying: as_completed, client: Client) -> Iterator[Future]:
    """Futures as they are completed.

    Raises
    ------
    ClusterLostError
        For too long there was no worker that could complete any: none at all, or only such as Dask has paused.
    """
    last = time.monotonic()  # when there was a result, or a worker for one
    look, said = last + _LOOK, ""
    while not flying.is_empty():
        if flying.has_ready():
            yield next(flying)
            last = time.monotonic()
            look = last + _LOOK
            continue
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
