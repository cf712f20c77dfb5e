"""`rank` on the command line: what it hands over, writes and prints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ase.io import read

from maladist.prediction.rank import Ranked
from tests.cli.conftest import Command, StandIn


def test_chosen_cells_are_written_in_their_order_and_named_by_file_and_frame(
    folder: Path, tmp_path: Path, command: Command, stand_in: StandIn
) -> None:
    chosen = [Ranked(2, 1.0, 0.3, 1.4, 0.02), Ranked(1, 0.5, 0.1, 0.9, None)]
    calls, pool = stand_in("maladist.rank", chosen), folder / "be.extxyz"
    output, figures = tmp_path / "chosen.extxyz", tmp_path / "why.json"
    words = ("--count", 2, "--output", output, "--json", figures, "--points", 50, "--precision", "float64")
    status, out, err = command("rank", folder / "model.maladist", pool, f"{pool}@0", *words)
    assert status == 0, err
    (model, frames, count), named = calls[0]
    assert (model, len(frames), count) == (folder / "model.maladist", 3, 2)
    assert (named["points"], named["precision"]) == (50, "float64")
    assert out.splitlines()[-1] == f"2 configurations in {output}"
    written, (moved, still) = read(output, ":"), read(pool, ":")
    np.testing.assert_allclose(written[0].positions, moved.positions, atol=1e-7)
    np.testing.assert_allclose(written[1].positions, still.positions, atol=1e-7)
    told = json.loads(figures.read_text())
    assert [(one["file"], one["frame"], one["spread"]) for one in told] == [
        (f"{pool}@0", 0, 0.02),
        (str(pool), 1, None),
    ]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("be.extxyz", "--count", 1, "--output", "old.extxyz"), "exists"),
        (("--count", 1, "--output", "x.extxyz"), "frames"),
        (("nothing.traj", "--count", 1, "--output", "x.extxyz"), "nothing.traj"),
    ],
)
def test_what_cannot_be_done_is_one_line_before_a_cluster_starts(
    words: tuple[object, ...],
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Command,
    no_cluster: None,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old.extxyz").write_text("mine")
    status, _, err = command("rank", "be-1000K", *words)
    assert status == 2 and why in err and err.count("\n") == 1
