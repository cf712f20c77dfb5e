"""Worker processes on this machine: on loopback, brought back when they are lost, closed without a wait."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import suppress
from multiprocessing import current_process, resource_tracker
from pathlib import Path
from typing import Any, Final

import psutil
from distributed import LocalCluster, Nanny, SpecCluster, Status

from maladist.errors import ClusterError
from maladist.numerics import cores

LOOPBACK: Final = "127.0.0.1"
_GUARD: Final = 'In a script, compute below `if __name__ == "__main__":`, since workers import the script.'
_LOOK: Final = 2.0  # seconds from the loss of a worker to a look whether its nanny is at it

_LEAVE: Final = str(Path(__file__).with_name("leave.py"))  # not imported: it is for workers only

_log = logging.getLogger("maladist")


class RevivingCluster(LocalCluster):
    """A LocalCluster that keeps its number of workers.

    Dask gives a worker up that is not back after ``distributed.deploy.lost-worker-timeout`` (15 s), which on a busy
    machine the start of a process may well take, and one whose start has failed. Here a worker's nanny has the time
    that it needs, and one that has given up is replaced.
    """

    def _update_worker_status(self, op: str, msg: object) -> None:
        if op == "remove":
            asyncio.get_running_loop().call_later(_LOOK, self._look)
        super(SpecCluster, self)._update_worker_status(op, msg)  # not SpecCluster's own, which gives workers up

    def _look(self) -> None:
        if self.status is not Status.running:
            return
        ended = [name for name, worker in self.workers.items() if worker.status in (Status.closed, Status.failed)]
        for name in ended:
            del self.workers[name]
        if ended:
            # asyncio keeps weak references only: a task that nobody holds may be collected before it has run.
            self._futures.add(asyncio.ensure_future(self._replace()))
        # Until all are there again: one that is starting now may yet give up.
        if len(self.scheduler_info["workers"]) < len(self.worker_spec):
            asyncio.get_running_loop().call_later(_LOOK, self._look)

    async def _replace(self) -> None:
        try:
            await self._correct_state()
        except Exception as error:  # whatever ended the start of a process: the next look tries again
            _log.warning("a worker could not be started (%s: %s), trying again", type(error).__name__, error)

    def abandon(self) -> None:
        """End the workers at once, and wait for what they have started: nobody waits for their tasks any more."""
        nannies = [n for n in self.workers.values() if isinstance(n, Nanny) and n.pid]
        started = []
        for nanny in nannies:
            with suppress(psutil.NoSuchProcess):
                # Listed before the workers are killed: an orphan no longer tells who started it.
                started += psutil.Process(nanny.pid).children(recursive=True)

        async def kill() -> None:
            for nanny in nannies:
                nanny.close_gracefully("abandoned")  # else it would start another worker
                if nanny.process is not None and nanny.process.process is not None:
                    await nanny.process.process.kill()

        # All at once in the cluster's own loop, where the nannies live.
        self.sync(kill)
        psutil.wait_procs(started, timeout=10)  # programs of tasks, which clean up after their worker


def local(workers: int | None = None, **options: Any) -> RevivingCluster:
    """A LocalCluster of processes with one thread each, on loopback.

    Parameters
    ----------
    workers
        Number of processes; as many as there are cores where it is not given.
    options
        Go to distributed.LocalCluster.

    Raises
    ------
    ClusterError
        The workers do not start, as those of a script without ``if __name__ == "__main__":``.
    """
    defaults: dict[str, Any] = {
        "n_workers": cores() if workers is None else workers,
        "threads_per_worker": 1,
        "dashboard_address": f"{LOOPBACK}:0",
    }
    if options.get("processes", True):
        # Ours comes first, so that what the user's own modules register to run at exit runs before the process leaves.
        own = options.pop("preload", [])
        preload = [_LEAVE, *([own] if isinstance(own, str) else own)]
        defaults |= {"processes": True, "host": LOOPBACK, "preload": preload}
    else:  # threads talk without a socket; their pages would be on all interfaces
        defaults |= {"worker_dashboard_address": f"{LOOPBACK}:0"}
    # A worker that imports the script which started it, and comes by here again, can only leave: multiprocessing starts
    # nothing from there, and tells it by no public name. Without a word, for the script's own process says why.
    if getattr(current_process(), "_inheriting", False):
        raise SystemExit(1)
    _start_tracker()
    # That a message met a closed connection, INFO with a traceback: the cluster's own silence ends a little before it.
    logging.getLogger("distributed.batched").setLevel(logging.WARNING)
    try:
        return RevivingCluster(**{**defaults, **options})
    except RuntimeError as error:  # that of Dask tells nothing but for its cause
        came = f"one that does not start ({error.__cause__ or error})"
        raise ClusterError("cluster", came, "one that does", _GUARD) from error.__cause__


def _start_tracker() -> None:
    """Start Python's own process that tracks semaphores, deaf to SIGHUP, as it is to SIGINT and SIGTERM by itself.

    A terminal that is closed would end it first, and it would complain of each semaphore of the workers.
    """
    if hasattr(signal, "SIGHUP"):
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
        try:
            resource_tracker.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
