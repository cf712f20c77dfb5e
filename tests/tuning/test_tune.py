"""Searches: find what is better, lose nothing to deaths and Ctrl-C, name wrong keys, write what `train` takes."""

from __future__ import annotations

import csv
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client

from maladist import TrainConfig, TuneConfig, cluster, tune
from maladist.errors import InputError, OutputError, StoreError
from maladist.parallel.progress import Finished, Silent
from maladist.testing import Listener
from maladist.tuning.result import Trial
from maladist.tuning.tune import BEST, TRIALS, _Search
from tests.conftest import Disk
from tests.tuning.common import training

pytest.importorskip("optuna")


LR = {"optimiser.lr": {"low": 1e-5, "high": 1e-2, "log": True}}


def search(store: Path, search: dict[str, Any] | None = None, train: dict[str, Any] | None = None, **more: Any) -> Any:
    return TuneConfig.of({"train": training(store, **(train or {})), "search": search or LR, **more})


def numbers(trials: tuple[Trial, ...]) -> list[int]:
    return sorted(t.number for t in trials)


# -- what it is told --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"sampler": {"name": "TPE"}}, r"sampler\.name: 'TPE'; wanted one of .*TPESampler"),
        ({"sampler": {"name": "GridSampler"}}, r"sampler\.name: GridSampler.*method: grid"),
        ({"sampler": {"name": "TPESampler", "options": {"foo": 1}}}, r"sampler\.options: .*foo"),
        ({"pruner": {"name": "TPESampler"}}, r"pruner\.name: .*MedianPruner"),
        ({"pruner": {"name": "MedianPruner", "options": {"n_warmup_steps": -1}}}, r"pruner\.options: "),
    ],
)
def test_what_optuna_does_not_have_is_refused_at_once(
    small_data_set: Path, tmp_path: Path, more: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        tune(search(small_data_set, **more), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_trials_share_samples_only_where_these_are_the_same(
    small_data_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The samples hold u(r), densities and labels of forces only for a trial that learns them."""
    made: list[TrainConfig] = []
    monkeypatch.setattr("maladist.tuning.tune.find_data", lambda config: config)
    monkeypatch.setattr("maladist.tuning.tune.prepare", lambda config, *_: made.append(config) or object())
    config = search(small_data_set)
    trials = _Search(config, tmp_path, None, None, None)  # type: ignore[arg-type]

    def prepared(**more: Any) -> Any:
        return trials._prepared(TrainConfig.of(training(small_data_set, **more)))

    loss = {"forces": 0.0, "mean_total": 0.0}
    first = prepared(loss=loss)
    different = [{"loss": {**loss, key: 0.1}} for key in loss] + [{"density_channel": "off"}]
    for number, more in enumerate(different, start=2):
        assert prepared(**more) is not first
        assert len(made) == number
    assert prepared(loss=loss, epochs=9) is first
    assert prepared(loss={**loss, "forces": 0.1}) is prepared(loss={**loss, "forces": 1.0})
    assert len(made) == 1 + len(different)


# -- searches ---------------------------------------------------------------------------------------------------------


def test_a_search_prefers_a_rate_that_learns_and_writes_what_train_takes(
    small_data_set: Path, tmp_path: Path, client: Client
) -> None:
    axes = {"optimiser.lr": {"choices": [1e-9, 1e-2]}, "network.hidden": {"choices": [[4], [8, 8]]}}
    found = tune(search(small_data_set, axes, method="grid"), tmp_path / "out", client=client)
    assert len(found.trials) == 4
    values = [t.value for t in found.trials]
    assert values == sorted(values)  # type: ignore[type-var]
    assert found.best.values["optimiser.lr"] == 1e-2
    again = TrainConfig.read(tmp_path / "out" / BEST)
    assert again == found.config
    assert (again.optimiser.lr, again.network.hidden) == (1e-2, found.best.values["network.hidden"])
    table = (tmp_path / "out" / TRIALS).read_text().splitlines()
    assert len(table) == 5 and "band_energy_from_data_meV_per_atom" in table[0]
    assert found.best.errors["validation_loss"] == found.best.value


def test_repeated_trainings_are_averaged_and_their_spread_is_told(
    small_data_set: Path, tmp_path: Path, client: Client
) -> None:
    told, output = Listener(), tmp_path / "out"
    config = search(small_data_set, {"optimiser.lr": [1e-3, 1e-2]}, {"epochs": 1}, method="grid", repeats=2)
    found = tune(config, output, client=client, observer=told)
    for trial in found.trials:
        assert trial.value == trial.errors["validation_loss"] and trial.errors["spread"] > 0
        each = [validation_loss(path) for path in sorted(output.glob(f"trial-{trial.number}/**/metrics.csv"))]
        assert len(each) == 2 and each[0] != each[1]
        assert trial.value == pytest.approx(np.mean(each), rel=1e-4)
        assert trial.errors["spread"] == pytest.approx(np.std(each, ddof=1), rel=1e-3)
    assert "spread" in (output / TRIALS).read_text().splitlines()[0]
    assert not list(output.glob("**/checkpoint*"))
    assert " ± " in found.best.line(bar=False)


def validation_loss(metrics: Path) -> float:
    (row,) = csv.DictReader(metrics.read_text().splitlines())
    return float(row["validation_loss"])


@pytest.mark.parametrize("storage", ["sqlite", "journal"])
def test_a_stopped_search_keeps_what_is_finished_and_goes_on(
    small_data_set: Path, tmp_path: Path, client: Client, storage: str
) -> None:
    seen: list[Trial] = []

    class StopAfterTwo(Silent):
        def advance(self, task: Finished) -> None:
            assert isinstance(task, Trial)
            seen.append(task)
            if len(seen) == 2:
                raise KeyboardInterrupt

    config = search(small_data_set, trials=5, storage=storage)
    with pytest.raises(KeyboardInterrupt):
        tune(config, tmp_path / "out", client=client, observer=StopAfterTwo())
    TrainConfig.read(tmp_path / "out" / BEST)
    with pytest.raises(InputError, match=r"holds a search.*--resume"):
        tune(config, tmp_path / "out", client=client)
    with pytest.raises(InputError, match="seed: 1, where the search began with 0"):
        tune(config.model_copy(update={"seed": 1}), tmp_path / "out", client=client, resume=True)
    found = tune(config, tmp_path / "out", client=client, resume=True)
    assert len(found.trials) == 5
    kept = {t.number: t for t in found.trials}
    assert all(kept[t.number] == t for t in seen)
    assert len({t.values["optimiser.lr"] for t in found.trials}) == 5
    assert max(numbers(found.trials)) >= 5  # what was under way was begun again, as a trial of its own
    more = tune(config.model_copy(update={"trials": 6}), tmp_path / "out", client=client, resume=True)
    assert len(more.trials) == 6


@pytest.mark.slow
def test_a_killed_workers_trial_goes_on_and_ends_with_the_same_number(small_data_set: Path, tmp_path: Path) -> None:
    """Dask is told to give up at the first death, so that it is the search that begins the trial again."""
    train = {"epochs": 60, "validate_every": 20}
    config = search(small_data_set, {"optimiser.lr": {"choices": [1e-4, 1e-2]}}, train, method="grid", parallel=1)
    heard = Listener()
    with cluster("local", workers=2) as client:
        client.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 0))
        whole = tune(config, tmp_path / "whole", client=client)
        killed = threading.Thread(target=_kill_the_worker_of_a_trial, args=(client, tmp_path / "out"))
        killed.start()
        found = tune(config, tmp_path / "out", client=client, observer=heard)
        killed.join()
    assert any("lost its workers" in text for text in heard.notes)
    assert [t.value for t in found.trials] == [t.value for t in whole.trials]
    for number in (0, 1):
        rows = (tmp_path / "out" / f"trial-{number}" / "metrics.csv").read_text().splitlines()
        assert [int(row.split(",")[0]) for row in rows[1:]] == list(range(1, 61))


def _kill_the_worker_of_a_trial(client: Client, output: Path) -> None:
    """SIGKILL to the process that runs the first trial, once that has a checkpoint."""
    pids = client.run(os.getpid)
    while not (output / "trial-0" / "checkpoint.pt").exists():
        time.sleep(0.002)
    busy = [address for address, keys in client.processing().items() if any(str(k).startswith("tune-") for k in keys)]
    os.kill(pids[busy[0]], signal.SIGKILL)


def test_a_trial_whose_values_do_not_go_together_costs_only_itself(
    small_data_set: Path, tmp_path: Path, client: Client
) -> None:
    axes = {"network.hidden": {"choices": [[8, 8], [8]]}, "batch.points": {"choices": [64, 2000, 32]}}
    found = tune(search(small_data_set, axes, method="grid"), tmp_path / "out", client=client)
    states = {t.values["batch.points"]: t for t in found.trials}
    assert states[2000].state == "failed"
    assert "batch.points" in states[2000].reason
    assert states[64].state == states[32].state == "complete"
    nothing = search(small_data_set, {"batch.points": {"choices": [1000, 2000]}}, method="grid")
    with pytest.raises(InputError, match=r"no trial that gave a number \(batch.points"):
        tune(nothing, tmp_path / "none", client=client)


@pytest.mark.slow
def test_a_pruner_ends_hopeless_trials_early(small_data_set: Path, tmp_path: Path, client: Client) -> None:
    axes = {"optimiser.lr": {"choices": [1e-2, 1e-8]}}
    pruner = {"name": "MedianPruner", "options": {"n_startup_trials": 1}}
    config = search(small_data_set, axes, {"epochs": 100}, method="grid", parallel=1, pruner=pruner)
    found = tune(config, tmp_path / "out", client=client)
    assert [(t.state, t.values["optimiser.lr"]) for t in found.trials] == [("complete", 1e-2), ("pruned", 1e-8)]
    metrics = tmp_path / "out" / "trial-1" / "metrics.csv"
    assert len(metrics.read_text().splitlines() if metrics.exists() else []) < 101


def test_an_orthogonal_array_finds_the_best_levels(small_data_set: Path, tmp_path: Path, client: Client) -> None:
    axes = {
        "optimiser.lr": {"choices": [1e-9, 1e-2]},
        "network.hidden": {"choices": [[8], [4]]},
        "batch.points": {"choices": [64, 32]},
    }
    found = tune(search(small_data_set, axes, {"epochs": 4}, method="oat"), tmp_path / "out", client=client)
    assert len(found.trials) in (4, 5)  # the fifth is the best level of each, where it was not among the four
    assert found.effects["optimiser.lr"]["0.01"] < found.effects["optimiser.lr"]["1e-09"]
    assert found.best.values["optimiser.lr"] == 1e-2


@pytest.mark.parametrize(
    ("objective", "axes"),
    [
        ("naswot", {"network.hidden": {"choices": [[4], [64]]}}),
        ("jacobian", {"network.hidden": {"choices": [[4], [64]]}}),
        ("acsd", {"descriptor.cutoff": {"low": 2.5, "high": 3.5, "levels": 2}}),
        ("mutual_information", {"descriptor.twojmax": {"low": 2, "high": 4, "step": 2}}),
    ],
)
def test_measures_without_training_rank_without_training(
    small_data_set: Path, tmp_path: Path, client: Client, objective: str, axes: dict[str, Any]
) -> None:
    config = search(small_data_set, axes, objective=objective, method="grid", points=100)
    found = tune(config, tmp_path / "out", client=client)
    assert [t.state for t in found.trials] == ["complete"] * 2
    first, second = (t.value for t in found.trials)
    assert first is not None and second is not None
    assert first < second if objective == "acsd" else first > second
    if objective in ("naswot", "jacobian"):
        assert found.best.values["network.hidden"] == [64]
    assert not list((tmp_path / "out").glob("trial-*"))
    twice = tune(config, tmp_path / "again", client=client)
    assert [t.value for t in twice.trials] == [first, second]


# -- one writer, full disks ------------------------------------------------------------------------------------------


def test_of_two_searches_in_one_folder_the_second_is_told(small_data_set: Path, tmp_path: Path, client: Client) -> None:
    config, said = search(small_data_set, trials=2), []

    class Intruder(Listener):
        def advance(self, task: object) -> None:
            super().advance(task)
            with pytest.raises(StoreError, match="is being written by another run") as caught:
                tune(config, tmp_path / "out", client=client, resume=True)
            said.append(str(caught.value))

    assert len(tune(config, tmp_path / "out", client=client, observer=Intruder()).trials) == 2
    assert len(said) == 2 and not any("\n" in line for line in said)


@pytest.mark.disks
@pytest.mark.parametrize("room", [20_000, 160_000])
@pytest.mark.parametrize("storage", ["sqlite", "journal"])
def test_trials_that_found_no_room_do_not_count_as_finished(
    room: int, storage: str, small_data_set: Path, disk: Disk, client: Client
) -> None:
    """Whether the study, the samples or a checkpoint was the first that did not fit."""
    config, output = search(small_data_set, trials=2, storage=storage), disk.path / "out"
    disk.leave(room)
    with pytest.raises((OutputError, OSError)) as caught:
        tune(config, output, client=client)
    assert "\n" not in str(caught.value) and not (output / BEST).exists()
    disk.free()
    found = tune(config, output, client=client, resume=True)
    assert len(found.trials) == 2 and {t.state for t in found.trials} == {"complete"}
