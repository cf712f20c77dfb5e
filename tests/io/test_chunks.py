"""Chunks: whole or refused, and none without its store."""

from __future__ import annotations

from pathlib import Path

import google_crc32c
import pytest

from maladist.errors import GridError, StoreError
from maladist.io.chunks import ChunkStore, reading, whole


def test_a_checksum_finds_every_flipped_bit() -> None:
    def sealed(content: bytes) -> bytes:
        return content + google_crc32c.value(content).to_bytes(4, "little")

    content = sealed(b"numbers")
    assert whole(content) and whole(sealed(b""))
    for at in range(len(content)):
        for bit in range(8):
            assert not whole(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
    assert not whole(b"") and not whole(content[:3])


def test_a_store_that_was_removed_does_not_come_back_as_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ChunkStore(tmp_path / "gone")._ensure_open_sync()
    assert not (tmp_path / "gone").exists()


def test_whatever_a_reader_raises_is_one_line_and_our_own_errors_go_through(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"its ldos cannot be read \(KeyError: 'shape'\)"), reading(tmp_path, "ldos"):
        raise KeyError("shape")
    with pytest.raises(GridError), reading(tmp_path):
        raise GridError("grid", "a", "b")
