"""Trajectories keep every frame that was finished, to the bit, whatever happens to their end."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io.trajectory import Trajectory

from maladist.errors import StoreError
from maladist.io.trajectory import append_frame, keep_whole_frames, last_frame, whole_frames


def frame(number: int) -> Atoms:
    positions = np.random.default_rng(number).normal(size=(3, 3))
    return Atoms("Be3", positions, cell=[4, 5, 6], pbc=True, momenta=positions / 3, info={"step": number})


def holds(path: Path, count: int) -> bool:
    with Trajectory(path) as reader:
        return len(reader) == count and all(
            np.array_equal(reader[i].positions, frame(i).positions)
            and np.array_equal(reader[i].get_momenta(), frame(i).get_momenta())
            for i in range(count)
        )


def test_frames_come_back_to_the_bit_and_may_be_many(tmp_path: Path) -> None:
    path = tmp_path / "a.traj"
    assert last_frame(path) == (0, None)
    for number in range(45):  # past 42, where the format's table of frames is written anew
        append_frame(path, frame(number))
    assert holds(path, 45) and whole_frames(path) == 45
    count, last = last_frame(path)
    assert count == 45 and last is not None and last.info == {"step": 44}


@pytest.mark.parametrize("lost", [1, 100, 400])
def test_a_lost_end_is_cut_off_and_the_next_frame_follows_the_last_whole_one(lost: int, tmp_path: Path) -> None:
    path = tmp_path / "a.traj"
    for number in range(5):
        append_frame(path, frame(number))
    os.truncate(path, path.stat().st_size - lost)
    count, last = keep_whole_frames(path)
    assert 3 <= count < 5 and last is not None and last.info == {"step": count - 1}
    for number in range(count, 6):
        append_frame(path, frame(number))
    assert holds(path, 6)


def test_what_a_dying_process_left_of_a_frame_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.traj"
    append_frame(path, frame(0))
    with path.open("ab") as file:
        file.write(b"part of a frame")
    assert keep_whole_frames(path)[0] == 1
    append_frame(path, frame(1))
    assert holds(path, 2)


@pytest.mark.parametrize("content", [b"", b"- of UlmASE-Trajectory"])
def test_a_file_that_never_had_a_frame_is_begun_anew(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.traj"
    path.write_bytes(content)
    assert keep_whole_frames(path) == (0, None)
    append_frame(path, frame(0))
    assert holds(path, 1)


def test_another_file_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.traj"
    path.write_bytes(b"x" * 1000)
    with pytest.raises(StoreError, match=r"a\.traj cannot be read"):
        keep_whole_frames(path)
    assert path.read_bytes() == b"x" * 1000
