"""A Dask client from a cluster description; see :mod:`maladist.cluster.description`.

Whoever reaches a scheduler can run programs as you, so nothing listens beyond loopback unless the description names an
interface; dashboards stay on loopback even then, unless it moves them. Workers run one BLAS and OpenMP thread for each
of their own threads (Dask's nanny sees to it), so that the two do not fight.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import dask
import psutil
from distributed import Client, LocalCluster, Security, Status

from maladist.cluster.description import BATCH, describe, listens_on
from maladist.errors import BlockError, ClusterError, DependencyError


def _import_jobqueue() -> Any:
    """dask_jobqueue, without the handler of Ctrl-C that it installs: that ends the process with status 0, silently."""
    before = signal.getsignal(signal.SIGINT)
    module = import_module("dask_jobqueue")
    if before is not None and signal.getsignal(signal.SIGINT) is not before:
        signal.signal(signal.SIGINT, before)
    return module


dask_jobqueue = _import_jobqueue()

_LOOPBACK: Final = "127.0.0.1"
_NOT_OF_A_JOB: Final = (
    *("workers", "adaptive", "config", "security", "protocol", "shared_temp_directory", "silence_logs"),
    *("name", "scheduler_options"),
)


@contextmanager
def client_or_local(client: Client | None) -> Iterator[Client]:
    """The caller's client, which stays open; or that of a local cluster, which ends with the context."""
    if client is not None:
        yield client
        return
    with cluster("local") as own:
        yield own


@contextmanager
def cluster(description: str | Path | Mapping[str, Any] = "local", workers: int | None = None) -> Iterator[Client]:
    """Start, or reach, a cluster; yield its client; close what was started.

    Parameters
    ----------
    description
        'local', the address of a scheduler that runs, its scheduler file (.json), a YAML file, or what such a file
        holds as a mapping: see :mod:`maladist.cluster.description`.
    workers
        Number of worker processes; replaces the description's own.

    Yields
    ------
    distributed.Client
        Of the cluster.

    Examples
    --------
    >>> with cluster("local", workers=2) as client:  # doctest: +SKIP
    ...     predict(atoms, model, client=client)

    Raises
    ------
    ClusterError
        A description that is wrong, a scheduler that does not answer, a batch system that refuses the jobs.
    DependencyError
        A kind whose package is not installed.
    """
    options = describe(description, workers)
    kind = options.pop("kind")
    with dask.config.set(options.pop("config", {})):
        options |= {"security": _security(options["security"])} if "security" in options else {}
        if kind == "address":
            with _reach(options) as client:
                yield client
            return
        logs = options.get("log_directory") or Path.cwd()
        with _started(kind, options) as client:
            try:
                yield client
            except (BlockError, ClusterError) as error:
                if kind in BATCH:
                    error.add_note(f"what the workers' jobs wrote: {logs}")
                raise


def _security(given: Any) -> Security | None:
    if not given:
        return None
    try:
        return Security.temporary() if given is True else Security(**{"require_encryption": True, **given})
    except ImportError as error:
        raise DependencyError("security", f"temporary credentials ({error})", "the package cryptography") from error
    except TypeError as error:
        raise ClusterError(
            "security", f"{error}", "true, or tls_ca_file, tls_scheduler_cert, ... as Dask names them"
        ) from error


def _reach(options: Mapping[str, Any]) -> Client:
    try:
        return Client(**options)
    except (OSError, TimeoutError, ValueError, KeyError) as error:
        name = options.get("address") or options.get("scheduler_file")
        raise ClusterError("cluster", f"no scheduler answers at {name} ({error})", "a running scheduler") from error


@contextmanager
def _started(kind: str, options: dict[str, Any]) -> Iterator[Client]:
    count, adaptive = options.pop("workers", None), options.pop("adaptive", None)
    if kind in BATCH and shutil.which(BATCH[kind][1]) is None:
        raise ClusterError("cluster", f"{BATCH[kind][1]} is not here", f"a machine that submits {kind} jobs")
    if adaptive and kind == "local":
        count = adaptive[0]
    with _start(kind, options, count) as running, Client(running) as client:
        if adaptive:
            running.adapt(minimum=adaptive[0], maximum=adaptive[1])
        elif kind in BATCH:
            _submit(kind, running, count)
        yield client


def _submit(kind: str, running: Any, count: int | None) -> None:
    """Ask for jobs and wait until the batch system has taken them: it may refuse, and Dask would only log it."""

    async def submit() -> None:
        running.scale(count)
        await running._correct_state()

    said_by_us = logging.getLogger("tornado.application")
    level = said_by_us.level
    said_by_us.setLevel(logging.CRITICAL)
    try:
        running.sync(submit)
    except (RuntimeError, OSError) as error:
        running.sync(asyncio.sleep, 0.1)
        for job in running._created:  # closing the cluster asserts that every job was begun
            job.status = Status.failed
        what = " ".join(str(error).split())
        raise ClusterError("cluster", f"{kind} refused the job: {what}", "a job that it accepts") from error
    finally:
        said_by_us.setLevel(level)


def _start(kind: str, options: dict[str, Any], count: int | None) -> Any:
    if kind == "local":
        return local(count, **options)
    number = {"n_workers": count} if count else {}
    if kind == "cuda":
        made = _optional("dask_cuda", "LocalCUDACluster", "dask-cuda")
        return made(**{"host": _LOOPBACK, "dashboard_address": f"{_LOOPBACK}:0", **number, **options})
    if kind == "kubernetes":
        return _optional("dask_kubernetes.operator", "KubeCluster", "dask-kubernetes")(**number, **options)
    return batch(kind, **options)


def _optional(module: str, name: str, package: str) -> Callable[..., Any]:
    try:
        return getattr(import_module(module), name)
    except ImportError as error:
        raise DependencyError(
            "cluster", f"{package} is not installed ({error})", package, f"pip install {package}"
        ) from error


def local(workers: int | None = None, **options: Any) -> LocalCluster:
    """A LocalCluster of processes with one thread each, on loopback.

    Parameters
    ----------
    workers
        Number of processes; as many as there are cores where it is not given.
    options
        Go to distributed.LocalCluster.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    defaults: dict[str, Any] = {
        "n_workers": cores if workers is None else workers,
        "threads_per_worker": 1,
        "dashboard_address": f"{_LOOPBACK}:0",
    }
    if options.get("processes", True):
        defaults |= {"processes": True, "host": _LOOPBACK}
    else:  # threads talk without a socket; their pages would be on all interfaces
        defaults |= {"worker_dashboard_address": f"{_LOOPBACK}:0"}
    return LocalCluster(**{**defaults, **options})


def batch(kind: str, **options: Any) -> Any:
    """A dask_jobqueue cluster, without jobs as yet.

    Parameters
    ----------
    kind
        'slurm', 'pbs', 'lsf', 'sge' or 'htcondor'.
    options
        Go to the kind's class. Dashboards of scheduler and workers stay on loopback unless these say otherwise.

    Raises
    ------
    ClusterError
        Options that the class does not take; an interface that this machine does not have.
    """
    _job(kind, options)  # a job alone, first: a cluster that fails half-way leaves its pieces behind
    _check_interface(kind, options)
    scheduler = {"dashboard_address": f"{_LOOPBACK}:0", **(options.pop("scheduler_options", None) or {})}
    options = _closed_dashboards(options)
    return getattr(dask_jobqueue, BATCH[kind][0])(scheduler_options=scheduler, **options)


def _check_interface(kind: str, options: Mapping[str, Any]) -> None:
    """The scheduler listens on this machine: the interface must be one of its own."""
    scheduler = options.get("scheduler_options") or {}
    if "host" in scheduler:
        return
    name, there = scheduler.get("interface") or listens_on(kind, options), sorted(psutil.net_if_addrs())
    if name not in there:
        raise ClusterError(
            "interface",
            f"{name}, which this machine does not have",
            f"one of {', '.join(there)}",
            "Where the nodes' is named otherwise, give this machine's as scheduler_options: {interface: ...}.",
        )


def job_script(description: str | Path | Mapping[str, Any]) -> str:
    """What would be submitted for a job of a batch system, without submitting it or starting anything."""
    options = describe(description)
    kind = options.pop("kind")
    if kind not in BATCH:
        raise ClusterError("cluster", f"kind {kind}", f"one of {', '.join(BATCH)}")
    return str(_job(kind, options).job_script())


def _job(kind: str, options: Mapping[str, Any]) -> Any:
    made = getattr(dask_jobqueue, BATCH[kind][0])
    of_job = {k: v for k, v in _closed_dashboards(options).items() if k not in _NOT_OF_A_JOB}
    try:
        return made.job_cls("tcp://scheduler:8786", name="maladist", **of_job)
    except (TypeError, ValueError) as error:
        what = str(error).splitlines()[0]
        wanted = f"options of dask_jobqueue.{made.__name__}"
        raise ClusterError("cluster", f"{made.__name__}: {what}", wanted) from error


def _closed_dashboards(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options whose workers show their pages on loopback, unless they say otherwise."""
    arguments = [str(a) for a in options.get("worker_extra_args") or ()]
    if "--dashboard-address" not in arguments:
        arguments += ["--dashboard-address", f"{_LOOPBACK}:0"]
    return {**options, "worker_extra_args": arguments}
