"""All of a store held against its digests and checksums, chunk by chunk on the workers: `maladist info --verify`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from distributed import Client

from maladist.cluster import client_or_local
from maladist.errors import StoreError
from maladist.io import stores
from maladist.io.chunks import WORK, reading, whole
from maladist.io.digests import (
    DIGESTS,
    arrays_of,
    chunk_counts,
    chunk_files,
    chunks_digest,
    mark_of,
    node_type,
    read_digests,
)
from maladist.io.urls import refuse_url
from maladist.parallel import waves

_TOGETHER: Final = 64  # chunks of a task


@dataclass(frozen=True)
class Verified:
    """What a check has found of an array.

    Attributes
    ----------
    name
        Name of the array, with the groups that it is in.
    chunks
        Number of its chunks.
    size
        Bytes of its chunks on the disk.
    sealed
        Whether it has a digest. Where not, chunks can be decoded or not, and more cannot be told.
    damage
        Faults, in words; empty where there are none.
    """

    name: str
    chunks: int
    size: int
    sealed: bool
    damage: tuple[str, ...]


@dataclass(frozen=True)
class _Part:
    """What a task tells of some chunks of an array: their marks, their bytes, and what is wrong."""

    marks: bytes
    size: int
    damage: tuple[str, ...]


def verify(path: str | Path, client: Client | None = None) -> list[Verified]:
    """Read every chunk of a store, or of a data set with all its snapshots; a task holds one chunk at a time.

    Parameters
    ----------
    path
        Path of a finished store, a snapshot or a data set.
    client
        Client whose workers read; a local cluster where None.

    Returns
    -------
    list of Verified
        What was found of every array, by group.

    Raises
    ------
    StoreError
        There is no store, or its attributes and metadata are not those that were written.
    """
    remedy = "Copy it here first; a store by URL is held against its digests and checksums as it is opened and read."
    refuse_url(path, "file", "a store on a file system", remedy)
    path = Path(path).resolve()
    if node_type(path) != "group":
        raise StoreError("file", f"{path} is not a zarr store", "a store, a snapshot or a data set")
    arrays = [array for group in _groups(path) for array in arrays_of(group)]
    with client_or_local(client) as connected:
        return [_verify(path, array, connected) for array in arrays]


def _groups(path: Path) -> Iterator[Path]:
    """A group and those in it, but for what a run keeps while it lasts."""
    with reading(path):
        read_digests(path).check(path, ())
    yield path
    for part in sorted(path.iterdir()):
        if part.name not in (WORK, DIGESTS) and not part.name.startswith(".") and node_type(part) == "group":
            yield from _groups(part)


def _verify(root: Path, array: Path, client: Client) -> Verified:
    with reading(array.parent, array.name):
        chunks = math.prod(chunk_counts(array))
        digest = read_digests(array.parent).arrays.get(array.name)
    # Some chunks a task: a task for each of millions would cost more than reading it.
    starts = range(0, chunks, _TOGETHER)
    jobs = [waves.NamedJob(f"verify{a}", str(array), a, a + _TOGETHER, digest is not None) for a in starts]
    parts = waves.in_order(client, verify_chunks, jobs, run_key="verify")
    damage = [text for part in parts for text in part.damage]
    # Chunks that are each whole may still be another array's, or have changed places.
    if digest is not None and not damage:
        now = chunks_digest(part.marks for part in parts)
        damage += [] if now == digest[1] else ["chunks are not those that were written"]
    name = str(array.relative_to(root))
    return Verified(name, chunks, sum(part.size for part in parts), digest is not None, tuple(damage))


# -- on a worker -----------------------------------------------------------------------------------------------------


def verify_chunks(array: str, first: int, last: int, sealed: bool) -> _Part:
    """Read some chunks of an array, one after the other."""
    path, marks, size, damage = Path(array), [], 0, []
    for file in chunk_files(path, first, last):
        index = file.relative_to(path / "c").parts
        which = f"chunk {', '.join(index)}" if index else "the value"
        if not file.exists():
            damage += [f"{which} is lost"] if sealed else []  # an unsealed one may never have been written
            continue
        size += file.stat().st_size
        if sealed:
            content = file.read_bytes()
            marks.append(mark_of(content))
            damage += [] if whole(content) else [f"{which} is garbled"]
        else:
            damage += _decoding(path, index, which)
    return _Part(b"".join(marks), size, tuple(damage))


def _decoding(array: Path, index: tuple[str, ...], which: str) -> list[str]:
    """What is wrong with a chunk that has no checksum: that it cannot be decoded."""
    try:
        with reading(array.parent, array.name):
            stores.open_array(array.parent, array.name, "r").get_block_selection(tuple(map(int, index)))
    except StoreError as error:
        return [f"{which} {error.came.partition(' ')[2].partition(' ')[2]}"]
    return []
