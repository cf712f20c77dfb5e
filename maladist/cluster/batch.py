"""Jobs of a batch system: dask_jobqueue's clusters, their job scripts, and what a batch system says to them."""

from __future__ import annotations

import asyncio
import difflib
import inspect
import logging
import re
import signal
import threading
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import psutil
from distributed import Status
from distributed.deploy import Cluster

from maladist.cluster.description import BATCH, describe, listens_on
from maladist.cluster.local import LOOPBACK
from maladist.errors import ClusterError

if TYPE_CHECKING:
    from dask_jobqueue.core import Job


def _import_jobqueue() -> ModuleType:
    """dask_jobqueue, without the handler of Ctrl-C that it installs: that ends the process with status 0, silently.

    Nor can any thread but the main one install a handler, and a name of maladist may be asked for in any of them first.
    """
    here, install = threading.get_ident(), signal.signal

    def in_other_threads(number: int, handler: Any) -> Any:
        return signal.getsignal(number) if threading.get_ident() == here else install(number, handler)

    signal.signal = in_other_threads  # type: ignore[assignment]
    try:
        return import_module("dask_jobqueue")
    finally:
        signal.signal = install


dask_jobqueue = _import_jobqueue()

# Options of the whole cluster, or ours: the class of a single job does not take them.
_NOT_OF_A_JOB: Final = (
    *("workers", "adaptive", "config", "security", "protocol", "shared_temp_directory", "silence_logs"),
    *("name", "scheduler_options"),
)


def batch(kind: str, **options: Any) -> Cluster:
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
    # A wrong name would be found by the scheduler's own start, with a traceback and pieces left behind.
    _check_interface(kind, options)
    # The user's own come last: they may open the dashboard.
    scheduler = {"dashboard_address": f"{LOOPBACK}:0", **(options.pop("scheduler_options", None) or {})}
    options = _closed_dashboards(options)
    return getattr(dask_jobqueue, BATCH[kind][0])(scheduler_options=scheduler, **options)


def _check_interface(kind: str, options: Mapping[str, Any]) -> None:
    """The scheduler listens on this machine: the interface must be one of its own."""
    # A host that the user names is an address of this machine, whatever the interface of the nodes is called.
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


def _job(kind: str, options: Mapping[str, Any]) -> Job:
    made = getattr(dask_jobqueue, BATCH[kind][0])
    of_job = {k: v for k, v in _closed_dashboards(options).items() if k not in _NOT_OF_A_JOB}
    try:
        return made.job_cls("tcp://scheduler:8786", name="maladist", **of_job)
    except (TypeError, ValueError) as error:
        what = str(error).splitlines()[0]
        wanted = f"options of dask_jobqueue.{made.__name__}"
        if (unknown := re.search(r"unexpected keyword argument '(\w+)'", what)) is None:
            raise ClusterError("cluster", f"{made.__name__}: {what}", wanted) from error
        known = {name for one in made.job_cls.__mro__[:-1] for name in inspect.signature(one.__init__).parameters}
        near = difflib.get_close_matches(unknown[1], sorted(known), n=1)
        remedy = f"Did you mean {near[0]}?" if near else ""
        raise ClusterError("cluster", f"{unknown[1]} is none of {kind}'s keys", wanted, remedy) from error


def _closed_dashboards(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options whose workers show their pages on loopback, unless they say otherwise."""
    arguments = [str(a) for a in options.get("worker_extra_args") or ()]
    if "--dashboard-address" not in arguments:
        arguments += ["--dashboard-address", f"{LOOPBACK}:0"]
    return {**options, "worker_extra_args": arguments}


def submit_jobs(kind: str, running: Cluster, count: int | None) -> None:
    """Ask for jobs and wait until the batch system has taken them: it may refuse, and Dask would only log it."""

    async def submit() -> None:
        # `scale` starts the same correction as a callback and returns; awaited here, a refusal is raised to us.
        running.scale(count)
        await running._correct_state()

    # Tornado would log the refusal of that callback with its traceback; the error below says it in a line.
    said_by_us = logging.getLogger("tornado.application")
    level = said_by_us.level
    said_by_us.setLevel(logging.CRITICAL)
    try:
        running.sync(submit)
    except (RuntimeError, OSError) as error:
        # The callback fails a moment later, and is to do so while Tornado is silent.
        running.sync(asyncio.sleep, 0.1)
        for job in running._created:  # closing the cluster asserts that every job was begun
            job.status = Status.failed
        what = " ".join(str(error).split())
        raise ClusterError(
            "cluster", f"{kind} did not take the job: {what}", f"a {kind} that answers, and a job that it accepts"
        ) from error
    finally:
        said_by_us.setLevel(level)
