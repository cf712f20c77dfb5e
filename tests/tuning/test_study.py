"""The trials in Optuna's file: proposed, told, found again after an interruption, and another search's refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from maladist import TuneConfig
from maladist.errors import InputError
from maladist.tuning.study import Study, check_output
from maladist.tuning.trial import Outcome
from tests.tuning.test_config import TRAIN

pytest.importorskip("optuna")

AXES = {"network.hidden": [[4], [8, 8]], "optimiser.lr": {"low": 1e-4, "high": 1e-2, "log": True}}


def config_of(**more: Any) -> TuneConfig:
    values = {"train": TRAIN, "search": AXES, "sampler": {"name": "RandomSampler"}, "storage": "journal", **more}
    return TuneConfig.of(values)


def test_values_come_back_as_they_were_written_lists_too(tmp_path: Path) -> None:
    study = Study(config_of(), tmp_path)
    study.propose({"network.hidden": [8, 8], "optimiser.lr": 1e-3})
    assert study.holds({"network.hidden": [8, 8], "optimiser.lr": 1e-3})
    assert not study.holds({"network.hidden": [4], "optimiser.lr": 1e-3})
    trial, values = study.ask()
    assert values == {"network.hidden": [8, 8], "optimiser.lr": 1e-3}
    study.tell(trial, Outcome(0.5, 2.0))
    (row,) = study.rows()
    assert (row["values"], row["state"], row["value"], row["seconds"]) == (values, "complete", 0.5, 2.0)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome(0.5, 1.0), "complete"),
        (Outcome(None, 1.0, "why"), "failed"),
        (Outcome(None, 1.0, stopped=True), "pruned"),
    ],
)
def test_what_came_of_a_trial_is_kept_with_its_reason(outcome: Outcome, state: str, tmp_path: Path) -> None:
    study = Study(config_of(), tmp_path)
    study.tell(study.ask()[0], outcome)
    (row,) = Study(config_of(), tmp_path).rows()
    assert (row["state"], row["reason"]) == (state, outcome.reason)


def test_a_trial_that_was_under_way_is_begun_again_in_its_folder_and_counts_once(tmp_path: Path) -> None:
    study = Study(config_of(), tmp_path)
    trial, values = study.ask()
    again = Study(config_of(), tmp_path)  # the client died, and another call goes on
    assert again.finished() == 0
    second, same = again.ask()
    assert same == values
    assert again.folder(second) == study.folder(trial) == trial.number != second.number
    third = Study(config_of(), tmp_path)  # and again: the folder is still that of the first attempt
    assert third.folder(third.ask()[0]) == trial.number
    assert third.finished() == 0


def test_a_search_that_goes_on_does_not_repeat_its_draws(tmp_path: Path) -> None:
    first = Study(config_of(), tmp_path)
    trial, values = first.ask()
    first.tell(trial, Outcome(1.0, 1.0))
    _, others = Study(config_of(), tmp_path).ask()
    assert others["optimiser.lr"] != values["optimiser.lr"]


def test_an_epoch_that_is_validated_twice_is_noted_once(tmp_path: Path) -> None:
    study = Study(config_of(pruner={"name": "ThresholdPruner", "options": {"upper": 1.0}}), tmp_path)
    trial, _ = study.ask()
    assert not study.judge(trial, 1, 0.5)
    assert not study.judge(trial, 1, 0.5)  # a training that goes on validates its last epoch again
    assert study.judge(trial, 2, 5.0)


def test_what_is_searched_cannot_change_and_how_it_is_run_can(tmp_path: Path) -> None:
    Study(config_of(), tmp_path)
    Study(config_of(trials=99, parallel=3, pruner={"name": "MedianPruner"}), tmp_path)
    with pytest.raises(InputError, match=r"seed: 5, where the search began with 0"):
        Study(config_of(seed=5), tmp_path)


def test_a_folder_of_another_search_is_refused(tmp_path: Path) -> None:
    check_output(config_of(), tmp_path, resume=False)
    (tmp_path / "study.journal").write_text("")
    with pytest.raises(InputError, match=r"holds a search; wanted a new folder\. Give --resume"):
        check_output(config_of(), tmp_path, resume=False)
    check_output(config_of(), tmp_path, resume=True)
    with pytest.raises(InputError, match=r"storage: sqlite, where .* holds a search in study\.journal"):
        check_output(config_of(storage="sqlite"), tmp_path, resume=True)


def test_a_design_is_in_the_queue_from_the_beginning(tmp_path: Path) -> None:
    config = config_of(method="grid")
    Study(config, tmp_path)
    study = Study(config, tmp_path)  # interrupted before the first trial: nothing is proposed twice
    seen = [study.ask()[1] for _ in config.design()]
    assert all(run in seen for run in config.design())
    assert len(study.study.trials) == len(config.design())
