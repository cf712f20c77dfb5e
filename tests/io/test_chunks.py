"""Chunks: known by length and checksum, in an order of their own, written only by the owner of their store."""

from __future__ import annotations

import json
from pathlib import Path

import google_crc32c
import pytest

from maladist.errors import GridError, StoreError
from maladist.io.chunks import ChunkStore, chunk_files, chunks_digest, mark, mark_of, metadata_digest, reading, whole


def sealed(content: bytes) -> bytes:
    return content + google_crc32c.value(content).to_bytes(4, "little")


@pytest.fixture
def array(tmp_path: Path) -> Path:
    """An array of 5 × 3 in chunks of 2 × 2."""
    facts = {"shape": [5, 3], "chunk_grid": {"configuration": {"chunk_shape": [2, 2]}}, "node_type": "array"}
    (tmp_path / "zarr.json").write_text(json.dumps(facts))
    for i, file in enumerate(chunk_files(tmp_path)):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(sealed(bytes([i] * (i + 1))))
    return tmp_path


def test_a_checksum_finds_every_flipped_bit() -> None:
    content = sealed(b"numbers")
    assert whole(content) and whole(sealed(b""))
    for at in range(len(content)):
        for bit in range(8):
            assert not whole(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
    assert not whole(b"") and not whole(content[:3])


def test_chunks_come_in_the_order_of_c_ragged_ones_too(array: Path) -> None:
    names = [str(f.relative_to(array)) for f in chunk_files(array)]
    assert names == ["c/0/0", "c/0/1", "c/1/0", "c/1/1", "c/2/0", "c/2/1"]
    assert [str(f.relative_to(array)) for f in chunk_files(array, 2, 5)] == names[2:5]
    assert [str(f.relative_to(array)) for f in chunk_files(array, 5, 99)] == names[5:]


def test_a_mark_is_the_length_and_the_checksum(array: Path) -> None:
    first = next(iter(chunk_files(array)))
    content = first.read_bytes()
    assert mark(first) == mark_of(content) == len(content).to_bytes(8, "little") + content[-4:]
    first.unlink()
    with pytest.raises(StoreError, match="cannot be read"):
        mark(first)


def test_chunks_that_change_places_change_the_digest_and_an_order_of_keys_does_not(array: Path) -> None:
    before, metadata = chunks_digest(array), metadata_digest(array)
    a, b, *_ = chunk_files(array)
    one, two = a.read_bytes(), b.read_bytes()
    a.write_bytes(two)
    b.write_bytes(one)
    assert chunks_digest(array) != before
    facts = json.loads((array / "zarr.json").read_text())
    (array / "zarr.json").write_text(json.dumps(dict(reversed(facts.items()))))
    assert metadata_digest(array) == metadata


def test_a_store_that_was_removed_does_not_come_back_as_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ChunkStore(tmp_path / "gone")._ensure_open_sync()
    assert not (tmp_path / "gone").exists()


def test_whatever_a_reader_raises_is_one_line_and_our_own_errors_go_through(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"its ldos cannot be read \(KeyError: 'shape'\)"), reading(tmp_path, "ldos"):
        raise KeyError("shape")
    with pytest.raises(GridError), reading(tmp_path):
        raise GridError("grid", "a", "b")
