"""Types of the values in a cluster's description: texts as they were written, sizes with their unit.

A bare number of a size would be megabytes to one batch system and bytes to another, so it is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from dask.utils import parse_bytes
from pydantic import AfterValidator, BeforeValidator, Field

from maladist.configuration import no_old_truths

_SMALLEST_WORKER: Final = 10**8  # bytes that no worker starts with: a smaller bare number was meant in another unit


def _as_written(value: object) -> object:
    """A text; a whole number reads as it was written, a float or a truth value need not (1e5, 123.10, True)."""
    if isinstance(value, bool | float):
        raise ValueError("a text, in quotes")
    return str(value) if isinstance(value, int | Path) else value


def _bytes(value: str) -> int:
    try:
        if (size := parse_bytes(value)) > 0:
            return size
    except (ValueError, OverflowError):
        pass
    raise ValueError("a size with its unit, as 64GB or 4000MB")


def _size(value: object) -> object:
    """A size as text with its unit: 4000 could be MB as Slurm's own is, or bytes as Dask's is."""
    if not str(value).strip()[-1:].isalpha():
        raise ValueError(f"a size with its unit: {value}MB, or {value}GB?")
    _bytes(str(value))
    return value


def number_of_bytes(value: object) -> object:
    """A size as a number of bytes."""
    size = _bytes(value) if isinstance(value, str) and not value.isdigit() else value
    if not isinstance(size, int) or isinstance(size, bool) or size < _SMALLEST_WORKER:
        raise ValueError(f"bytes, or a size with its unit: {value}MB?")
    return size


def _limit(value: object) -> object:
    """Dask's memory limit: a size, 'auto', 0 for none, a fraction of the machine's memory, or bytes."""
    # 1.0 is all of the memory, 1 is a byte: only a float is a fraction.
    if value in (None, "auto", 0) or (isinstance(value, float) and 0 < value <= 1):
        return value
    return number_of_bytes(value) if isinstance(value, int) or str(value).isdigit() else _size(value)


Text = Annotated[str, BeforeValidator(_as_written)]
Texts = list[Text]
Number = Annotated[int, Field(ge=1)]
Size = Annotated[str, BeforeValidator(_size)]
Limit = Annotated[object, AfterValidator(_limit)]
Option = Annotated[object, AfterValidator(no_old_truths)]
