"""Digests, by which what a finished store has lost, swapped or changed is told from what was written.

A finished group has a group ``digests`` beside its arrays: of every variable one of its metadata and one of the lengths
and checksums of its chunks, and one of the group's attributes. To take them costs four bytes a chunk. The values are
SHA-256, cut to 32 hexadecimal digits.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numpy as np

from maladist.errors import StoreError
from maladist.io.chunks import REMEDY
from maladist.io.urls import Place

P = TypeVar("P", bound=Place)

DIGESTS: Final = "digests"
"""Group of what a finished group is known by."""


@dataclass(frozen=True)
class Digests:
    """What a finished group is known by.

    Attributes
    ----------
    arrays
        Digests of the metadata and of the chunks of each array directly in it, by name.
    attributes
        Digest of the group's attributes; empty where nothing is known.
    """

    arrays: Mapping[str, tuple[str, str]]
    attributes: str

    def check(self, path: Place, small: Collection[str]) -> None:
        """Hold a group against its digests; the chunks of those arrays only that are ``small``.

        Raises
        ------
        StoreError
            Naming what is lost or changed.
        """
        if not self.attributes:
            return
        facts = _json(path / "zarr.json")
        # Not read here but by other programs, in place of the files that it repeats.
        together = (facts.get("consolidated_metadata") or {}).get("metadata", {})
        if facts_digest(facts.get("attributes", {})) != self.attributes:
            remedy = f"{REMEDY} After a change on purpose, maladist.io.stores.seal takes them as they are."
            raise StoreError(str(path), "its attributes are not those that were written", "them unchanged", remedy)
        for name, (metadata, chunks) in self.arrays.items():
            if not (path / name / "zarr.json").exists():
                raise StoreError(str(path), f"its {name} is lost", "a store as it was written", REMEDY)
            of_array = _json(path / name / "zarr.json")
            if facts_digest(of_array) != metadata or together.get(name, of_array) != of_array:
                raise StoreError(str(path), f"the metadata of its {name} are changed", "them as written", REMEDY)
            # Of large arrays a digest would read every chunk's end: their chunks are held against
            # their checksums when they are read.
            if name in small and chunks_digest(map(mark, chunk_files(path / name))) != chunks:
                raise StoreError(str(path), f"the chunks of its {name} are changed", "them as written", REMEDY)


def read_digests(path: Place) -> Digests:
    """Digests of a group; empty where it has none."""
    file = path / DIGESTS / "zarr.json"
    if not file.exists():
        return Digests({}, "")
    facts = _json(file)["attributes"]
    return Digests({name: (one[0], one[1]) for name, one in facts["arrays"].items()}, str(facts["attributes"]))


def digests_of(path: Path, attributes: Mapping[str, object]) -> dict[str, Any]:
    """Digests of a group as it is, as attributes; its own are given.

    Raises
    ------
    StoreError
        A chunk is lost.
    """
    by_name = {
        p.name: [facts_digest(_json(p / "zarr.json")), chunks_digest(map(mark, chunk_files(p)))]
        for p in arrays_of(path)
    }
    return {"arrays": by_name, "attributes": facts_digest(attributes)}


def node_type(path: Path) -> str:
    """Whether a folder is a 'group' or an 'array'; empty where it is neither."""
    file = path / "zarr.json"
    return str(_json(file).get("node_type", "")) if file.is_file() else ""


def arrays_of(group: Path) -> list[Path]:
    """Folders of the arrays directly in a group, by name."""
    return [p for p in sorted(group.iterdir()) if node_type(p) == "array"]


def chunk_counts(array: Place) -> tuple[int, ...]:
    """Numbers of an array's chunks along its axes."""
    facts = _json(array / "zarr.json")
    sizes = facts["chunk_grid"]["configuration"]["chunk_shape"]
    return tuple(-(-n // m) for n, m in zip(facts["shape"], sizes, strict=True))


def chunk_files(array: P, first: int = 0, last: int | None = None) -> Iterator[P]:
    """Files of an array's chunks, or of those of a range of numbers, in C order, whether they are there or not."""
    counts = chunk_counts(array)
    total = math.prod(counts)
    # By number: a task of the last of millions need not go through all before it.
    for number in range(first, total if last is None else min(last, total)):
        index = map(str, np.unravel_index(number, counts) if counts else ())
        yield cast(P, array.joinpath("c", *index))


def mark_of(content: bytes) -> bytes:
    """The mark of a chunk that has been read, as `mark`."""
    return len(content).to_bytes(8, "little") + content[-4:]


def mark(file: Place) -> bytes:
    """What a chunk is known by: its length and its checksum, which are the last four bytes.

    Raises
    ------
    StoreError
        The chunk is lost.
    """
    try:
        with file.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            # Four bytes a chunk, however large it is: a store of terabytes is sealed in seconds.
            stream.seek(max(0, size - 4))
            return size.to_bytes(8, "little") + stream.read()
    except OSError as error:
        came = f"{file} cannot be read ({error.strerror or type(error).__name__})"
        raise StoreError("store", came, "a chunk for every part of a variable", REMEDY) from error


def chunks_digest(marks: Iterable[bytes]) -> str:
    """Digest of an array's chunks by their marks, in the order of `chunk_files`."""
    digest = hashlib.sha256()
    for one in marks:
        digest.update(one)
    return digest.hexdigest()[:32]


def facts_digest(facts: Mapping[str, object]) -> str:
    """Digest of an array's metadata (shape, dtype, codecs, attributes), or of a group's attributes."""
    # Sorted: whoever wrote the JSON may have had another order of keys, which means nothing.
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _json(file: Place) -> dict[str, Any]:
    facts = json.loads(file.read_text())
    if not isinstance(facts, dict):
        raise TypeError(f"{file.name} holds a {type(facts).__name__}")
    return facts
