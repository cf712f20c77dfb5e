"""Paths that may be opened: nothing that waits, has no end, or leads in a circle."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from maladist.errors import ModelError
from maladist.io.paths import plain_file


def test_files_and_links_to_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    (tmp_path / "b").symlink_to("a")
    assert plain_file(str(tmp_path / "a")) == tmp_path / "a"
    assert plain_file(tmp_path / "b") == tmp_path / "b"


def test_all_else_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    os.mkfifo("fifo")
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        for path, words in (
            ("fifo", "a FIFO"),
            (".", "a folder"),
            ("one", "a link that leads nowhere"),
            ("socket", "a socket"),
            ("/dev/zero", "a device"),
            ("none", "No such file"),
            ("fifo/below", "No such file"),
            ("x" * 4000, "no file can have"),
            ("nul\0l", "no file can have|No such file"),
        ):
            with pytest.raises(ModelError, match=words) as caught:
                plain_file(path, "a model", "model", ModelError)
            assert str(caught.value).startswith("model: ")
            assert "\n" not in str(caught.value)
