"""A training that is killed, resumed, met by another one or short of disk ends and goes on as promised."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from distributed import Client

from maladist import load_model, train
from maladist.errors import DataFileError, InputError, OutputError, StoreError
from maladist.io import ownership
from maladist.testing import Listener
from maladist.training.metrics import EpochReport
from maladist.training.train import CHECKPOINT, MODEL
from tests.conftest import Disk
from tests.training.common import config_of, equal, metrics

KILLED = """
import os, signal, sys
import maladist
from maladist.parallel.progress import Silent

class Killer(Silent):
    def advance(self, task):
        if task.epoch == 4:
            os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    config = maladist.TrainConfig.read(sys.argv[1])
    with maladist.cluster(sys.argv[3]) as client:
        maladist.train(config, sys.argv[2], client=client, observer=Killer())
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_numbers(small_data_set: Path, tmp_path: Path, client: Client) -> None:
    """Killed with -9 before the checkpoint of its fourth epoch; every kind of state is in use."""
    config = config_of(
        small_data_set,
        network={"hidden": [16], "dropout": 0.1},
        epochs=7,
        average=0.9,
        early_stopping={"metric": "band_energy", "patience": 50},
        loss={"ldos": 1.0, "mean_band": 0.01},
    )
    (tmp_path / "c.yaml").write_text(json.dumps(config.to_dict()))
    (tmp_path / "killed.py").write_text(KILLED)
    arguments = [str(tmp_path / "c.yaml"), str(tmp_path / "out"), client.scheduler.address]
    ended = subprocess.run([sys.executable, str(tmp_path / "killed.py"), *arguments], capture_output=True, timeout=120)
    assert ended.returncode == -9, ended.stderr.decode()
    assert torch.load(tmp_path / "out" / CHECKPOINT, weights_only=True)["epoch"] == 3

    whole = train(config, tmp_path / "whole", client=client)
    told = Listener()
    resumed = train(config, tmp_path / "out", client=client, resume=True, observer=told)
    assert [r.epoch for r in told.tasks if isinstance(r, EpochReport)] == [4, 5, 6, 7]
    assert equal(resumed, whole)
    tables = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in metrics(tmp_path / name)]
        for name in ("out", "whole")
    ]
    assert tables[0] == tables[1]
    again = train(config, tmp_path / "out", client=client, resume=True)
    assert equal(again, whole), "a finished run that is resumed is what it was"


def test_an_output_is_resumed_only_by_its_own_configuration(
    small_data_set: Path, tmp_path: Path, client: Client
) -> None:
    config = config_of(small_data_set, validation=False, epochs=2, schedule=None)
    train(config, tmp_path / "out", client=client)
    with pytest.raises(InputError, match=r"output: .* holds a training.*--resume"):
        train(config, tmp_path / "out", client=client)
    other = config_of(small_data_set, validation=False, epochs=2, schedule=None, network={"hidden": [8]})
    with pytest.raises(InputError, match=r"network\.hidden: .*the same configuration"):
        train(other, tmp_path / "out", client=client, resume=True)
    longer = config_of(small_data_set, validation=False, epochs=3, schedule=None)
    train(longer, tmp_path / "out", client=client, resume=True)
    straight = train(longer, tmp_path / "straight", client=client)
    assert equal(load_model(tmp_path / "out" / MODEL), straight)
    (tmp_path / "out" / CHECKPOINT).write_bytes(b"PK\x03\x04 not a checkpoint")
    with pytest.raises(DataFileError, match="a checkpoint"):
        train(longer, tmp_path / "out", client=client, resume=True)


# -- one writer, full disks ------------------------------------------------------------------------------------------


def test_of_two_trainings_in_one_folder_the_second_is_told_and_the_first_goes_on(
    small_data_set: Path, tmp_path: Path, client: Client
) -> None:
    """At every epoch of one, another begins in its folder, anew and to go on."""
    config, said = config_of(small_data_set, epochs=3), []

    class Intruder(Listener):
        def advance(self, task: object) -> None:
            super().advance(task)
            for resume in (False, True):
                with pytest.raises(StoreError, match=r"out is being written by another run \(process") as caught:
                    train(config, tmp_path / "out", client=client, resume=resume)
                said.append(str(caught.value))

    model = train(config, tmp_path / "out", client=client, observer=Intruder())
    assert equal(model, train(config, tmp_path / "alone", client=client)) and len(said) >= 6
    assert not any("\n" in line for line in said)


def test_a_training_whose_folder_was_taken_over_writes_no_checkpoint(
    small_data_set: Path, tmp_path: Path, client: Client
) -> None:
    """As one on another machine, thought dead, that wakes up."""

    class Thief(Listener):
        def advance(self, task: object) -> None:
            super().advance(task)
            ownership.write_owner(ownership.new_claim(tmp_path / "out"))

    with pytest.raises(StoreError, match="now belongs to another run"):
        train(config_of(small_data_set, epochs=3), tmp_path / "out", client=client, observer=Thief())
    assert not (tmp_path / "out" / CHECKPOINT).exists() and not (tmp_path / "out" / MODEL).exists()


@pytest.mark.disks
@pytest.mark.parametrize("room", [8_000, 120_000])
def test_a_training_on_a_full_disk_ends_in_one_line_and_goes_on_with_room(
    room: int, small_data_set: Path, disk: Disk, client: Client
) -> None:
    config, output = config_of(small_data_set), disk.path / "out"
    disk.leave(room)
    with pytest.raises(OutputError, match="No space left on device") as caught:
        train(config, output, client=client)
    assert "\n" not in str(caught.value) and not (output / MODEL).exists()
    disk.free()
    assert train(config, output, client=client, resume=True).provenance["epochs"] == 4
