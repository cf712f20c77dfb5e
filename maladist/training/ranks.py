"""Training by several processes: torch's DistributedDataParallel with one rank a Dask worker, started by the client.

Each rank is a task that is pinned to its worker and never moved. They meet at a store on the first rank's worker and
then talk by gloo, or by nccl where the network is on a GPU. Store and gloo listen on the address on which the worker
itself listens: loopback in a local cluster. Unlike Dask's own traffic, what they say is not encrypted by TLS.

One rank that fails, or whose worker dies, ends all: the others lose their connection to it at the next gradient. The
same holds where the caller is interrupted: every rank is told to stop before its next step.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from distributed import Client, Future, LocalCluster
from distributed.comm import get_address_host
from distributed.protocol.pickle import loads

from maladist.errors import ClusterError, InputError, RankError
from maladist.parallel.progress import Observer
from maladist.training.rank_task import OtherFailed, RankTask, open_store, port, run_rank, stop

TIMEOUT: Final = 1800.0
"""Seconds that a rank waits for the others in one gradient; rank 0 validates in that time."""

_GRACE: Final = 15.0  # seconds for the other ranks to notice that one has failed


def run_ranks(
    client: Client,
    ranks: int,
    function: Callable[..., object],
    *arguments: object,
    device: str = "cpu",
    observer: Observer | None = None,
    kept: str = "",
    timeout: float = TIMEOUT,
) -> object:
    """Call ``function(*arguments, observer=relay, rank=rank)`` as so many ranks at once; what rank 0 returns.

    Parameters
    ----------
    client
        Client whose workers become the ranks, one each.
    ranks
        Number of ranks.
    device
        Kind of device of the networks: with 'cuda' gradients go by nccl, else by gloo.
    observer
        Observer that is told here, in order, what rank 0 tells its own.
    kept
        Words of an error about what is not lost.
    timeout
        Seconds after which a rank gives up waiting for the others.

    Raises
    ------
    ClusterError
        Fewer workers than ranks, or workers that are threads of one process.
    RankError
        A rank failed or its worker died; says which one. Bad input that a rank found is raised as it is.
    """
    job, addresses = uuid.uuid4().hex, choose_workers(client, ranks)
    with _heard(client, job) as heard:
        # A task of its own: the store must listen before any rank looks for it, and its port is known only then.
        store = client.submit(open_store, get_address_host(addresses[0]), timeout, **_pinned(addresses[0]))
        meeting = get_address_host(addresses[0]), client.submit(port, store, **_pinned(addresses[0]))
        tasks = [
            client.submit(
                run_rank,
                RankTask(job, i, ranks, device, timeout),
                meeting,
                store if i == 0 else None,  # an object of that process: others reach it through its address
                function,
                arguments,
                **_pinned(address),
            )
            for i, address in enumerate(addresses)
        ]
        try:
            _watch(client, addresses, tasks, lambda: _pass_on(heard, observer), kept)
            result = tasks[0].result()
            _pass_on(heard, observer)
            return result
        finally:
            with suppress(Exception):  # the cluster may be gone; what matters is raised already
                _end(client, job, addresses, tasks)


def choose_workers(client: Client, ranks: int) -> list[str]:
    """Addresses of the workers that will be the ranks.

    Raises
    ------
    ClusterError
        There are too few workers, or all are in one process.
    """
    # A local cluster starts its workers at once; those of a batch system may wait in a queue.
    patience = 10.0 if isinstance(client.cluster, LocalCluster) else 300.0
    with suppress(TimeoutError):
        client.wait_for_workers(ranks, timeout=patience)
    # Sorted, so that the same workers get the same ranks, and thus the same chunks, when a training goes on.
    addresses = sorted(client.nthreads())
    if len(addresses) < ranks:
        raise ClusterError("ranks", f"{ranks} for {len(addresses)} workers", "a worker for each", "Give more workers.")
    # Torch has one default process group a process.
    if addresses[0].startswith("inproc://"):
        raise ClusterError("ranks", f"{ranks} in one process", "workers that are processes (processes=True)")
    return addresses[:ranks]


def _pinned(address: str) -> dict[str, object]:
    # A rank that Dask moved or began again would meet nobody: the others are in the middle of a step.
    return {"workers": [address], "allow_other_workers": False, "pure": False, "retries": 0}


@contextmanager
def _heard(client: Client, topic: str) -> Iterator[list[object]]:
    """A list to which what rank 0 tells is added; by Dask's events, which come in order."""
    heard: list[object] = []
    # The callback runs in Dask's own thread: it only keeps what came, the caller's thread passes it on.
    client.subscribe_topic(topic, lambda event: heard.append(event[1]["told"]))
    try:
        yield heard
    finally:
        with suppress(Exception):
            client.unsubscribe_topic(topic)


def _pass_on(heard: list[object], observer: Observer | None) -> None:
    while heard:
        method, *arguments = loads(heard.pop(0))
        if observer is not None:
            getattr(observer, method)(*arguments)


def _watch(
    client: Client, addresses: Sequence[str], tasks: Sequence[Future], tell: Callable[[], None], kept: str
) -> None:
    """Wait until all ranks are done; raise why one is not."""
    looked = failed = 0.0
    while not all(t.done() for t in tasks):
        tell()
        now = time.monotonic()
        if now - looked > 0.5:
            looked, alive = now, client.nthreads()
            # A task that is pinned to a worker that died is not failed by Dask: it waits for that address to come back.
            for i, address in enumerate(addresses):
                if address not in alive:
                    raise RankError(i, len(tasks), address, "its worker died", kept)
        if any(t.status == "error" for t in tasks):
            # Not at once: the rank that failed first may be heard of later than those that lost their connection to it.
            failed = failed or now
            if now - failed > _GRACE:
                break
        time.sleep(0.05)
    _raise_failure(addresses, tasks, kept)


def _raise_failure(addresses: Sequence[str], tasks: Sequence[Future], kept: str) -> None:
    """Raise the failure that came first: the others only lost their connection to that rank."""
    errors = [(i, t.exception()) for i, t in enumerate(tasks) if t.done() and t.status != "finished"]
    errors.sort(key=lambda numbered: isinstance(numbered[1], OtherFailed))
    for i, error in errors[:1]:
        if isinstance(error, InputError):
            raise error
        # What torch adds after this is its own stack in C++.
        cause = f"{type(error).__name__}: {error}".split("\nException raised from")[0].strip()
        raise RankError(i, len(tasks), addresses[i], cause, kept) from error


def _end(client: Client, job: str, addresses: Sequence[str], tasks: Sequence[Future]) -> None:
    """Tell ranks that still run to stop; a worker's thread cannot be killed, and would wait for the others."""
    if not all(t.done() for t in tasks):
        alive = [a for a in addresses if a in client.nthreads()]
        client.run(stop, job, workers=alive, on_error="ignore")
        client.cancel(list(tasks), force=True)
