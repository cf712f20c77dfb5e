"""The files in deploy/: accepted as they are, and what they would submit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from maladist.cluster import job_script
from maladist.cluster.description import KINDS, describe
from maladist.errors import ClusterError

DEPLOY = Path(__file__).parents[2] / "deploy"
# Kubernetes' own, and conda's.
DESCRIPTIONS = sorted(p for p in DEPLOY.glob("*/*.yaml") if p.name not in ("client.yaml", "recipe.yaml"))


@pytest.mark.parametrize("file", DESCRIPTIONS, ids=lambda p: p.name)
def test_every_file_is_accepted(file: Path) -> None:
    assert describe(file)["kind"] in KINDS
    assert describe(file, workers=3)["workers"] == 3


def test_every_kind_has_a_file_and_every_folder_a_page() -> None:
    assert {describe(f)["kind"] for f in DESCRIPTIONS} == set(KINDS) - {"address"}
    for folder in DEPLOY.iterdir():
        if folder.is_dir():
            page = (folder / "README.md").read_text()
            assert "run" in page.lower() and "Python" in page, folder
            assert folder.name in (DEPLOY / "README.md").read_text()


EXPECTED = {
    "slurm/slurm.yaml": ["#SBATCH -p standard", "#SBATCH -A my-project", "#SBATCH --cpus-per-task=16",
                         "#SBATCH --mem=60G", "#SBATCH -t 04:00:00", "#SBATCH --exclusive", "-o slurm-logs/"],
    "slurm/one-machine.yaml": ["#SBATCH -p all", "--interface lo"],
    "gpu/slurm-gpu.yaml": ["#SBATCH --gres=gpu:1", "#SBATCH -p gpu", "#SBATCH --cpus-per-task=4", "--resources GPU=1"],
    "pbs/pbs.yaml": ["#PBS -q standard", "#PBS -A my-project", "#PBS -l select=1:ncpus=16:mem=64GB",
                     "#PBS -l walltime=04:00:00", "#PBS -o pbs-logs/"],
    "lsf/lsf.yaml": ["#BSUB -q standard", '#BSUB -P "my-project"', "#BSUB -n 16", '#BSUB -R "span[hosts=1]"',
                     "#BSUB -M ", "#BSUB -W 04:00", "-o lsf-logs/"],
    "sge/sge.yaml": ["#$ -q all.q", "#$ -P my-project", "#$ -l h_vmem=4G", "#$ -l h_rt=04:00:00", "#$ -pe smp 16",
                     "#$ -cwd", "#$ -V"],
    "htcondor/htcondor.yaml": ["MY.DaskWorkerCores = 4", "RequestCpus", "should_transfer_files = NO",
                               "LogDirectory = htcondor-logs"],
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_the_job_script_asks_for_what_the_file_says(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # dask-jobqueue makes the log folder
    monkeypatch.setenv("PATH", str(tmp_path))  # no batch system is needed
    options = yaml.safe_load((DEPLOY / name).read_text())
    script = job_script(DEPLOY / name)
    for text in EXPECTED[name]:
        assert text in script
    worker = next(line for line in script.splitlines() if "dask_worker" in line)
    threads = options["cores"] // options["processes"]
    assert f"--nthreads {threads} " in worker and "--nanny" in worker
    assert "--dashboard-address 127.0.0.1:0" in worker and f"--interface {options['interface']}" in worker
    if options["processes"] > 1:
        assert f"--nworkers {options['processes']} " in worker
    if name != "slurm/one-machine.yaml":
        limit, stagger = (int(n) for n in re.findall(r"--lifetime(?:-stagger)? (\d+)m", worker))
        assert limit + stagger < 240, "workers must retire before their job ends"


def test_only_batch_systems_have_a_job_script() -> None:
    with pytest.raises(ClusterError, match="kind local; wanted one of slurm, pbs"):
        job_script("local")


def test_the_pods_of_kubernetes_run_what_the_image_knows() -> None:
    spec = describe(DEPLOY / "kubernetes" / "kubernetes.yaml")["custom_cluster_spec"]
    assert spec["kind"] == "DaskCluster" and spec["apiVersion"] == "kubernetes.dask.org/v1"
    entrypoint = (DEPLOY / "container" / "entrypoint.sh").read_text()
    for role in ("worker", "scheduler"):
        (container,) = spec["spec"][role]["spec"]["containers"]
        assert f"{container['args'][0]}) shift; exec python -m" in entrypoint
    assert spec["spec"]["scheduler"]["service"]["type"] == "ClusterIP"  # nothing beyond the Kubernetes cluster
    _, job = yaml.safe_load_all((DEPLOY / "kubernetes" / "client.yaml").read_text())
    arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert arguments[0] == "predict" and "--resume" in arguments
