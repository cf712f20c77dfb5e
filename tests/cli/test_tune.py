"""`tune` on the command line: the best trials in a table, and what cannot be is one line before a cluster starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from distributed import Client
from rich.console import Console

from maladist.cli.tune import _table
from maladist.tuning.result import Trial, Tuned
from tests.cli.conftest import Command
from tests.tuning.common import training

pytest.importorskip("optuna")
SEARCH = {"network.hidden": {"choices": [[4], [8]]}}


@pytest.mark.slow
def test_a_search_shows_its_trials_and_what_train_takes(
    small_data_set: Path, tmp_path: Path, client: Client, command: Command
) -> None:
    (tmp_path / "train.yaml").write_text(json.dumps(training(small_data_set)))
    (tmp_path / "t.yaml").write_text(json.dumps({"train": "train.yaml", "search": SEARCH, "method": "grid"}))
    words = ("--output", tmp_path / "out", "--cluster", client.scheduler.address)
    status, out, err = command("tune", tmp_path / "t.yaml", *words)
    assert status == 0 and "2 best of 2 trials" in out and "best.yaml" in out
    assert "trial 1: complete" in err and "from the data's LDOS" in err


@pytest.mark.usefixtures("no_cluster")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"search": {"optimiser.lrr": {"choices": [1, 2]}}}, "optimiser.lrr: is not a key"),
        ({"objective": "total_energy"}, "total_energy, where valid-0 has no "),
    ],
)
def test_a_search_that_cannot_be_is_one_line_before_anything_is_made(
    change: dict[str, object], words: str, small_data_set: Path, tmp_path: Path, command: Command
) -> None:
    told = {"train": training(small_data_set), "search": SEARCH, "method": "grid", **change}
    (tmp_path / "t.yaml").write_text(json.dumps(told))
    status, _, err = command("tune", tmp_path / "t.yaml", "--output", tmp_path / "out")
    assert status == 2 and words in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_table_has_the_best_trials_only_and_the_state_of_those_without_a_value(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = {"total_energy_meV_per_atom": 1.5}
    trials = [Trial(i, {"optimiser.lr": 1e-3 * i}, "complete", 0.5, 2.0, errors=error) for i in range(11)]
    trials.insert(1, Trial(99, {"optimiser.lr": 1.0}, "pruned", 0.25, 1.0))
    Console(width=200).print(_table(Tuned(trials[0], None, tuple(trials), {}), "validation_loss"))  # type: ignore[arg-type]
    said = capsys.readouterr().out
    rows = [line.replace("│", " ").split() for line in said.splitlines()[1:]]
    assert "10 best of 12 trials" in said and "|ΔA|" in said and "|ΔE_b|" not in said
    assert ["0", "0.5", "0", "1.50", "2.0"] in rows
    assert ["99", "pruned", "1", "–", "1.0"] in rows  # its value so far is not that of a whole trial
    assert [row[0] for row in rows if row and row[0].isdigit()] == ["0", "99", *"12345678"]
