"""All of a store held against its digests and checksums, chunk by chunk on the workers: `maladist info --verify`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_TOGETHER: Final = 64  # chunks of a task


@dataclass(frozen=True)
class Verified:
    """What was found of an array.

    Attributes
    ----------
    name
        Of the array, with the groups that it is in.
    chunks, size
        How many there are, and how long they are together, bytes.
    sealed
        Whether it has a digest: where not, only what cannot be decoded is told.
    damage
        What is wrong, in words; empty where nothing is.
    """

    name: str
    chunks: int
    size: int
    sealed: bool
    damage: tuple[str, ...]
