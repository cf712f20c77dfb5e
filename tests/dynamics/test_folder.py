"""The folder of a run: one writer, nothing finished lost, nothing of others touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from maladist import MDSettings
from maladist.dynamics.folder import ARGUMENTS, TABLE, TRAJECTORY, read_table, run_folder
from maladist.dynamics.md import propagate
from maladist.dynamics.summary import summarise
from maladist.errors import OutputError, StoreError
from maladist.io.trajectory import whole_frames
from tests.conftest import Disk
from tests.dynamics.wells import Wells, crystal

SETTINGS = MDSettings(steps=6)


def test_a_second_run_is_refused_while_the_first_one_writes(tmp_path: Path) -> None:
    with run_folder(tmp_path / "a", {}), pytest.raises(StoreError, match="being written by another run"):
        propagate(crystal(), Wells(), tmp_path / "a", SETTINGS)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(OutputError, match="holds something else"):
        propagate(crystal(), Wells(), tmp_path, SETTINGS)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_run_without_a_frame_may_be_begun_anew_with_other_arguments(tmp_path: Path) -> None:
    with run_folder(tmp_path / "a", {"verb": "md"}):
        pass
    with pytest.raises(StoreError, match="without a frame"):
        summarise(tmp_path / "a")
    assert propagate(crystal(), Wells(), tmp_path / "a", SETTINGS).n_frames == 7


def test_rows_beyond_the_last_frame_go_and_a_cut_one_too(tmp_path: Path) -> None:
    sparse = MDSettings(steps=6, every=3)
    propagate(crystal(), Wells(), tmp_path / "a", sparse)
    whole = (tmp_path / "a" / TABLE).read_text()
    with (tmp_path / "a" / TABLE).open("a") as table:
        table.write(whole.splitlines()[-1].replace("6,", "7,", 1) + "\n8,8.0,-2")
    assert [s.step for s in read_table(tmp_path / "a")] == [*range(8)]
    propagate(crystal(), Wells(), tmp_path / "a", sparse)
    assert (tmp_path / "a" / TABLE).read_text() == whole


@pytest.mark.parametrize("file", [ARGUMENTS, TABLE])
def test_a_damaged_file_is_named(file: str, tmp_path: Path) -> None:
    propagate(crystal(), Wells(), tmp_path / "a", SETTINGS)
    (tmp_path / "a" / file).write_text("a\nb\n")
    with pytest.raises(StoreError, match=file):
        propagate(crystal(), Wells(), tmp_path / "a", SETTINGS)
    assert whole_frames(tmp_path / "a" / TRAJECTORY) == 7


def test_an_error_of_the_system_that_the_calculator_met_is_not_said_of_the_folder(tmp_path: Path) -> None:
    class Broken(Wells):
        def calculate(self, *arguments: object) -> None:
            raise FileNotFoundError(2, "No such file", "potential.dat")

    with pytest.raises(FileNotFoundError, match=r"potential\.dat"):
        propagate(crystal(), Broken(), tmp_path / "a", SETTINGS)


@pytest.mark.disks
def test_a_disk_that_fills_ends_the_run_and_its_frames_go_on_where_there_is_room(disk: Disk) -> None:
    propagate(crystal(), Wells(), disk.path / "a", SETTINGS)
    long = MDSettings(steps=200)
    disk.leave(12 * os.statvfs(disk.path).f_frsize)
    with pytest.raises(OutputError, match=r"No space left.*the same command goes on") as error:
        propagate(crystal(), Wells(), disk.path / "a", long)
    kept = whole_frames(disk.path / "a" / TRAJECTORY)
    assert 7 < kept < 200 and f"frames kept: {kept}" in error.value.__notes__[0]
    disk.free()
    propagate(crystal(), Wells(), disk.path / "a", long)
    propagate(crystal(), Wells(), disk.path / "b", long)
    assert (disk.path / "a" / TABLE).read_text() == (disk.path / "b" / TABLE).read_text()
    assert whole_frames(disk.path / "a" / TRAJECTORY) == 201
