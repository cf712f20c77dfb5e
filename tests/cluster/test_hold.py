"""A cluster that is held open: where its file goes, who can read it, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
import stat
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from maladist.cluster import hold
from maladist.cluster.hold import _until_stopped, scheduler_file
from maladist.errors import ClusterError

CLIENT: Any = SimpleNamespace(scheduler=SimpleNamespace(address="tcp://127.0.0.1:8786"))


def test_the_scheduler_file_is_the_owners_and_goes_with_the_context(tmp_path: Path) -> None:
    file = tmp_path / "two.json"
    with pytest.raises(KeyboardInterrupt), scheduler_file(CLIENT, file):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert json.loads(file.read_text())["address"] == "tcp://127.0.0.1:8786"
        raise KeyboardInterrupt
    assert not file.exists()


def test_a_file_of_somebody_else_is_neither_written_nor_removed(tmp_path: Path) -> None:
    file = tmp_path / "two.json"
    file.write_text("mine")
    with pytest.raises(ClusterError, match=r"two\.json exists; wanted a new file"), scheduler_file(CLIENT, file):
        pass
    assert file.read_text() == "mine"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_wait_and_the_callers_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with _until_stopped() as stopped:
        assert not stopped.is_set()
        signal.raise_signal(number)
        assert stopped.wait(5)
    assert signal.getsignal(number) is before


def test_under_nohup_a_hangup_does_not_end_the_cluster() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with _until_stopped() as stopped:
            signal.raise_signal(signal.SIGHUP)
            assert not stopped.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_cluster_that_runs_already_cannot_be_held(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="a cluster that is running; wanted the description of one to start"):
        hold("tcp://127.0.0.1:9", tmp_path / "two.json")
    assert not (tmp_path / "two.json").exists()


def test_a_place_for_the_scheduler_file_is_looked_at_before_workers_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("workers were started")

    monkeypatch.setattr(sys.modules["maladist.cluster.hold"], "cluster", never)
    file = tmp_path / "two.json"
    with pytest.raises(ClusterError, match="cannot be written"):
        hold("local", tmp_path / "nowhere" / "two.json")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        file.write_text(json.dumps({"address": f"tcp://127.0.0.1:{listening.getsockname()[1]}"}))
        with pytest.raises(ClusterError, match=r"two\.json exists, and a scheduler answers there.*--cluster"):
            hold("local", file)
    with pytest.raises(ClusterError, match=r"two\.json exists, and no scheduler answers there.*remove it"):
        hold("local", file)
    file.write_text("mine")
    with pytest.raises(ClusterError, match="is no scheduler file"):
        hold("local", file)
    assert file.read_text() == "mine"


SLURM = {"kind": "slurm", "cores": 1, "memory": "1GB", "interface": "lo", "queue": "short", "walltime": "04:00:00"}
LOCAL, PODS = {"kind": "local", "threads_per_worker": 2}, {"kind": "kubernetes", "name": "two"}


@pytest.mark.parametrize(
    ("told", "key", "value", "shown"),
    [
        (SLURM, "python", "/opt/python", "/opt/python"),
        (SLURM, "shebang", "#!/bin/zsh", "#!/bin/zsh"),
        (SLURM, "worker_command", "my.worker", "my.worker"),
        (SLURM, "worker_extra_args", ["--preload", "x.py"], "--preload; x.py"),
        (SLURM, "job_extra_directives", ["--exclusive"], "--exclusive"),
        ({**SLURM, "kind": "htcondor"}, "job_extra_directives", {"executable": "x.sh"}, "{'executable': 'x.sh'}"),
        (SLURM, "job_script_prologue", ["module load x", "y"], "module load x; y"),
        (SLURM, "submit_command_extra", ["--wrap", "x"], "--wrap; x"),
        (SLURM, "cancel_command_extra", ["--me"], "--me"),
        (SLURM, "scheduler_options", {"preload": "x.py"}, "{'preload': 'x.py'}"),
        (SLURM, "config", {"distributed.worker.preload": "x.py"}, "{'distributed.worker.preload': 'x.py'}"),
        (SLURM, "queue", "short\nrm -r x", "short\nrm -r x"),
        (SLURM, "local_directory", "$(x.sh)", "$(x.sh)"),
        (LOCAL, "preload", "x.py", "x.py"),
        (LOCAL, "worker_class", "x.Worker", "x.Worker"),
        (LOCAL, "config", {"distributed.nanny.preload": "x.py"}, "{'distributed.nanny.preload': 'x.py'}"),
        (PODS, "custom_cluster_spec", {"spec": {}}, "{'spec': {}}"),
        (PODS, "image", "x", "x"),
        (PODS, "env", {"PYTHONPATH": "x"}, "{'PYTHONPATH': 'x'}"),
    ],
)
def test_what_a_description_has_run_is_shown_before_it_runs(
    told: dict[str, object], key: str, value: object, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*_: Any) -> None:
        raise ClusterError("cluster", "started", "a test")

    said: list[str] = []
    monkeypatch.setattr(sys.modules["maladist.cluster.hold"], "cluster", started)
    with pytest.raises(ClusterError, match="started"):
        hold(told, tmp_path / "two.json", workers=1, say=said.append)
    assert said == []  # nothing of a description that tells no commands
    with pytest.raises(ClusterError, match="started"):
        hold({**told, key: value}, tmp_path / "two.json", workers=1, say=said.append)
    assert said == [f"runs what the description says, {key}: {shown}"]
