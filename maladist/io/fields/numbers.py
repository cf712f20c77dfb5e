"""Numbers of a text file in pieces: a field of any size is never in memory as text, nor whole as numbers."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import numpy as np
import numpy.typing as npt

from maladist.errors import DataFileError

Array = npt.NDArray[np.float64]

_PIECE: Final = 2**20
_NO_LETTER: Final = re.compile(rb"(\d)([+-]\d{3})\b")  # Fortran drops the E of a three-digit exponent: 0.12345-101
_D_TO_E: Final = bytes.maketrans(b"Dd", b"EE")


class NumberStream:
    """Numbers and lines of a text file, plain or gzip, in their order.

    Parameters
    ----------
    stream
        Open for reading bytes.
    path
        Its name in error messages.
    """

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream, self._path = stream, path
        self._numbers = np.empty(0)
        self._text, self._ended = b"", False

    def line(self) -> str:
        """The next line; only before the first number."""
        try:
            line = self._stream.readline()
        except (EOFError, OSError, zlib.error) as error:
            raise self._refuse(f"cannot be read ({error})") from error
        if not line:
            raise self._refuse("ends in its header")
        return line.decode("utf-8", errors="replace").rstrip("\n")

    def take(self, count: int) -> Array:
        """The next ``count`` numbers, (count,) float64.

        Raises
        ------
        DataFileError
            The file ends before, or holds something else than finite numbers.
        """
        parts, have = [self._numbers], len(self._numbers)
        while have < count:
            part = self._parse()
            if part is None:
                raise self._refuse(f"is truncated: {count - have} numbers are missing of the next {count}")
            parts.append(part)
            have += len(part)
        every = np.concatenate(parts)
        self._numbers = every[count:].copy()
        values = every[:count]
        if not np.isfinite(values).all():
            raise self._refuse("holds numbers that are not finite")
        return values

    def _parse(self) -> Array | None:
        """Numbers of the next piece; None at the end of the file."""
        try:
            piece = self._stream.read(_PIECE)
        except (EOFError, OSError, zlib.error) as error:
            raise self._refuse(f"is truncated or not what its name says ({error})") from error
        text, self._text = self._text + piece, b""
        if not text or self._ended:
            return None
        if piece:  # a number may go on in the next piece
            cut = max(text.rfind(b" "), text.rfind(b"\n")) + 1
            text, self._text = text[:cut], text[cut:]
        end = text.find(b"END_")  # xsf closes its grids with words
        if end >= 0:
            text, self._ended = text[:end], True
        try:
            return fortran_numbers(text)
        except ValueError as error:
            raise self._refuse(f"holds something else than numbers ({error})") from error

    def _refuse(self, came: str) -> DataFileError:
        return DataFileError(str(self._path), came, "a complete file", "Write or copy it again.")


def fortran_numbers(text: bytes) -> Array:
    """Numbers of a text as Fortran writes them: exponents with E or D, or with no letter where they have three digits.

    Raises
    ------
    ValueError
        A word that is no number.
    """
    try:
        return np.array(text.split(), dtype=np.float64)
    except ValueError:
        text = _NO_LETTER.sub(rb"\1E\2", text.translate(_D_TO_E))
        return np.array(text.split(), dtype=np.float64)


@contextmanager
def open_numbers(path: Path) -> Iterator[NumberStream]:
    """Open a text file, or one ending in .gz, as numbers."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            yield NumberStream(stream, path)  # type: ignore[arg-type]
    except FileNotFoundError as error:
        raise DataFileError(str(path), "does not exist", "a file") from error


def write_numbers(stream: IO[str], values: Iterable[float], per_line: int = 6) -> None:
    """Write numbers in lines, nine digits each: enough to give a float32 back as it was."""
    flat = np.asarray(values, dtype=np.float64).ravel()
    whole = len(flat) // per_line * per_line
    line = "%16.8E" * per_line + "\n"
    stream.write("".join(line % tuple(row) for row in flat[:whole].reshape(-1, per_line)))
    if whole < len(flat):
        stream.write("".join(f"{x:16.8E}" for x in flat[whole:]) + "\n")
