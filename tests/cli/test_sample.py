"""`sample` on the command line: what is drawn, chosen and kept, and what is refused before anything is computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.io import read

from tests.cli.conftest import Command

CRYSTAL = ("sample", "crystal", "Be", "--repeat", 2, 2, 1, "--vacancies", 1, "--count", 3, "--seed", 4)
MD = ("sample", "md", "Al", "--calculator", "emt", "--temperature", 500)


def test_a_crystal_is_drawn_around(tmp_path: Path, command: Command) -> None:
    output = tmp_path / "x.extxyz"
    status, out, _ = command(*CRYSTAL, "--output", output)
    assert status == 0 and out == f"3 configurations in {output}\n"
    assert [len(a) for a in read(output, ":")] == [7, 7, 7]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((*CRYSTAL, "--output", "old.extxyz"), "exists"),
        ((*CRYSTAL, "--output", "x.nonsense"), "an ending of a format"),
        (("sample", "crystal", "H", "--count", 1, "--output", "h.xyz"), "H"),
        ((*MD, "--steps", 400, "--output", "old.extxyz"), "exists"),
        ((*MD, "--steps", 5, "--output", "x.extxyz"), "steps"),
        ((*MD, "--steps", 20, "--timestep", 0, "--output", "x.extxyz"), "timestep"),
        (("sample", "trajectory", "nothing.traj", "--output", "x.extxyz"), "nothing.traj"),
    ],
)
def test_what_cannot_be_done_or_written_is_one_line_and_leaves_nothing(
    words: tuple[object, ...], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old.extxyz").write_text("mine")
    status, _, err = command(*words)
    assert status == 2 and why in err and err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["old.extxyz"] and Path("old.extxyz").read_text() == "mine"


def test_md_is_run_and_what_is_taken_of_it_is_what_its_trajectory_gives_again(tmp_path: Path, command: Command) -> None:
    output, again = tmp_path / "md.extxyz", tmp_path / "again.extxyz"
    words = ("--repeat", 2, 2, 2, "--steps", 400, "--every", 4, "--timestep", 4)
    assert command(*MD, *words, "--output", output).status == 0
    trajectory = f"{output}.md.traj"
    assert len(read(trajectory, ":")) == 100
    status, out, _ = command("sample", "trajectory", trajectory, "--output", again)
    assert status == 0 and "equilibrated from frame" in out
    chosen = read(output, ":")
    assert 2 <= len(chosen) < 60
    for a, b in zip(chosen, read(again, ":"), strict=True):
        np.testing.assert_allclose(a.positions, b.positions, atol=1e-7)


def test_a_potential_that_would_run_a_command_is_refused_in_one_line_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ar.lmp").write_text("shell touch PWNED\npair_style lj/cut 8.0\npair_coeff 1 1 0.0104 3.4\n")
    words = ("--temperature", 40, "--steps", 20, "--output", "out.extxyz")
    status, _, err = command("sample", "md", "Ar", "--calculator", "ar.lmp", *words)
    assert status == 2 and "ar.lmp, line 1: the command shell; wanted one of pair_style" in err
    assert [p.name for p in tmp_path.iterdir()] == ["ar.lmp"]
