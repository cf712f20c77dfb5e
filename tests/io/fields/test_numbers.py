"""Numbers of a text file in pieces: none is cut, lost, or made up at the border of two pieces."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest

from maladist.errors import DataFileError
from maladist.io.fields import numbers
from maladist.io.fields.numbers import NumberStream, open_numbers, write_numbers


def stream_of(text: bytes) -> NumberStream:
    return NumberStream(io.BytesIO(text), Path("a.cube"))


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 64])
def test_numbers_are_the_same_whatever_the_pieces(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "_PIECE", piece)
    wanted = np.random.default_rng(0).standard_normal(50) * 1e5
    text = io.StringIO()
    write_numbers(text, wanted, per_line=4)
    stream = stream_of(text.getvalue().encode())
    found = np.concatenate([stream.take(n) for n in (1, 19, 0, 30)])
    stream.end()
    assert np.allclose(found, wanted, rtol=1e-8, atol=0)


def test_nine_digits_give_a_float32_back() -> None:
    wanted = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    text = io.StringIO()
    write_numbers(text, wanted)
    assert np.array_equal(stream_of(text.getvalue().encode()).take(1000).astype(np.float32), wanted)


@pytest.mark.parametrize("piece", [3, 2**20])
@pytest.mark.parametrize(
    ("text", "count", "words"),
    [
        (b"1.0 2.0\n", 3, "1 numbers are missing of the next 3"),
        (b"1.0 2.0 3.0\n", 2, "more numbers"),
        (b"1.0 inf\n", 2, "not finite"),
        (b"1.0 1e31\n", 2, "beyond"),
        (b"1.0 1_000\n", 2, "something else"),
        (b"1.0 ********\n", 2, "something else"),
        (b"1.0 0x10\n", 2, "something else"),
        (b"1.2345E-01 1.2345E-0", 2, "within a number"),
    ],
)
def test_what_is_not_the_numbers_that_were_asked_for(
    text: bytes, count: int, words: str, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbers, "_PIECE", piece)
    stream = stream_of(text)
    with pytest.raises(DataFileError, match=words):
        stream.take(count)
        stream.end()


def test_exponents_of_three_digits_without_their_letter() -> None:
    assert stream_of(b"0.12345-101 1.5+100 2.0E+01\n").take(1)[0] == 0.12345e-101
    with pytest.raises(DataFileError, match="beyond"):
        stream_of(b"0.12345-101 1.5+100\n").take(2)


def test_a_grid_must_be_closed_where_the_format_closes_it() -> None:
    stream = stream_of(b"1.0 2.0\nEND_DATAGRID_3D\n")
    stream.take(2)
    stream.end(closed=True)
    stream = stream_of(b"1.0 2.0\n")
    stream.take(2)
    with pytest.raises(DataFileError, match="without closing"):
        stream.end(closed=True)
    stream = stream_of(b"1.0 2.0\nEND_DATAGRID_3D\nBEGIN_DATAGRID_3D_OTHER\n")
    stream.take(2)
    with pytest.raises(DataFileError, match="more than one grid"):
        stream.end(closed=True)


def test_what_is_not_a_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.cube")
    (tmp_path / "loop.cube").symlink_to(tmp_path / "loop.cube")
    for path, words in (
        (tmp_path / "fifo.cube", "FIFO"),
        (tmp_path, "folder"),
        (tmp_path / "loop.cube", "leads nowhere"),
        (tmp_path / "none.cube", "No such file"),
    ):
        with pytest.raises(DataFileError, match=words), open_numbers(path):
            pass
