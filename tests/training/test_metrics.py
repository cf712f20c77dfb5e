"""What a training tells of its epochs: one line, one row, and no number that is not known."""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from maladist.errors import DependencyError
from maladist.learning.loss import FORCES, TERMS
from maladist.training.metrics import EpochReport, Metrics
from maladist.training.validation import SnapshotErrors, Validated


def report(epoch: int, *terms: float, validation: Validated | None = None) -> EpochReport:
    every = (*terms, *[0.0] * (len((*TERMS, FORCES)) - len(terms)))
    return EpochReport(epoch, 9, 0.123456, every, 1e-3, validation)


VALIDATED = Validated(0.5, (SnapshotErrors("a", 3.0, -4.0, 0.01), SnapshotErrors("b", -5.0, 2.0, 0.03)))


def test_beside_a_bar_only_validations_have_a_line() -> None:
    assert report(3, 0.25).line(bar=True) == ""
    assert report(3, 0.25).line(bar=False) == "epoch 3 of 9: loss 0.25, 0.12 s"
    said = report(3, 0.25, validation=VALIDATED).line(bar=True)
    assert said.endswith("validation loss 0.5, |ΔE_b| 4.0 meV/atom, |ΔA| 3.0 meV/atom, |Δn|/n 2.00%")


def test_terms_are_columns_only_where_there_are_several() -> None:
    assert not any(name.startswith("loss_") for name in report(1, 0.25).to_dict())
    row = report(1, 0.25, 0.5).to_dict()
    assert (row["loss"], row[f"loss_{TERMS[0]}"], row[f"loss_{TERMS[1]}"]) == (0.75, 0.25, 0.5)
    assert sum(name.startswith("loss_") for name in row) == 2  # none for terms without a weight


def test_the_table_has_the_columns_of_all_epochs_and_gaps_where_there_was_no_validation(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path, tensorboard=False)
    for one in (report(1, 0.5), report(2, 0.25, validation=VALIDATED)):
        metrics.add(one)
    metrics.write()
    first, second = csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines())
    assert first["validation_loss"] == "" and float(second["band_energy_meV_per_atom"]) == 4.0


def test_errors_that_are_infinite_leave_a_gap_in_the_table() -> None:
    lost = Validated(0.5, (SnapshotErrors("a", math.inf, math.inf, math.inf),))
    assert set(lost.to_dict()) == {"validation_loss"}


def test_tensorboard_that_is_not_installed_is_told_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard.writer", None)
    with pytest.raises(DependencyError, match=r"pip install maladist\[train\]"):
        Metrics(tmp_path, tensorboard=True)
    assert not (tmp_path / "tensorboard").exists()


class Wandb(ModuleType):
    """What of Weights & Biases' package is called, without a server."""

    Error = type("Error", (Exception,), {})

    def __init__(self, fails: bool = False) -> None:
        super().__init__("wandb")
        self.fails, self.begun, self.logged, self.finished = fails, list[dict[str, Any]](), list[Any](), 0

    def Settings(self, **given: Any) -> dict[str, Any]:
        return given

    def init(self, **given: Any) -> Wandb:
        if self.fails:
            raise self.Error("no API key")
        self.begun.append(given)
        return self

    def log(self, row: dict[str, object], step: int) -> None:
        self.logged.append((step, row))

    def finish(self) -> None:
        self.finished += 1


def test_wandb_gets_each_epoch_and_a_training_that_goes_on_has_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", told := Wandb())
    for epoch in (1, 2):
        metrics = Metrics(tmp_path, tensorboard=False, wandb="be", config={"seed": 3})
        metrics.add(report(epoch, 0.25))
        metrics.close()
    first, second = told.begun
    assert first["project"] == "be" and first["config"] == {"seed": 3} and first["id"] == second["id"]
    assert [step for step, _ in told.logged] == [1, 2] and told.finished == 2
    assert told.logged[0][1] == {"seconds": 0.1235, "learning_rate": 1e-3, "loss": 0.25}


def test_wandb_that_is_not_installed_or_not_logged_in_is_told_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(DependencyError, match="pip install wandb"):
        Metrics(tmp_path, tensorboard=False, wandb="be")
    monkeypatch.setitem(sys.modules, "wandb", Wandb(fails=True))
    with pytest.raises(DependencyError, match=r"no API key.*WANDB_MODE=offline"):
        Metrics(tmp_path, tensorboard=False, wandb="be")
