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

from maladist.arrays import Array
from maladist.errors import DataFileError
from maladist.io.paths import plain_file

_PIECE: Final = 2**20
_LARGEST: Final = 1e30
"""Beyond it no number of a field is meant, in whatever units; a float32 could not hold it in others."""
_NO_LETTER: Final = re.compile(rb"(\d)([+-]\d{3})\b")  # Fortran drops the E of a three-digit exponent: 0.12345-101
_D_TO_E: Final = bytes.maketrans(b"Dd", b"EE")


class NumberStream:
    """Numbers and lines of a text file, plain or gzip, in their order.

    Parameters
    ----------
    stream
        File, open for reading bytes.
    path
        Name of the file in error messages.
    """

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream, self._path = stream, path
        self._numbers = np.empty(0)
        self._text, self._word, self._ended = b"", b"", False

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
            The file ends before, or holds something else than numbers of a field.
        """
        parts, have = [self._numbers], len(self._numbers)
        while have < count:
            part = self._parse()
            if part is None:
                raise self._refuse(f"is truncated: {count - have} numbers are missing of the next {count}")
            parts.append(part)
            have += len(part)
        every = np.concatenate(parts)
        # Copied, so that the few that are left do not keep the whole piece in memory.
        self._numbers = every[count:].copy()
        values = every[:count]
        # NaN is not below anything: one comparison finds both.
        if not (np.abs(values) <= _LARGEST).all():
            raise self._refuse(f"holds numbers that are not finite, or beyond {_LARGEST:.0e}")
        return values

    def end(self, closed: bool = False) -> None:
        """Hold the file to its end: a number too many, in whatever place, has shifted all that follow.

        Parameters
        ----------
        closed
            Whether the format closes a grid with ``END_``, behind which another may ``BEGIN_``.

        Raises
        ------
        DataFileError
            More numbers than were taken, a grid that is not closed, or another behind it.
        """
        while not len(self._numbers) and (part := self._parse()) is not None:
            self._numbers = part
        if len(self._numbers):
            raise self._refuse("holds more numbers than its grid has points")
        if closed and not self._ended:
            raise self._refuse("ends without closing its grid")
        if b"BEGIN_" in self._text + self._read():
            raise self._refuse("holds more than one grid")

    def _read(self) -> bytes:
        try:
            return self._stream.read(_PIECE)
        except (EOFError, OSError, zlib.error) as error:
            raise self._refuse(f"is truncated or not what its name says ({error})") from error

    def _parse(self) -> Array | None:
        """Numbers of the next piece; None at the end of the file."""
        if self._ended:
            return None
        piece = self._read()
        text, self._text = self._text + piece, b""
        if not text:
            return None
        if piece:  # a number may go on in the next piece
            cut = max(text.rfind(b" "), text.rfind(b"\n")) + 1
            text, self._text = text[:cut], text[cut:]
        elif len(text.lstrip(b"+-")) < len(self._word.lstrip(b"+-")):  # the last word, and no end of line behind it
            raise self._refuse(f"ends within a number, {text[:20].decode(errors='replace')!r}")
        end = text.find(b"END_")  # xsf closes its grids with words
        if end >= 0:
            text, self._text, self._ended = text[:end], text[end + 4 :] + self._text, True
        words = text.split()
        self._word = words[-1] if words else self._word
        if b"_" in text:  # which Python allows between digits
            raise self._refuse("holds something else than numbers")
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
    plain_file(path, "a field in .cube or .xsf, plain or .gz", str(path))
    try:
        stream = gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # noqa: SIM115  (closed below)
    except OSError as error:
        raise DataFileError(str(path), f"cannot be read ({error.strerror})", "a file that can be") from error
    with stream:
        yield NumberStream(stream, path)  # type: ignore[arg-type]


def write_numbers(stream: IO[str], values: Iterable[float], per_line: int = 6) -> None:
    """Write numbers in lines, nine digits each: enough to give a float32 back as it was."""
    flat = np.asarray(values, dtype=np.float64).ravel()
    # One format string for each full line: some ten times faster than number by number.
    whole = len(flat) // per_line * per_line
    line = "%16.8E" * per_line + "\n"
    stream.write("".join(line % tuple(row) for row in flat[:whole].reshape(-1, per_line)))
    if whole < len(flat):
        stream.write("".join(f"{x:16.8E}" for x in flat[whole:]) + "\n")
