"""What a plan must know of the workers, and what a worker tells of itself."""

from __future__ import annotations

import logging
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
from distributed import Client, Status, get_worker
from distributed.system import MEMORY_LIMIT
from distributed.worker import thread_state

from maladist.errors import ClusterLostError
from maladist.parallel.here import InProcess, Runner

_SOON: Final = 10.0  # seconds after which a user wonders

_log = logging.getLogger("maladist")

IDLE_BYTES: Final = 480 * 2**20
"""Resident size of a worker between tasks: imported and compiled code, the model, what tasks leave in its heap.

Measured on x86-64 Linux without a GPU: 400 MiB when all is imported, 475 to 525 after the first blocks.
"""


@dataclass(frozen=True)
class Workers:
    """What a plan must know of the workers: their number, threads, smallest memory limit and resources.

    No workers, but threads, where it is this process that computes.
    """

    count: int
    threads: int
    memory: int | None
    most_threads: int
    gpu: bool

    @classmethod
    def of(cls, client: Runner, timeout: float = 300.0) -> Workers:
        """Ask the scheduler; waits for a first worker.

        Raises
        ------
        ClusterLostError
            No worker came.
        """
        if isinstance(client, InProcess):
            return cls(0, client.threads, MEMORY_LIMIT, client.threads, gpu=False)
        every = None
        while not every:  # the worker that came may have left before it was asked about
            wait_for_worker(client, timeout)
            # -1 for all of them: by itself Dask tells of five.
            every = client.scheduler_info(n_workers=-1)["workers"].values()
        # A task may go to any worker, so the smallest limit and the largest number of tasks at a
        # time are what it must fit.
        limits = [w["memory_limit"] for w in every if w["memory_limit"]]
        threads = [w["nthreads"] for w in every]
        gpu = any("GPU" in w.get("resources", {}) for w in every)
        return cls(len(threads), sum(threads), min(limits, default=None), max(threads), gpu)

    def room(self, shared: int) -> int:
        """Bytes for one task on the smallest worker, above what it holds idle and what all tasks share.

        Of a worker's limit 85 % are reckoned with, since Dask pauses a worker at 80 % and kills it at 95 %.
        """
        if self.memory is None:
            # No limit: more than any block needs, and still an integer that can be compared and added.
            return 2**62
        return int(max(0, 0.85 * self.memory - IDLE_BYTES - shared) // self.most_threads)


def wait_for_worker(client: Client, timeout: float = 300.0) -> None:
    """Wait for a first worker; say so where it takes long, as jobs in a queue do.

    Raises
    ------
    ClusterLostError
        None came.
    """
    _nudge = client.submit(int, pure=False)  # an adaptive cluster without workers starts one for a task
    soon = min(_SOON, timeout)
    try:
        try:
            client.wait_for_workers(1, timeout=soon)
        except TimeoutError:
            if timeout <= soon:
                raise
            _log.warning("no worker yet; waiting up to %.0f s for one", timeout - soon)
            client.wait_for_workers(1, timeout=timeout - soon)
    except TimeoutError as error:
        # A queue may be long: the limit is the caller's, and the message says how long it was.
        paused = " that Dask has not paused for what it holds" if client.scheduler_info()["workers"] else ""
        raise ClusterLostError("cluster", f"no worker{paused} in {timeout:.0f} s", "at least one worker") from error


def peak_memory() -> int:
    """Largest resident size that this process has had, bytes.

    On Linux the kernel's VmHWM and not ru_maxrss, which a process inherits from the one that started it: a worker would
    report the size of a large notebook as its own.
    """
    status = Path("/proc/self/status")
    if status.exists():
        high = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE)
        if high:
            return int(high.group(1)) * 1024
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource  # Windows has none, and must be able to import this file

    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Bytes on macOS, KiB on all others.
    return size if sys.platform == "darwin" else size * 1024


def is_wanted() -> bool:
    """Whether the task that runs here is still wanted: its worker stays, and nobody has cancelled it.

    Dask cannot stop a task that runs; a long one asks. True outside of a worker.
    """
    try:
        worker = get_worker()
    except ValueError:
        return True
    # A paused worker and one that is leaving still finish what they have begun.
    if worker.status not in (Status.running, Status.paused, Status.closing_gracefully):
        return False
    task = worker.state.tasks.get(getattr(thread_state, "key", None))
    return task is None or task.state != "cancelled"


def worker_name() -> str:
    """Address of the Dask worker that this runs on; 'here' outside of one."""
    try:
        return str(get_worker().address)
    except ValueError:
        return "here"
