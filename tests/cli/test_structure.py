"""`structure` on the command line: its table, picture and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command


def test_frames_become_a_table_a_picture_and_json(folder: Path, tmp_path: Path, command: Command) -> None:
    figures, picture = tmp_path / "s.json", tmp_path / "s.png"
    words = ("--cutoff", 4, "--largest-q", 6, "--q-width", 0.5, "--json", figures, "--plot", picture)
    status, out, err = command("structure", f"{folder / 'be.extxyz'}@:", *words)
    assert status == 0, err
    assert "2 frames of 2 atoms" in out and "g(r) Be-Be" in out and picture.stat().st_size > 1000
    told = json.loads(figures.read_text())
    assert len(told["q"]) == 12 and len(told["radial_distribution"][0]) == 80 and told["pair"] == ["Be-Be"]


@pytest.mark.parametrize(("words", "why"), [(("--cutoff", 0), "cutoff"), (("--plot", "nowhere/x.png"), "nowhere")])
def test_what_cannot_be_done_is_one_line(words: tuple[object, ...], why: str, folder: Path, command: Command) -> None:
    status, _, err = command("structure", folder / "be.extxyz", *words)
    assert status == 2 and why in err and err.count("\n") == 1
