"""A Dask client from a name, a YAML file or an address.

A cluster description is a YAML file (or a mapping) with a key ``kind`` and that kind's options:

    kind: slurm            # local slurm pbs lsf sge htcondor kubernetes cuda address
    workers: 8             # worker processes to ask for (or adaptive: [2, 16])
    cores: 16              # the rest goes to the kind's own class as it is:
    processes: 16          #   dask_jobqueue.SLURMCluster(cores=16, processes=16, ...)
    memory: 64GB

Nothing listens beyond loopback unless the description says so. Workers run one BLAS and OpenMP thread for each of their
own threads, so that the two do not fight.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import dask
import yaml
from distributed import Client, LocalCluster

from maladist.errors import ClusterError

KINDS: Final = ("local", "slurm", "pbs", "lsf", "sge", "htcondor", "kubernetes", "cuda", "address")
_JOBQUEUE: Final = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "lsf": "LSFCluster",
    "sge": "SGECluster",
    "htcondor": "HTCondorCluster",
}
_LOOPBACK: Final = "127.0.0.1"


def describe(cluster: str | Path | Mapping[str, Any], workers: int | None = None) -> dict[str, Any]:
    """Normalise what a user may call a cluster to a description with a ``kind``.

    Parameters
    ----------
    cluster
        'local', an address such as tcp://10.0.0.1:8786, a scheduler file (.json), a YAML file, or a mapping.
    workers
        Number of worker processes; replaces the description's own.

    Raises
    ------
    ClusterError
        A file that does not exist or is not a description, an unknown kind.
    """
    if isinstance(cluster, Mapping):
        description = dict(cluster)
    elif str(cluster) == "local":
        description = {"kind": "local"}
    elif "://" in str(cluster):
        description = {"kind": "address", "address": str(cluster)}
    else:
        description = _read(Path(cluster))
    kind = description.get("kind")
    if kind not in KINDS:
        raise ClusterError("cluster", f"kind {kind!r}", f"one of {', '.join(KINDS)}")
    if workers is not None:
        if kind == "address":
            raise ClusterError(
                "workers", f"{workers} for a cluster that is running", "no number of workers with an address"
            )
        if workers < 1:
            raise ClusterError("workers", f"{workers}", "at least one worker")
        description["workers"] = workers
        description.pop("adaptive", None)
    return description


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ClusterError("cluster", f"{path} is not a file", f"a YAML file, an address or one of {', '.join(KINDS)}")
    if path.suffix == ".json":
        return {"kind": "address", "scheduler_file": str(path)}
    try:
        description = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ClusterError("cluster", f"{path} is not YAML ({error})", "a cluster description") from error
    if not isinstance(description, dict):
        raise ClusterError("cluster", f"{path} holds a {type(description).__name__}", "a mapping with a key 'kind'")
    return description


@contextmanager
def cluster(description: str | Path | Mapping[str, Any] = "local", workers: int | None = None) -> Iterator[Client]:
    """Start, or reach, a cluster; yield its client; close what was started.

    Examples
    --------
    >>> with cluster("local", workers=2) as client:  # doctest: +SKIP
    ...     predict(atoms, model, client=client)
    """
    options = describe(description, workers)
    kind = options.pop("kind")
    if kind == "address":
        with _reach(options) as client:
            yield client
        return
    count, adaptive = options.pop("workers", None), options.pop("adaptive", None)
    settings = dask.config.set(options.pop("config", {}))
    with settings, _start(kind, options, count) as running, Client(running) as client:
        if adaptive:
            running.adapt(minimum=int(adaptive[0]), maximum=int(adaptive[1]))
        elif kind != "local" and kind != "cuda" and count:
            running.scale(int(count))
        yield client


def _reach(options: Mapping[str, Any]) -> Client:
    known = {k: options[k] for k in ("address", "scheduler_file", "timeout") if k in options}
    try:
        return Client(**known)
    except (OSError, TimeoutError, ValueError) as error:
        name = options.get("address") or options.get("scheduler_file")
        raise ClusterError("cluster", f"no scheduler answers at {name} ({error})", "a running scheduler") from error


def _start(kind: str, options: dict[str, Any], count: int | None) -> Any:
    if kind == "local":
        return local(count, **options)
    if kind == "cuda":
        from dask_cuda import LocalCUDACluster  # one worker a GPU; an optional install

        return LocalCUDACluster(**{"host": _LOOPBACK, **({"n_workers": count} if count else {}), **options})
    if kind == "kubernetes":
        from dask_kubernetes.operator import KubeCluster

        return KubeCluster(**({"n_workers": count} if count else {}), **options)
    import dask_jobqueue

    return getattr(dask_jobqueue, _JOBQUEUE[kind])(**options)


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
        "n_workers": workers or cores,
        "threads_per_worker": 1,
        "dashboard_address": f"{_LOOPBACK}:0",
        "silence_logs": logging.CRITICAL,  # what fails on a worker is raised where it is waited for
    }
    if options.get("processes", True):  # threads talk without a socket
        defaults |= {"processes": True, "host": _LOOPBACK}
    return LocalCluster(**{**defaults, **options})
