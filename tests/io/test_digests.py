"""Digests: an array's chunks are known by length and checksum, in an order of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maladist.errors import StoreError
from maladist.io.digests import chunk_files, chunks_digest, facts_digest, mark, mark_of


@pytest.fixture
def array(tmp_path: Path) -> Path:
    """An array of 5 × 3 in chunks of 2 × 2."""
    facts = {"shape": [5, 3], "chunk_grid": {"configuration": {"chunk_shape": [2, 2]}}, "node_type": "array"}
    (tmp_path / "zarr.json").write_text(json.dumps(facts))
    for i, file in enumerate(chunk_files(tmp_path)):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes([i] * (i + 5)))
    return tmp_path


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
    before = chunks_digest(map(mark, chunk_files(array)))
    a, b, *_ = chunk_files(array)
    one, two = a.read_bytes(), b.read_bytes()
    a.write_bytes(two)
    b.write_bytes(one)
    assert chunks_digest(map(mark, chunk_files(array))) != before
    facts = json.loads((array / "zarr.json").read_text())
    assert (
        facts_digest(dict(reversed(facts.items()))) == facts_digest(facts) != facts_digest({**facts, "shape": [5, 4]})
    )
