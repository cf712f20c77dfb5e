"""Targets: refused before the work, written whole or not at all, a full or read-only disk in one line."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from maladist.errors import OutputError
from maladist.io import targets
from tests.conftest import Disk


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for content in ("one", b"two"):
        targets.write_whole(path, content)
    assert path.read_text() == "two" and [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_writer_that_fails_leaves_all_files_as_they_were(tmp_path: Path) -> None:
    old, new = tmp_path / "old.txt", tmp_path / "new.txt"
    old.write_text("old")
    with pytest.raises(KeyError), targets.whole([old, new]) as beside:
        for path in beside:
            path.write_text("half")
        raise KeyError
    assert old.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["old.txt"]


def test_a_link_stays_a_link_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "there" / "a.json")
    targets.write_whole(targets.check_file(link), "x")
    assert link.is_symlink() and (tmp_path / "there" / "a.json").read_text() == "x"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    targets.write_whole(targets.check_file(pipe), "x")
    assert os.read(reader, 9) == b"x" and pipe.is_fifo()
    os.close(reader)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: p.mkdir(), "is a folder"),
        (lambda p: p.write_text(""), "exists; wanted a new file"),
        (lambda p: p.parent.rename(p.parent.with_name("away")), "is not a folder"),
    ],
)
def test_a_file_that_could_not_be_made_is_refused(make, said: str, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.json"
    path.parent.mkdir()
    make(path)
    with pytest.raises(OutputError, match=said):
        targets.check_file(path, overwrite=False)


def test_a_folder_that_is_a_file_or_has_no_parent_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        targets.check_folder(tmp_path / "file")
    with pytest.raises(OutputError, match="is not a folder"):
        targets.check_folder(tmp_path / "no" / "such")
    targets.check_folder(tmp_path / "no" / "such", parents=True)
    with pytest.raises(OutputError, match="is not a folder"):
        targets.check_folder(tmp_path / "file" / "such" / "one", parents=True)


@pytest.mark.disks
def test_a_full_disk_is_named_and_keeps_the_old_file(disk: Disk) -> None:
    path = disk.path / "a.json"
    targets.write_whole(path, "old")
    disk.leave(4096)
    with pytest.raises(OutputError, match=r"a\.json cannot be written \(No space left on device\)"):
        targets.write_whole(path, b"x" * 10**6)
    assert path.read_text() == "old" and sorted(p.name for p in disk.path.iterdir()) == ["a.json", "fill"]


@pytest.mark.disks
def test_a_read_only_disk_is_refused_before_anything_is_computed(disk: Disk) -> None:
    disk.read_only()
    for check in (targets.check_file, targets.check_folder):
        with pytest.raises(OutputError, match="read-only"):
            check(disk.path / "a", "json")
    with pytest.raises(OutputError, match="Read-only file system"):
        targets.write_whole(disk.path / "a", "x")


def test_an_error_of_the_system_names_the_file_that_it_is_about() -> None:
    said = targets.refusal(OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), "/data/a"))
    assert "/data/a cannot be written (Disk quota exceeded)" in str(said) and "\n" not in str(said)
