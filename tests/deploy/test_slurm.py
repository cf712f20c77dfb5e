"""Slurm for real, on a Slurm of one machine that the test sets up and takes down."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import ase.io
import jupytext
import psutil
import pytest
import yaml
from dask_jobqueue import SLURMCluster
from distributed import Client
from nbclient import NotebookClient

import maladist
from maladist import Prediction
from maladist.io.model_file import save_model
from maladist.io.structures import read_atoms
from maladist.testing import assert_identical, be_atoms, tiny_model, with_accident
from tests.cluster.test_start import intervals

pytestmark = [pytest.mark.slurm, pytest.mark.filterwarnings("ignore:broadening correction")]

DEPLOY = Path(__file__).parents[2] / "deploy" / "slurm"
CHUNKS = ("7", "7", "12")
BLOCKS = 32


def slurm(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def one_machine() -> Iterator[Path]:
    """A running Slurm; its configuration is in the environment."""
    missing = [p for p in ("slurmctld", "slurmd", "munged", "sbatch") if shutil.which(p, path=_path()) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    if os.geteuid() != 0:
        pytest.skip("slurmd needs root")
    folder = Path(tempfile.mkdtemp(prefix="slurm-")) / "it"  # short: sockets have short names
    folder.parent.chmod(0o755)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PATH", _path())
        environment.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        subprocess.run([DEPLOY / "one-machine.sh", "start", folder], check=True, timeout=60)
        yield folder
        subprocess.run([DEPLOY / "one-machine.sh", "stop", folder], check=True, timeout=60)
    shutil.rmtree(folder.parent)


def _path() -> str:
    return f"{os.environ['PATH']}{os.pathsep}/usr/sbin"


def test_the_one_machine_slurm_listens_on_loopback_only(one_machine: Path) -> None:
    assert slurm("sinfo", "-h", "-o", "%P %T").strip() == "all* idle"
    pids = {int((one_machine / f"{name}.pid").read_text()) for name in ("slurmctld", "slurmd")}
    found = {c.laddr.ip for p in pids for c in psutil.Process(p).net_connections("inet") if c.status == "LISTEN"}
    assert found == {"127.0.0.1"}


def test_a_second_start_in_one_folder_is_refused(one_machine: Path) -> None:
    ran = subprocess.run([DEPLOY / "one-machine.sh", "start", one_machine], capture_output=True, text=True)
    assert ran.returncode == 1 and "exists" in ran.stderr
    assert slurm("sinfo", "-h", "-o", "%T").strip() == "idle"


def done(store: Path) -> int:
    folder = store / "work" / "tally" / "c"
    return sum(1 for _ in folder.glob("*/0")) if folder.exists() else 0


@pytest.mark.slow
def test_a_cell_on_two_jobs_of_which_one_is_cancelled_half_way(one_machine: Path, tmp_path: Path) -> None:
    ase.io.write(tmp_path / "be8.extxyz", be_atoms((2, 2, 1)))
    save_model(with_accident(tiny_model(), seconds=1.0), tmp_path / "slow.maladist")
    description = yaml.safe_load((DEPLOY / "one-machine.yaml").read_text())
    description["worker_extra_args"] = ["--preload", "maladist.testing"]
    (tmp_path / "slurm.yaml").write_text(yaml.safe_dump(description))
    code = "import sys, maladist.testing; from maladist.cli.app import main; sys.exit(main())"
    what = ["predict", "be8.extxyz", "--model", "slow.maladist", "--output", "be.zarr", "--cluster", "slurm.yaml"]
    command = [sys.executable, "-c", code, *what, "--chunks", *CHUNKS, "--backend", "torch"]
    run = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        jobs = _wait_for_half(tmp_path / "be.zarr", run)
        assert len(jobs) == 2, "not two jobs"
        slurm("scancel", jobs[0])
        half = done(tmp_path / "be.zarr")
        _, err = run.communicate(timeout=240)
    finally:
        run.kill()
        run.wait()
    assert run.returncode == 0, err
    assert half < BLOCKS, "the run was over before the job was cancelled"
    got = Prediction.open(tmp_path / "be.zarr")
    assert set(intervals(got)["worker"].values.tolist()) == {0, 1}, "one job computed everything"
    atoms = read_atoms(str(tmp_path / "be8.extxyz"))
    with maladist.cluster("local", workers=1) as client:
        chunks = tuple(map(int, CHUNKS))
        straight = maladist.predict(atoms, tiny_model(), client=client, chunks=chunks, backend="torch")
    assert_identical(got, straight)
    for _ in range(100):
        if not slurm("squeue", "-h").strip():
            break
        time.sleep(0.2)
    assert slurm("squeue", "-h").strip() == "", "the cluster left jobs behind"


def _wait_for_half(store: Path, run: subprocess.Popen[str]) -> list[str]:
    """Jobs that run when about half of the blocks are done and each job has a worker."""
    for _ in range(1200):
        if run.poll() is not None:
            raise AssertionError(run.communicate()[1])
        if done(store) >= BLOCKS // 2:
            break
        time.sleep(0.1)
    return slurm("squeue", "-h", "-t", "RUNNING", "-o", "%i").split()


@pytest.mark.slow
def test_the_notebook_on_scaling_reaches_slurm(
    one_machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = DEPLOY.parents[1] / "notebooks"
    monkeypatch.setenv("MALADIST_NOTEBOOK_SIZE", "small")
    monkeypatch.setenv("MALADIST_SCRATCH", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    notebook = jupytext.read(folder / "04_scaling_out.py")
    NotebookClient(notebook, timeout=180, resources={"metadata": {"path": str(tmp_path)}}).execute()
    said = "".join(o.get("text", "") for c in notebook.cells for o in c.get("outputs", []))
    assert "2 workers on SLURM" in said and "the same energies as on this machine" in said


@pytest.mark.slow
def test_a_client_of_the_users_own_slurm_cluster_will_do(one_machine: Path, tmp_path: Path) -> None:
    """dask_jobqueue without `maladist.cluster`, growing from no job at all."""
    options = {"cores": 1, "processes": 1, "memory": "2GB", "interface": "lo", "walltime": "00:10:00"}
    pages = {"scheduler_options": {"dashboard_address": "127.0.0.1:0"}}
    folders = {"local_directory": str(tmp_path), "log_directory": str(tmp_path)}
    chosen = {"grid": (12, 12, 16), "chunks": (6, 6, 8)}
    with SLURMCluster(n_workers=0, python=sys.executable, **options, **pages, **folders) as cluster:
        cluster.adapt(minimum=0, maximum=1)
        with Client(cluster) as client:
            got = maladist.predict(be_atoms(), tiny_model(), client=client, store=tmp_path / "be.zarr", **chosen)
    assert_identical(got, maladist.predict(be_atoms(), tiny_model(), **chosen))
