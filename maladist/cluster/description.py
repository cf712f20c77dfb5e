"""What a user may call a cluster, read and checked before anything is started.

A description is a YAML file (or a mapping) with a key ``kind`` and that kind's options:

    kind: slurm            # local slurm pbs lsf sge htcondor kubernetes cuda address
    workers: 8             # worker processes to ask for, or adaptive: [2, 16]
    cores: 16              # the rest goes to the kind's own class as it is:
    processes: 16          #   dask_jobqueue.SLURMCluster(cores=16, processes=16, ...)
    memory: 64GB
    walltime: 04:00:00
    interface: ib0         # the network that this machine and the nodes share
    security: {tls_ca_file: ca.pem, tls_scheduler_cert: ...}    # optional: TLS; `true` for temporary credentials
    config: {distributed.scheduler.allowed-failures: 5}         # optional: Dask's own settings

The options that batch systems are told as text (``walltime``, ``account``, lines of the job script, ...) are passed on
as they are written. Options that are not named here go on to the class, which refuses what it does not know.

A description is a program: lines of the job script (``job_script_prologue``, ``job_extra_directives``), commands such
as ``python`` and ``submit_command_extra``, ``worker_extra_args`` with ``--preload``, Dask's own ``config`` and whatever
else is marked `RUNS` below are run as they are, with the rights of whoever names the file. Take one from others only as
you would take a shell script; `commands` lists them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

import dask
from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from maladist.cluster.values import Limit, Number, Option, Size, Text, Texts, number_of_bytes
from maladist.configuration import Options, Section
from maladist.errors import ClusterError, InputError
from maladist.io.yaml import read_yaml

BATCH: Final = {
    "slurm": ("SLURMCluster", "sbatch"),
    "pbs": ("PBSCluster", "qsub"),
    "lsf": ("LSFCluster", "bsub"),
    "sge": ("SGECluster", "qsub"),
    "htcondor": ("HTCondorCluster", "condor_submit"),
}
"""Batch systems: the class of dask_jobqueue and the command that submits."""

RUNS: Final = "a program, part of one, or what loads one"
"""Mark of a field whose value is run as it is."""

_IN_A_SHELL: Final = re.compile(r"[;&|<>`\n]|\$\(")  # what begins another command, or writes a file, in a job script


class Description(Section):
    """What every kind of cluster has.

    Attributes
    ----------
    kind
        Kind of the cluster, one of ``KINDS``.
    security
        Credentials of TLS as Dask names them, or true for temporary ones.
    config
        Dask's own settings.
    """

    error: ClassVar = ClusterError

    kind: str
    security: bool | dict[str, bool | Text] | None = None
    config: Annotated[Options, RUNS] = Field(default={})


class Running(Description):
    """A scheduler that runs, by its address or its scheduler file."""

    kind: Literal["address"]
    address: Text | None = None
    scheduler_file: Text | None = None
    timeout: int | float | Text | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Running:
        if (self.address is None) == (self.scheduler_file is None):
            raise InputError("", "kind address", "either address or scheduler_file")
        return self


class Started(Description):
    """A cluster to start.

    Attributes
    ----------
    workers
        Number of worker processes.
    adaptive
        The least and the largest number of workers; in place of ``workers``.
    """

    # The kind's own class refuses what it does not know; of such options only words that were
    # once truth values are refused here, since the class would take them for true.
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Option]

    workers: Number | None = None
    adaptive: tuple[int, int] | None = None

    @model_validator(mode="after")
    def _so_many(self) -> Started:
        if self.adaptive is not None:
            least, most = self.adaptive
            # A largest number of 0 would let every run wait without end.
            if not 0 <= least <= most or most < 1:
                wanted = "the least and the largest number of workers, as [2, 16]"
                raise InputError("adaptive", f"[{least}, {most}]", wanted)
            if self.workers is not None:
                raise InputError("adaptive", "beside workers", "either workers or adaptive")
        return self


class Local(Started):
    """Processes of this machine: distributed.LocalCluster or dask_cuda.LocalCUDACluster."""

    kind: Literal["local", "cuda"]
    n_workers: Number | None = None
    threads_per_worker: Number | None = None
    memory_limit: Limit = None
    device_memory_limit: Limit = None
    local_directory: Text | None = None
    interface: Text | None = None
    host: Text | None = None


class Kubernetes(Started):
    """Pods of the Dask operator: dask_kubernetes.operator.KubeCluster."""

    kind: Literal["kubernetes"]
    name: Text | None = None
    namespace: Text | None = None
    env: Annotated[dict[str, Text] | list[object] | None, RUNS] = None
    custom_cluster_spec: Annotated[dict[str, object] | None, RUNS] = None


class Batch(Started):
    """Jobs of a batch system: a class of dask_jobqueue, which knows which of the options are its own."""

    kind: Literal["slurm", "pbs", "lsf", "sge", "htcondor"]
    cores: Number | None = None
    processes: Number | None = None
    memory: Size | None = None
    disk: Size | None = None
    mem: Annotated[int, BeforeValidator(number_of_bytes)] | None = None
    job_cpu: Number | None = None
    job_mem: Text | None = None
    ncpus: Number | None = None
    walltime: Text | None = None
    queue: Text | None = None
    account: Text | None = None
    project: Text | None = None
    resource_spec: Text | None = None
    name: Text | None = None
    job_name: Text | None = None
    interface: Text | None = None
    protocol: Text | None = None
    local_directory: Text | None = None
    log_directory: Text | None = None
    shared_temp_directory: Text | None = None
    python: Annotated[Text | None, RUNS] = None
    shebang: Annotated[Text | None, RUNS] = None
    worker_command: Annotated[Text | None, RUNS] = None
    death_timeout: int | float | Text | None = None
    worker_extra_args: Annotated[Texts | None, RUNS] = None
    job_extra_directives: Annotated[Texts | dict[str, bool | Text] | None, RUNS] = None
    job_script_prologue: Annotated[Texts | None, RUNS] = None
    job_directives_skip: Texts | None = None
    submit_command_extra: Annotated[Texts | None, RUNS] = None
    cancel_command_extra: Annotated[Texts | None, RUNS] = None
    scheduler_options: Annotated[dict[str, Option] | None, RUNS] = None

    @model_validator(mode="after")
    def _directives_fit(self) -> Batch:
        pairs = isinstance(self.job_extra_directives, dict)
        if self.job_extra_directives and pairs != (self.kind == "htcondor"):
            came = f"a {'mapping' if pairs else 'list'} for {self.kind}"
            raise InputError(
                "job_extra_directives", came, "a list of lines" if pairs else "a mapping of submit commands"
            )
        return self

    @model_validator(mode="after")
    def _can_be_asked_for(self) -> Batch:
        if self.workers is None and self.adaptive is None:
            raise InputError("workers", f"none for {self.kind}", "workers: N or adaptive: [MIN, MAX]")
        if not listens_on(self.kind, dict(self)):
            raise InputError(
                "interface",
                f"none for {self.kind}",
                "the network that this machine and the nodes share, as ib0 or eth0",
                "`ip -brief address` lists them; lo where the nodes are this machine.",
            )
        return self


_KINDS: Final[dict[str, type[Description]]] = {
    "local": Local,
    **dict.fromkeys(BATCH, Batch),
    "kubernetes": Kubernetes,
    "cuda": Local,
    "address": Running,
}
KINDS: Final = tuple(_KINDS)


def describe(cluster: str | Path | Mapping[str, Any], workers: int | None = None) -> dict[str, Any]:
    """Normalise what a user may call a cluster to a description with a ``kind``, and check it.

    Parameters
    ----------
    cluster
        'local', an address such as tcp://10.0.0.1:8786, a scheduler file (.json), a YAML file, or a mapping.
    workers
        Number of worker processes; replaces the description's own.

    Returns
    -------
    dict
        The kind and the options that were given.

    Raises
    ------
    ClusterError
        A file that does not exist or is not a description, an unknown kind, an option of another type or one that could
        be meant in two ways, options that contradict one another, a batch system without a number of workers or without
        an interface.
    """
    values, source = _given(cluster)
    kind = values.get("kind")
    # A list or a number as kind would otherwise fail as a key of the table.
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ClusterError(source, f"kind {kind!r:.80}", f"one of {', '.join(KINDS)}")
    # The command line's number stands above the file's.
    if workers is not None:
        if kind == "address":
            raise ClusterError(
                "workers", f"{workers} for a cluster that is running", "no number of workers with an address"
            )
        values = {**values, "workers": workers}
        # A number on the command line means exactly this many.
        values.pop("adaptive", None)
    # Only what was given goes on: the defaults are those of the kind's class, and of Dask's own configuration.
    return _KINDS[kind].of(values, source).model_dump(exclude_unset=True)


def commands(description: Mapping[str, Any]) -> dict[str, object]:
    """What a description from `describe` has run, by its key.

    These are the fields marked `RUNS`; options that are not named here, since the kind's class may run them (as a
    LocalCluster does ``preload``); and texts that a job script's shell would take for more than a word.
    """
    fields = _KINDS[description["kind"]].model_fields
    return {
        key: value
        for key, value in description.items()
        if value is not None and (key not in fields or RUNS in fields[key].metadata or _IN_A_SHELL.search(str(value)))
    }


def _given(cluster: str | Path | Mapping[str, Any]) -> tuple[Mapping[Any, object], str]:
    """The values of a description, and the name of their source."""
    if isinstance(cluster, Mapping):
        return dict(cluster), "cluster"
    if str(cluster) == "local":
        return {"kind": "local"}, "cluster"
    if "://" in str(cluster):
        return {"kind": "address", "address": str(cluster)}, "cluster"
    path = Path(cluster)
    if not path.exists():
        raise ClusterError("cluster", f"{path} is not a file", f"a YAML file, an address or one of {', '.join(KINDS)}")
    # A named pipe that ends in .json is no scheduler file: Dask would wait at it without end.
    if path.suffix == ".json" and path.is_file():
        return {"kind": "address", "scheduler_file": str(path)}, str(path)
    return read_yaml(path, "cluster", ClusterError), str(path)


def listens_on(kind: str, description: Mapping[str, Any]) -> str | None:
    """The interface of the scheduler of a batch system's cluster, by its name or its address."""
    scheduler = description.get("scheduler_options") or {}
    default = dask.config.get(f"jobqueue.{kind}.interface", None)
    return description.get("interface") or scheduler.get("interface") or scheduler.get("host") or default
