"""`bench`, `cluster` and `doctor` on the command line: options at their place, and the status of what is broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maladist.doctor import Finding
from tests.cli.conftest import Command, StandIn


@pytest.mark.slow
def test_the_doctor_computes_on_a_cluster(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no program that may be broken here
    found = {f["name"]: f for f in json.loads(command("doctor", "--cluster", "local", "--json").out)}
    assert found["cluster local"]["status"] == "ok" and "one computed" in found["cluster local"]["found"]


def test_the_doctors_status_is_one_for_broken_only(stand_in: StandIn, command: Command) -> None:
    fine = [Finding("a", "ok", "1.0", "x"), Finding("b", "absent", "not on PATH", "y")]
    stand_in("maladist.doctor.diagnose", fine)
    status, out, _ = command("doctor")
    assert status == 0 and "absent  b: not on PATH" in out
    stand_in("maladist.doctor.diagnose", [*fine, Finding("c", "broken", "no", "z")])
    assert command("doctor").status == 1
    status, out, _ = command("doctor", "--json")
    assert status == 1 and [one["status"] for one in json.loads(out)] == ["ok", "absent", "broken"]


def test_bench_takes_several_sizes_and_refuses_its_file_first(
    stand_in: StandIn, tmp_path: Path, command: Command
) -> None:
    calls = stand_in("maladist.bench.measure", {"speed": 1})
    stand_in("maladist.bench.show", None)
    assert command("bench", "--json", tmp_path / "nowhere" / "a.json").status == 2 and not calls
    assert command("bench").status == command("bench", "--twojmax", 2, "--twojmax", 4).status == 0
    assert [call.positional for call in calls] == [((6, 8, 10, 12),), ((2, 4),)]
    assert json.loads(command("bench", "--json", "-").out) == {"speed": 1}


@pytest.mark.parametrize(
    ("words", "file"),
    [(("clusters/slurm.yaml",), "slurm.json"), (("local", "--scheduler-file", "/tmp/warm.json"), "/tmp/warm.json")],
)
def test_the_scheduler_file_of_a_held_cluster_is_here_and_called_after_its_description(
    words: tuple[str, ...], file: str, stand_in: StandIn, command: Command
) -> None:
    calls = stand_in("maladist.cluster.hold", None)
    assert command("cluster", *words, "--workers", 3).status == 0
    (((description, path), named),) = calls
    assert (description, path, named["workers"]) == (words[0], Path(file), 3)
