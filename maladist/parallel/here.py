"""The process itself in place of a cluster, for work that would be done before a cluster has started.

A thread for each core runs the tasks. Kernels and torch let go of the interpreter while they compute, so threads do as
well as processes; and a worker's death, which a cluster survives, is here the death of whoever waits for the result.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from threading import Lock
from typing import Any, Protocol, TypeVar

import torch
from distributed import Client
from threadpoolctl import ThreadpoolController

from maladist.numerics import cores

R = TypeVar("R")


class _Job(Protocol):
    arguments: tuple[object, ...]


J = TypeVar("J", bound=_Job)


class _BLAS:
    """The libraries' threads, which are the process' and not a caller's: limited by the first, freed by the last."""

    def __init__(self) -> None:
        self._lock, self._users = Lock(), 0
        self._limit: Any = None

    @contextmanager
    def on_one_thread(self, libraries: ThreadpoolController) -> Iterator[None]:
        """Limit them to one thread."""
        with self._lock:
            # Not anew for each: the limit of the first would be taken for the number to go back to.
            if not self._users:
                self._limit = libraries.limit(limits=1, user_api="blas")
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._limit.restore_original_limits()


_blas = _BLAS()


class InProcess:
    """Threads of this process, as many as it has cores; used as a context manager, or closed."""

    def __init__(self) -> None:
        self.threads = cores()
        self._pool = ThreadPoolExecutor(self.threads, "maladist")
        self._libraries = ThreadpoolController()  # found once: the search takes milliseconds

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def nthreads(self) -> dict[str, int]:
        """Threads by place, as a client tells them."""
        return {"here": self.threads}

    def each(self, function: Callable[..., R], jobs: Iterable[J]) -> Generator[tuple[int, J, Future[R]], None, None]:
        """Run a function over jobs; yield number, job and future of each as it is done, in no order.

        Where the caller stops early or is interrupted, those that run come to their end first.
        """
        numbered = enumerate(jobs)
        under_way: dict[Future[R], tuple[int, J]] = {}
        # The tasks share the cores among them: BLAS with threads of its own would fight with them. And bits are then
        # those of a cluster's workers, which have one thread each.
        with _blas.on_one_thread(self._libraries):
            try:
                while True:
                    for number, job in islice(numbered, 2 * self.threads - len(under_way)):
                        under_way[self._pool.submit(function, *job.arguments)] = number, job
                    if not under_way:
                        return
                    for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                        yield (*under_way.pop(future), future)
            finally:
                for future in under_way:
                    future.cancel()
                wait(under_way)
                # A task has set torch to one thread, also for threads of the caller's that are still to begin.
                torch.set_num_threads(torch.get_num_threads())


Runner = Client | InProcess
"""What runs tasks: the workers of a client, or this process."""
