"""Descriptions of clusters: what is accepted, what is passed on as it is written, and what is refused by its name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from maladist.cluster import job_script
from maladist.cluster.description import KINDS, describe
from maladist.errors import ClusterError

BATCH = {"workers": 2, "cores": 2, "processes": 1, "memory": "4GB", "interface": "lo"}
HEADS = {"slurm": "#SBATCH", "pbs": "#PBS", "lsf": "#BSUB", "sge": "#$", "htcondor": ""}


def test_names_addresses_and_files_are_understood(tmp_path: Path) -> None:
    file = tmp_path / "here.yaml"
    file.write_text("kind: local\nworkers: 3\nthreads_per_worker: 2\n")
    assert describe("local") == {"kind": "local"}
    assert describe("tcp://10.0.0.1:8786") == {"kind": "address", "address": "tcp://10.0.0.1:8786"}
    assert describe(file) == {"kind": "local", "workers": 3, "threads_per_worker": 2}
    assert describe(str(file), workers=5)["workers"] == 5
    (tmp_path / "s.json").write_text("{}")
    assert describe(tmp_path / "s.json") == {"kind": "address", "scheduler_file": str(tmp_path / "s.json")}
    assert describe({"kind": "local", "adaptive": [0, 4]}, workers=2) == {"kind": "local", "workers": 2}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("nowhere.yaml", "nowhere.yaml is not a file"),
        ({"kind": "abacus"}, "kind 'abacus'; wanted one of local, slurm"),
        ({}, "kind None"),
        ({"kind": ["slurm"]}, r"kind \['slurm'\]"),
        ({"kind": "local", "workers": 0}, "workers: 0"),
        ({"kind": "local", "workers": "many"}, "workers: 'many'"),
        ({"kind": "local", "workers": True}, "workers: True; wanted a number"),
        ({"kind": "local", "workers": 2.5}, r"workers: 2\.5"),
        ({"kind": "local", "adaptive": [4, 2]}, "adaptive"),
        ({"kind": "local", "adaptive": 3}, "adaptive"),
        ({"kind": "local", "adaptive": [1, 2], "workers": 2}, "either workers or adaptive"),
        ({"kind": "local", "processes": "no"}, "processes: 'no'; wanted true or false"),
        ({"kind": "local", "config": {"distributed.scheduler.work-stealing": "off"}}, "config: .*true or false"),
        ({"kind": "local", "memory_limit": 4000}, "memory_limit: 4000; .*4000MB"),
        ({"kind": "local", "memory_limit": "4 loaves"}, "memory_limit: '4 loaves'; .*64GB"),
        ({"kind": "cuda", "device_memory_limit": "30"}, "device_memory_limit: '30'; .*30MB"),
        ({"kind": "address"}, "either address or scheduler_file"),
        ({"kind": "address", "address": "tcp://x:1", "cores": 3}, "cores: is not a key"),
        ({**BATCH, "kind": "slurm", "workers": None}, "workers: none for slurm"),
        ({**BATCH, "kind": "pbs", "interface": None}, "interface: none for pbs"),
        ({**BATCH, "kind": "slurm", "job_extra_directives": "--exclusive"}, "job_extra_directives.*list"),
        ({**BATCH, "kind": "slurm", "job_extra_directives": {"a": "b"}}, "job_extra_directives: a mapping for slurm"),
        ({**BATCH, "kind": "htcondor", "job_extra_directives": ["a"]}, "job_extra_directives: a list for htcondor"),
        ({**BATCH, "kind": "slurm", "job_script_prologue": ["a", None]}, r"job_script_prologue\.1: None"),
        ({**BATCH, "kind": "lsf", "mem": 4000}, "mem: 4000; .*4000MB"),
        ({**BATCH, "kind": "htcondor", "disk": 4}, "disk: 4; .*4GB"),
        ({**BATCH, "kind": "slurm", "memory": "-4GB"}, "memory: '-4GB'"),
        ({**BATCH, "kind": "slurm", "memory": "1e400GB"}, "memory"),
    ],
)
def test_a_wrong_description_is_refused_by_what_is_wrong(given: Any, words: str) -> None:
    with pytest.raises(ClusterError, match=words) as caught:
        describe(given)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_descriptions_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    for text, words in [
        ("- a\n- b\n", "holds a list"),
        ("kind: [", "cannot be read"),
        ("kind: a\nkind: b", "duplicate"),
    ]:
        (tmp_path / "c.yaml").write_text(text)
        with pytest.raises(ClusterError, match=words):
            describe(tmp_path / "c.yaml")
    with pytest.raises(ClusterError, match="not a regular file"):
        describe(tmp_path / "pipe.json")
    with pytest.raises(ClusterError, match="cluster that is running"):
        describe("tcp://10.0.0.1:8786", workers=2)


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The job script of a batch system with further lines in its description."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))

    def made(kind: str, *lines: str) -> str:
        usual = {"workers": "2", "cores": "2", "processes": "1", "memory": "4GB", "interface": "lo", "disk": "1GB"}
        if kind != "htcondor":
            del usual["disk"]
        if kind == "lsf":
            usual["lsf_units"] = "mb"
        usual |= dict(line.split(": ", 1) for line in lines)
        text = f"kind: {kind}\n" + "".join(f"{k}: {v}\n" for k, v in usual.items())
        (tmp_path / "c.yaml").write_text(text)
        return job_script(tmp_path / "c.yaml")

    return made


@pytest.mark.parametrize(
    ("kind", "line", "asks"),
    [
        ("slurm", "walltime: 12:00:00", "#SBATCH -t 12:00:00"),
        ("slurm", "walltime: 1-12:00:00", "#SBATCH -t 1-12:00:00"),
        ("slurm", "walltime: 01:30:00", "#SBATCH -t 01:30:00"),
        ("slurm", "walltime: 720", "#SBATCH -t 720"),
        ("pbs", "walltime: 12:00:00", "#PBS -l walltime=12:00:00"),
        ("sge", "walltime: 12:00:00", "#$ -l h_rt=12:00:00"),
        ("lsf", "walltime: 12:00", "#BSUB -W 12:00"),
        ("slurm", "account: 012345", "#SBATCH -A 012345"),
        ("slurm", "account: 12345", "#SBATCH -A 12345"),
        ("slurm", "account: 1_000", "#SBATCH -A 1_000"),
        ("pbs", "account: 0777", "#PBS -A 0777"),
        ("lsf", "project: 012345", '#BSUB -P "012345"'),
        ("sge", "project: 0o17", "#$ -P 0o17"),
        ("slurm", "queue: no", "#SBATCH -p no"),
        ("slurm", "job_extra_directives: [--begin=12:00:00, -N 2]", "#SBATCH --begin=12:00:00"),
        ("slurm", "job_extra_directives: [on, 010]", "#SBATCH 010"),
        ("slurm", "worker_extra_args: [--lifetime, 230m, --nthreads, 08]", "--nthreads 08"),
        ("slurm", "job_mem: 4000", "#SBATCH --mem=4000"),
        ("slurm", "job_script_prologue: [ulimit -c 0, 08]", "\n08\n"),
        ("lsf", "mem: 64GB", "#BSUB -M 64000"),
        ("lsf", "mem: 64000000000", "#BSUB -M 64000"),
        ("htcondor", "job_extra_directives: {should_transfer_files: NO, getenv: true}", "should_transfer_files = NO"),
        ("htcondor", "job_extra_directives: {periodic_hold: 012}", "periodic_hold = 012"),
    ],
)
def test_a_batch_system_is_asked_for_what_is_written(kind: str, line: str, asks: str, script: Any) -> None:
    assert asks in script(kind, line)


@pytest.mark.parametrize("kind", HEADS)
def test_counts_with_a_leading_zero_are_counts(kind: str, script: Any) -> None:
    assert script(kind, "cores: 08", "processes: 04") == script(kind, "cores: 8", "processes: 4")


@pytest.mark.parametrize(
    ("kind", "line", "words"),
    [
        *((kind, "memory: 4000", "memory: 4000; wanted a size with its unit: 4000MB, or 4000GB") for kind in HEADS),
        ("slurm", 'memory: "4000"', "memory: '4000'; wanted a size with its unit: 4000MB"),
        ("slurm", "memory: 4_000", "memory: '4_000'; wanted a size with its unit"),
        ("slurm", "memory: 1e9", "memory: 1000000000.0; wanted a size with its unit"),
        ("slurm", "account: 1e5", "account: 100000.0; wanted a text, in quotes"),
        ("slurm", "account: true", "account: True; wanted a text, in quotes"),
        ("pbs", "walltime: 1.5", "walltime: 1.5; wanted a text, in quotes"),
        ("slurm", "cores: 8.5", "cores: 8.5"),
        ("slurm", "cores: eight", "cores: 'eight'"),
        ("slurm", "cores: true", "cores: True; wanted a number"),
        ("slurm", "nanny: off", "nanny: 'off'; wanted true or false"),
        ("slurm", "partitoin: x", "partitoin"),
    ],
)
def test_what_could_be_meant_in_two_ways_is_refused_by_its_name(
    kind: str, line: str, words: str, script: Any, tmp_path: Path
) -> None:
    with pytest.raises(ClusterError) as caught:
        script(kind, line)
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert not any(p.name != "c.yaml" for p in tmp_path.iterdir())


def test_limits_of_a_local_worker_are_those_of_dask() -> None:
    for limit in ("auto", None, 0, 0.5, "4GB", "4 GiB", 4 * 10**9):
        assert describe({"kind": "local", "memory_limit": limit})["memory_limit"] == limit


def test_options_that_are_not_ours_go_through_as_they_are() -> None:
    pods = {"spec": {"worker": {"env": [{"name": "A", "value": "on"}], "x": None}}}
    given = {"kind": "kubernetes", "workers": 2, "custom_cluster_spec": pods, "shutdown_on_close": True, "n": [1, 0.5]}
    assert describe(given) == given
    assert set(KINDS) >= {"local", "slurm", "kubernetes", "address"}
