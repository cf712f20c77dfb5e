"""Jobs of a batch system, without one: what their scripts say, and options that nobody would take."""

from __future__ import annotations

import signal
from typing import Any

import psutil
import pytest

from maladist.cluster.batch import _closed_dashboards, _import_jobqueue, batch, job_script
from maladist.errors import ClusterError

ONE = {"cores": 2, "processes": 1, "memory": "4GB", "interface": "lo"}


def test_loading_dask_jobqueue_leaves_ctrl_c_to_us() -> None:
    before = signal.getsignal(signal.SIGINT)
    _import_jobqueue()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, ["--dashboard-address", "127.0.0.1:0"]),
        ({"worker_extra_args": ["--nanny"]}, ["--nanny", "--dashboard-address", "127.0.0.1:0"]),
        ({"worker_extra_args": ["--dashboard-address", ":8788"]}, ["--dashboard-address", ":8788"]),
    ],
)
def test_pages_of_workers_open_only_where_the_user_says_so(given: dict[str, Any], wanted: list[str]) -> None:
    before = {k: list(v) for k, v in given.items()}
    assert _closed_dashboards(given)["worker_extra_args"] == wanted
    assert given == before  # the user's own mapping stays


def test_a_job_script_is_that_of_the_description_and_starts_nothing() -> None:
    script = job_script({**ONE, "kind": "slurm", "workers": 4, "queue": "long", "walltime": "04:00:00"})
    assert "#SBATCH -p long" in script and "#SBATCH -t 04:00:00" in script
    assert "workers" not in script.replace("--nworkers", "")  # how many jobs is not the job's to know


def test_only_a_batch_system_has_a_job_script() -> None:
    with pytest.raises(ClusterError, match="kind local; wanted one of slurm"):
        job_script("local")


def listeners() -> set[str]:
    """Addresses on which this process and its descendants listen."""
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return {c.laddr.ip for p in family for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN}


def test_dashboards_of_batch_jobs_stay_on_loopback() -> None:
    with batch("slurm", **ONE) as running:
        assert "--dashboard-address 127.0.0.1:0" in running.job_script()
        assert "--interface lo" in running.job_script()
        assert listeners() == {"127.0.0.1"}


def test_options_that_a_batch_system_does_not_take_are_named() -> None:
    with pytest.raises(ClusterError, match=r"job_nam is none of slurm's keys; .*SLURMCluster.*Did you mean job_name"):
        batch("slurm", cores=1, memory="1GB", interface="lo", job_nam="x")
    with pytest.raises(ClusterError, match=r"quue is none of slurm's keys; .*Did you mean queue"):
        batch("slurm", cores=1, memory="1GB", interface="lo", quue="x")
    with pytest.raises(ClusterError, match="how much cores and memory"):
        batch("slurm", interface="lo")
    with pytest.raises(ClusterError, match=r"interface: ib7, which this machine does not have; wanted one of .*lo"):
        batch("slurm", cores=1, processes=1, memory="1GB", interface="ib7")
