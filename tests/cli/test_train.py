"""`train` on the command line: errors by snapshot in the end, and what cannot be is a line before a cluster starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from distributed import Client

from maladist.cli.train import _table
from maladist.cluster import Later
from maladist.io.structures import write_frames
from maladist.testing import be_atoms
from maladist.training.train import MODEL
from maladist.training.validation import SnapshotErrors, Validated
from tests.cli.conftest import Command, StandIn
from tests.training.common import config_of


def test_a_model_is_trained_and_its_errors_are_shown(
    small_data_set: Path, tmp_path: Path, client: Client, command: Command
) -> None:
    (tmp_path / "c.yaml").write_text(json.dumps(config_of(small_data_set, epochs=1).to_dict()))
    words = ("--output", tmp_path / "out", "--cluster", client.scheduler.address)
    status, out, err = command("train", tmp_path / "c.yaml", *words)
    assert status == 0 and "network 5-16-16-67" in out and "valid-0" in out
    assert "epoch 1 of 1: loss" in err
    assert command("info", tmp_path / "out" / MODEL).status == 0


@pytest.mark.usefixtures("no_cluster")
def test_a_bad_file_is_one_line_before_anything_is_made(tmp_path: Path, command: Command) -> None:
    (tmp_path / "bad.yaml").write_text("data: {train: x.zarr}\nepoch: 3\n")
    status, _, err = command("train", tmp_path / "bad.yaml", "--output", tmp_path / "out")
    assert status == 2 and "epoch: is not a key" in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_folder_is_called_after_the_file_and_every_option_reaches_the_training(
    small_data_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stand_in: StandIn, command: Command
) -> None:
    calls = stand_in("maladist.train", "a model")
    monkeypatch.chdir(tmp_path)
    Path("be.2.yaml").write_text(json.dumps(config_of(small_data_set, epochs=1).to_dict()))
    status, out, _ = command("train", "be.2.yaml", "--ranks", 3, "--workers", 3)
    assert status == 0 and out == f"{tmp_path}/be.2/model.maladist: a model\n"
    (((config, folder), named),) = calls
    assert (config.epochs, folder) == (1, tmp_path / "be.2")
    assert (named["client"], named["ranks"], named["resume"]) == (Later("local", 3), 3, False)
    assert [one.name for one in named["data"].train] == ["train-0", "train-1", "train-2"]  # looked up once


@pytest.mark.usefixtures("no_cluster")
def test_an_ensemble_is_distilled_on_all_frames_of_all_files_and_every_option_arrives(
    tmp_path: Path, stand_in: StandIn, command: Command
) -> None:
    calls = stand_in("maladist.distil", "a model")
    for name, count in (("a", 2), ("b", 1)):
        write_frames([be_atoms()] * count, tmp_path / f"{name}.extxyz")
    files = (tmp_path / "a.extxyz", tmp_path / "b.extxyz")
    words = ("--output", tmp_path / "out", "--epochs", 3, "--points", 200, "--learning-rate", 0.01, "--seed", 5)
    status, out, _ = command("distil", "be-1000K", *files, *words, "--resume")
    assert status == 0 and out == f"{tmp_path}/out/model.maladist: a model\n"
    (((model, frames, output), named),) = calls
    assert (len(model.members()), len(frames), output) == (3, 3, tmp_path / "out")
    assert named.pop("observer") is not None
    assert named == {"epochs": 3, "points": 200, "learning_rate": 0.01, "seed": 5, "resume": True}


def test_errors_that_the_data_do_not_tell_are_dashes(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    Console(width=200).print(_table(Validated(0.5, (SnapshotErrors("a", band_energy=-1.25, density=0.0123),))))
    row = next(line for line in capsys.readouterr().out.splitlines() if " a " in line)
    assert row.replace("│", " ").split() == ["a", "-1.2", *"–––––", "1.23%"]
