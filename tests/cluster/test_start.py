"""Clusters from descriptions: what is accepted and refused, who listens where, who computes what."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dask
import numpy as np
import psutil
import pytest
import xarray as xr
import yaml
from distributed import Client

import maladist
from maladist import Prediction
from maladist.cluster import cluster
from maladist.errors import BlockError, ClusterError, DependencyError
from maladist.io import stores
from maladist.io.model_file import save_model
from maladist.testing import be_atoms, tiny_model, with_accident

pytestmark = pytest.mark.filterwarnings("ignore:broadening correction")

CUT = {"chunks": (7, 7, 10), "backend": "torch"}
BATCH = {"workers": 2, "cores": 2, "processes": 1, "memory": "4GB", "interface": "lo"}


def test_a_scheduler_that_does_not_answer_is_named() -> None:
    with (
        pytest.raises(ClusterError, match=r"no scheduler answers at tcp://127.0.0.1:9"),
        cluster({"kind": "address", "address": "tcp://127.0.0.1:9", "timeout": "1s"}),
    ):
        pass


def test_processes_look_at_themselves_seldom_but_as_often_as_a_description_says() -> None:
    often = {"distributed.admin.tick.interval": "20ms"}
    with cluster({"kind": "local", "config": often}, workers=1) as client:
        for name, wanted in {**often, "distributed.worker.profile.interval": "100ms"}.items():
            assert set(client.run(dask.config.get, name).values()) == {wanted} == {dask.config.get(name)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"type": "Scheduler", "address": "tcp://127.0.0.1:9"}', "refused"),
        ('{"type": "Scheduler"}', "address"),
        ("[]", "list"),
        ("", "Expecting value"),
    ],
)
def test_a_scheduler_file_of_a_cluster_long_gone_costs_no_wait(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text(text)
    began = time.monotonic()
    with pytest.raises(ClusterError, match=rf"no scheduler answers at .*old\.json.*{words}"):
        cluster(tmp_path / "old.json").__enter__()
    assert time.monotonic() - began < 10  # Dask alone: thirty


@pytest.mark.parametrize(("kind", "package"), [("cuda", "dask_cuda"), ("kubernetes", "dask_kubernetes.operator")])
def test_a_kind_whose_package_is_missing_names_the_package(
    kind: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with (
        pytest.raises(DependencyError, match=rf"pip install {package.partition('.')[0].replace('_', '-')}"),
        cluster({"kind": kind, "workers": 1}),
    ):
        pass


# -- who listens where -----------------------------------------------------------------------------------------------


def listeners() -> set[str]:
    """Addresses on which this process and its descendants listen."""
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return {c.laddr.ip for p in family for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN}


@pytest.mark.parametrize("processes", [True, False])
def test_a_local_cluster_listens_on_loopback_only(processes: bool) -> None:
    with cluster({"kind": "local", "processes": processes}, workers=1) as client:
        client.submit(int).result()
        assert listeners() == {"127.0.0.1"}


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A certificate that is its own authority, for all three roles."""
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = str(folder / "key.pem"), str(folder / "cert.pem")
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=maladist"]
    try:
        subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl to make a certificate with")
    roles = {f"tls_{role}_{what}": path for role in ("scheduler", "worker", "client")
             for what, path in (("key", key), ("cert", certificate))}  # fmt: skip
    return {"tls_ca_file": certificate, **roles}


def test_tls_is_a_setting_and_keeps_others_out(credentials: dict[str, str]) -> None:
    with cluster({"kind": "local", "security": credentials}, workers=1) as client:
        address = client.scheduler.address
        assert address.startswith("tls://127.0.0.1")
        assert client.submit(sum, [1, 2]).result() == 3
        with cluster({"kind": "address", "address": address, "security": credentials}) as second:
            assert second.submit(sum, [2, 2]).result() == 4
        with (
            pytest.raises(ClusterError, match="no scheduler answers"),
            cluster({"kind": "address", "address": address.replace("tls", "tcp"), "timeout": "2s"}),
        ):
            pass
    with (
        pytest.raises(ClusterError, match="security"),
        cluster({"kind": "local", "security": {"tls_passport": "x"}}, workers=1),
    ):
        pass


# -- who computes what -----------------------------------------------------------------------------------------------


def intervals(prediction: Prediction) -> xr.Dataset:
    """Which worker computed which block, and when."""
    return xr.open_zarr(str(prediction.store), group="run", consolidated=False)


@contextmanager
def mixed_workers(folder: Path) -> Iterator[Client]:
    """Two workers with a made-up GPU and two threads each, and one without a GPU."""
    file = str(folder / "scheduler.json")
    loopback = ["--scheduler-file", file, "--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]
    worker = ["dask_worker", *loopback, "--preload", "maladist.testing", "--nthreads", "2", "--no-nanny"]
    commands = [["dask_scheduler", *loopback, "--port", "0"]]
    commands += [[*worker, "--resources", "GPU=1", "--name", f"gpu{i}"] for i in range(2)]
    commands += [[*worker, "--name", "plain"]]
    quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes = [
        subprocess.Popen([sys.executable, "-m", f"distributed.cli.{name}", *rest], **quiet) for name, *rest in commands
    ]
    try:
        with cluster({"kind": "address", "scheduler_file": file}) as client:
            client.wait_for_workers(3, timeout=60)
            yield client
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.slow
def test_blocks_go_to_workers_that_declare_a_gpu_and_one_at_a_time(tmp_path: Path) -> None:
    model = with_accident(tiny_model(), seconds=1.5)
    with mixed_workers(tmp_path) as client:
        planned = maladist.plan(be_atoms(), model, client=client, calibrate=False)
        assert planned.resources == {"GPU": 1.0}
        got = maladist.predict(be_atoms(), model, client=client, store=tmp_path / "a.zarr", **CUT)
        names = {w["name"] for w in client.scheduler_info(n_workers=-1)["workers"].values()}
        assert names == {"gpu0", "gpu1", "plain"}
        with_gpu = sorted(
            a for a, w in client.scheduler_info(n_workers=-1)["workers"].items() if w["name"].startswith("gpu")
        )
    run = intervals(got)
    assert set(np.unique(run["worker"])) == {0, 1} and len(with_gpu) == 2
    for worker in (0, 1):
        mine = run.isel(task=np.flatnonzero(run["worker"].values == worker)).sortby("start")
        assert (mine["start"].values[1:] >= mine["stop"].values[:-1]).all(), "two blocks on one GPU at a time"


@pytest.mark.slow
def test_threads_of_a_worker_share_the_blocks_where_there_is_no_gpu(tmp_path: Path) -> None:
    model = with_accident(tiny_model(), seconds=0.5)
    with cluster({"kind": "local", "preload": "maladist.testing", "threads_per_worker": 2}, workers=1) as client:
        run = intervals(maladist.predict(be_atoms(), model, client=client, store=tmp_path / "a.zarr", **CUT))
    run = run.sortby("start")
    assert (run["start"].values[1:] < run["stop"].values[:-1]).any(), "the second thread stood idle"


def test_scratch_of_workers_goes_where_the_description_says(tmp_path: Path) -> None:
    with cluster({"kind": "local", "local_directory": str(tmp_path)}, workers=1) as client:
        (where,) = client.run(lambda dask_worker: dask_worker.local_directory).values()
    assert Path(where).is_relative_to(tmp_path)


# -- a cluster that is held open -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_held_cluster_serves_others_and_ends_cleanly(tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text(yaml.safe_dump({"kind": "local", "workers": 2}))
    file = tmp_path / "two.json"
    command = [sys.executable, "-m", "maladist", "cluster", "two.yaml"]
    held = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(600):
            if file.exists() or held.poll() is not None:
                break
            time.sleep(0.1)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert json.loads(file.read_text())["address"].startswith("tcp://127.0.0.1:")
        save_model(tiny_model(), tmp_path / "m.maladist")
        be_atoms().write(tmp_path / "be.extxyz")
        for _ in range(2):
            be_atoms().write(tmp_path / "walk.extxyz", append=True)
        predict = [sys.executable, "-m", "maladist", "predict", "--model", "m.maladist", "--cluster", file.name]
        done = subprocess.run(
            [*predict, "walk.extxyz@:", "--output", "walk", "--json", "walk.json"],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "frame 1 of 2, 2000 K: μ = " in done.stdout and "eV/atom" in done.stdout
        assert len(json.loads((tmp_path / "walk.json").read_text())["frames"]) == 2
        assert stores.is_complete(tmp_path / "walk" / "000001.zarr")
        with cluster(file) as client:  # its workers are the same ones, and warm
            maladist.predict(be_atoms(), tiny_model(), client=client, **CUT)
        again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert again.returncode == 2 and "two.json exists" in again.stderr
        family = psutil.Process(held.pid).children(recursive=True)
        held.send_signal(signal.SIGTERM)
        said, complained = held.communicate(timeout=30)
    finally:
        held.kill()
        held.wait()
    assert held.returncode == 0, complained
    assert "use it with --cluster two.json" in said and "stopping" in said
    assert not file.exists()
    assert not psutil.wait_procs(family, timeout=10)[1]


# -- batch systems, without one --------------------------------------------------------------------------------------


def test_a_machine_without_the_batch_system_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(ClusterError, match="bsub is not here; wanted a machine that submits lsf jobs"),
        cluster({**BATCH, "kind": "lsf"}),
    ):
        pass


def fake_sbatch(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch system of one shell script."""
    for name, body in (("sbatch", text), ("scancel", 'kill "$1"')):
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_a_refused_job_is_reported_with_what_the_batch_system_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake_sbatch(tmp_path, "echo 'sbatch: error: invalid partition specified: nowhere' >&2; exit 1", monkeypatch)
    with (
        pytest.raises(ClusterError, match=r"slurm did not take the job: .*invalid partition specified: nowhere"),
        cluster({**BATCH, "kind": "slurm", "queue": "nowhere"}),
    ):
        pass


@pytest.mark.slow
def test_a_batch_job_computes_and_a_failure_says_where_its_output_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    fake_sbatch(tmp_path, 'cp "$1" job.sh; sh job.sh >job.out 2>&1 & echo "Submitted batch job $!"', monkeypatch)
    once = tmp_path / "happened"
    model = with_accident(tiny_model(), at=(0.0, 0.0, 0.0), once=str(once))
    description = {
        **BATCH,
        "kind": "slurm",
        "workers": 1,
        "worker_extra_args": ["--preload", "maladist.testing"],
        "log_directory": str(tmp_path / "logs"),
    }
    with pytest.raises(BlockError, match="made to fail") as caught, cluster(description) as client:
        maladist.predict(be_atoms(), model, client=client, store=tmp_path / "a.zarr", **CUT)
    assert caught.value.__notes__ == [f"what the workers' jobs wrote: {tmp_path / 'logs'}"]
