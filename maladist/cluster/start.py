"""A Dask client from a cluster description; see :mod:`maladist.cluster.description`.

Whoever reaches a scheduler can run programs as you, so nothing listens beyond loopback unless the description names an
interface; dashboards stay on loopback even then, unless it moves them. Workers run one BLAS and OpenMP thread for each
of their own threads (Dask's nanny sees to it), so that the two do not fight.
"""

from __future__ import annotations

import json
import logging
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

import dask
from distributed import Client, Security
from distributed.comm.addressing import parse_address, parse_host_port
from distributed.deploy import Cluster
from distributed.utils import silence_logging_cmgr

from maladist.cluster.batch import batch, submit_jobs
from maladist.cluster.description import BATCH, describe
from maladist.cluster.local import LOOPBACK, RevivingCluster, local
from maladist.cluster.performance import performance_report
from maladist.errors import BlockError, ClusterError, DependencyError
from maladist.parallel.dashboard import DashboardPlugin

_CONFIG: Final = {
    # Dask cancels the job of a worker that is not back after 15 s; on a busy machine it takes longer to start again.
    "distributed.deploy.lost-worker-timeout": "5 minutes",
    # Every process looks at itself 50 to 100 times a second otherwise: 5 % of a core for the client, 3 % for a worker.
    "distributed.admin.tick.interval": "500ms",
    "distributed.admin.system-monitor.interval": "2s",
    "distributed.worker.profile.interval": "100ms",
    # Also by the nannies, which live in the client of a local cluster.
    "distributed.worker.memory.monitor-interval": "500ms",
}
_ANSWER: Final = 5.0  # seconds for a scheduler's machine to accept a connection; Dask would try for thirty


class Later(NamedTuple):
    """A cluster in place of a client: started where the work begins, after all input has been read, and ended with it.

    Attributes
    ----------
    description, workers
        As `cluster` takes them.
    report
        File of a `performance_report` of all that it does.
    """

    description: str | Path | Mapping[str, Any]
    workers: int | None = None
    report: Path | None = None


@contextmanager
def client_or_local(client: Client | Later | None) -> Iterator[Client]:
    """The caller's client, which stays open; or that of a local or another cluster, which ends with the context."""
    if client is not None and not isinstance(client, Later):
        yield client
        return
    description, workers, report = client or Later("local")
    with cluster(description, workers) as own, nullcontext() if report is None else performance_report(report, own):
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
        Client of the cluster.

    Examples
    --------
    >>> with maladist.cluster("local", workers=1) as client:
    ...     result = maladist.predict(be, "be-1000K-2", client=client)
    >>> len(result.atoms)
    2

    Raises
    ------
    ClusterError
        A description that is wrong, a scheduler that does not answer, a batch system that refuses the jobs.
    DependencyError
        A kind whose package is not installed.
    """
    options = describe(description, workers)
    kind = options.pop("kind")
    # For as long as the cluster lives only, and the user's own settings last.
    with dask.config.set({**_CONFIG, **options.pop("config", {})}):
        # Dask wants objects where a description has words.
        options |= {"security": _security(options["security"])} if "security" in options else {}
        if kind == "address":
            with _reach(options) as client:
                yield client
            return
        # Where jobs of a batch system write: what a worker said before it died is only there.
        logs = options.get("log_directory") or Path.cwd()
        with _started(kind, options) as client:
            try:
                yield client
            except (BlockError, ClusterError) as error:
                if kind in BATCH:
                    error.add_note(f"what the workers' jobs wrote: {logs}")
                raise


def _security(given: bool | Mapping[str, object] | None) -> Security | None:
    if not given:
        return None
    try:
        # Dask's own configuration may have switched the demand for encryption off; credentials
        # are given for it to be on.
        return Security.temporary() if given is True else Security(**{"require_encryption": True, **given})
    except ImportError as error:
        raise DependencyError("security", f"temporary credentials ({error})", "the package cryptography") from error
    except TypeError as error:
        raise ClusterError(
            "security", f"{error}", "true, or tls_ca_file, tls_scheduler_cert, ... as Dask names them"
        ) from error


def _reach(options: Mapping[str, Any]) -> Client:
    try:
        # A user who gives a timeout expects to wait, perhaps for a scheduler that is still to start.
        if "timeout" not in options:
            check_answers(options)
        return Client(**options)
    except (OSError, TimeoutError, ValueError, KeyError, TypeError) as error:
        name = options.get("address") or options.get("scheduler_file")
        raise ClusterError("cluster", f"no scheduler answers at {name} ({error})", "a running scheduler") from error


def check_answers(options: Mapping[str, Any]) -> None:
    """See whether anybody listens at an address, or at that of a scheduler file: a file may be of a cluster long gone.

    Parameters
    ----------
    options
        ``address`` or ``scheduler_file``; a file that is not there yet may still come, and is not asked about.

    Raises
    ------
    OSError
        Nobody listens there.
    ValueError, KeyError, TypeError
        The file is no scheduler file.
    """
    address = options.get("address")
    if address is None:
        file = Path(options["scheduler_file"])
        if not file.exists():
            return
        address = json.loads(file.read_text())["address"]
    protocol, place = parse_address(address)
    # Others (ucx, inproc) have no port that could be tried in this way.
    if protocol in ("tcp", "tls"):
        socket.create_connection(parse_host_port(place), _ANSWER).close()


@contextmanager
def _started(kind: str, options: dict[str, Any]) -> Iterator[Client]:
    count, adaptive = options.pop("workers", None), options.pop("adaptive", None)
    # Asked for here: dask_jobqueue would start a scheduler first, and fail with its traceback.
    if kind in BATCH and shutil.which(BATCH[kind][1]) is None:
        raise ClusterError("cluster", f"{BATCH[kind][1]} is not here", f"a machine that submits {kind} jobs")
    # It starts with the least; `adapt` asks for more where there are tasks.
    if adaptive and kind == "local":
        count = adaptive[0]
    with ExitStack() as quiet, _start(kind, options, count) as running, Client(running) as client:
        try:
            if kind != "kubernetes":  # whose scheduler is in a pod, which may be without maladist
                client.register_plugin(DashboardPlugin())
            if adaptive:
                running.adapt(minimum=adaptive[0], maximum=adaptive[1])
            elif kind in BATCH:
                submit_jobs(kind, running, count)
            yield client
        # Also Ctrl-C: a task may run for minutes, and nobody waits for its result any more.
        except BaseException:
            if isinstance(running, RevivingCluster):
                # What Dask says of workers that are ended in the middle of their tasks is no news.
                quiet.enter_context(silence_logging_cmgr(logging.CRITICAL + 1))
                running.abandon()
            raise


def _start(kind: str, options: dict[str, Any], count: int | None) -> Cluster:
    if kind == "local":
        return local(count, **options)
    # Left out where it is not given: the classes have defaults of their own.
    number = {"n_workers": count} if count else {}
    if kind == "cuda":
        made = _optional("dask_cuda", "LocalCUDACluster", "dask-cuda")
        return made(**{"host": LOOPBACK, "dashboard_address": f"{LOOPBACK}:0", **number, **options})
    if kind == "kubernetes":
        return _optional("dask_kubernetes.operator", "KubeCluster", "dask-kubernetes")(**number, **options)
    return batch(kind, **options)


def _optional(module: str, name: str, package: str) -> Callable[..., Cluster]:
    try:
        return getattr(import_module(module), name)
    except ImportError as error:
        raise DependencyError(
            "cluster", f"{package} is not installed ({error})", package, f"pip install {package}"
        ) from error
