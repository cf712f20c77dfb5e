"""One rank of a training, as a task on its worker: it meets the others, runs, and tells the client what it sees.

What the ranks are and how they end one another: `maladist.training.ranks`.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import psutil
import torch
import torch.distributed as dist
from distributed import Worker, get_worker
from distributed.comm import get_address_host
from distributed.protocol.pickle import dumps
from torch import nn
from torch._C._distributed_c10d import TCPStore
from torch.nn.parallel import DistributedDataParallel

from maladist.parallel.progress import Finished, Silent
from maladist.training.state import Rank

_stops: dict[str, threading.Event] = {}  # by job


class OtherFailed(RuntimeError):
    """Another rank had failed."""


class _Stopped(RuntimeError):
    """The caller went away."""


@dataclass(frozen=True)
class RankTask:
    """Where the ranks of a job meet, and which of them a task is."""

    job: str
    rank: int
    world: int
    device: str
    timeout: float


def open_store(host: str, timeout: float) -> TCPStore:
    """The store at which the ranks meet, listening on one address only."""
    # Given a host name alone, torch's store would listen on all interfaces: we open the socket and hand it over.
    listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    port = listener.getsockname()[1]
    wait = timedelta(seconds=timeout)
    return TCPStore(
        host, port, is_master=True, wait_for_workers=False, timeout=wait, master_listen_fd=listener.detach()
    )


def port(store: TCPStore) -> int:
    """On which it listens."""
    return int(store.port)


def run_rank(
    task: RankTask,
    meeting: tuple[str, int],
    store: TCPStore | None,
    function: Callable[..., object],
    arguments: Sequence[object],
) -> object:
    """Be one rank: join the group, call the function, leave the group whatever happens."""
    worker = get_worker()
    # One task a worker, so that its threads are all for this network.
    torch.set_num_threads(worker.state.nthreads)
    stopped = _stops.setdefault(task.job, threading.Event())
    wait = timedelta(seconds=task.timeout)
    store = store or TCPStore(*meeting, is_master=False, wait_for_workers=False, timeout=wait)
    observer = _Relay(worker, task.job) if task.rank == 0 else Silent()
    try:
        with _group(task, store, get_address_host(worker.address)):
            result = function(*arguments, observer=observer, rank=_rank(task, stopped))
            dist.barrier()  # nobody leaves before all have arrived: rank 0 keeps the store
        return result if task.rank == 0 else None
    except Exception as error:
        # Whoever sets the key is the rank that failed first; all others failed because of it.
        first = b""
        with suppress(Exception):  # a store whose process died
            first = store.compare_set("failed", "", str(task.rank))
        if first != str(task.rank).encode():
            raise OtherFailed(f"rank {first.decode() or 0} had failed") from error
        raise
    finally:
        del _stops[task.job]


class _Relay(Silent):
    """Passes on to the client's observer what rank 0 tells."""

    def __init__(self, worker: Worker, topic: str) -> None:
        self._worker, self._topic = worker, topic

    def stage(self, name: str, total: int, done: int = 0) -> None:
        self._send("stage", name, total, done)

    def advance(self, task: Finished) -> None:
        self._send("advance", task)

    def note(self, text: str) -> None:
        self._send("note", text)

    def _send(self, method: str, *arguments: object) -> None:
        self._worker.log_event(self._topic, {"told": dumps((method, *arguments))})


@contextmanager
def _group(task: RankTask, store: TCPStore, host: str) -> Iterator[None]:
    """Torch's default process group, which talks on the worker's own network."""
    gpu = task.device == "cuda"
    if gpu:
        # Workers of dask-cuda each see another GPU first; those of other clusters see the same ones, by rank.
        torch.cuda.set_device(0 if os.environ.get("DASK_CUDA_INTERFACE") else task.rank % torch.cuda.device_count())
    # Without it gloo takes the address of the host's name, which may be another network than the workers'.
    names = {"GLOO_SOCKET_IFNAME": interface_of(host), "NCCL_SOCKET_IFNAME": interface_of(host)}
    before = {name: os.environ.get(name) for name in names}
    os.environ.update({name: value for name, value in names.items() if value})
    try:
        wait = timedelta(seconds=task.timeout)
        backend = "nccl" if gpu else "gloo"
        dist.init_process_group(backend, store=store, rank=task.rank, world_size=task.world, timeout=wait)
        yield
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ.update({} if value is None else {name: value})


def interface_of(host: str) -> str | None:
    """Name of this machine's network interface that has an address."""
    for name, addresses in psutil.net_if_addrs().items():
        if any(a.address == host for a in addresses):
            return str(name)
    return None


def _rank(task: RankTask, stopped: threading.Event) -> Rank:
    device = torch.device(task.device)

    def check(*_: object) -> None:
        if stopped.is_set():
            raise _Stopped("the caller went away")

    def wrap(network: nn.Module) -> nn.Module:
        parallel = DistributedDataParallel(network)
        # A rank looks before each of its steps: Dask can neither interrupt it nor run another task beside it.
        parallel.register_forward_pre_hook(check)
        return parallel

    def share(value: float) -> float:
        check()
        # float64, as Python's own: every rank then has that very number.
        tensor = torch.tensor([value], dtype=torch.float64, device=device)
        dist.broadcast(tensor, src=0)
        return float(tensor)

    def mean(tensor: torch.Tensor) -> torch.Tensor:
        # A copy: all_reduce writes into its argument, which the rank still uses.
        total = tensor.detach().clone()
        dist.all_reduce(total)
        return total / task.world

    return Rank(task.rank, task.world, wrap, share, mean)


def stop(job: str) -> None:
    """Have a rank end before its next step; runs beside it, in the worker's event loop."""
    if (event := _stops.get(job)) is not None:
        event.set()
