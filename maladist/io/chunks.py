"""Chunks on disk: written whole and by their owner, read with distrust, sealed by digests when a store is finished.

Every chunk ends with its CRC-32C (zarr's own codec, so every reader of zarr checks it). A finished group has a group
``digests`` beside its arrays: of every variable one of its metadata and one of the lengths and checksums of its chunks,
and one of the group's attributes. So what is lost, swapped or changed can be told from what was written, at the cost of
reading four bytes a chunk. The values are SHA-256, cut to 32 hexadecimal digits.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import os
import re
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import google_crc32c
import numpy as np
from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore

from maladist.errors import InputError, StoreError
from maladist.io.ownership import OWNER, Claim
from maladist.io.targets import explained

WORK: Final = "work"
"""Group of what a run needs only while it lasts."""

DIGESTS: Final = "digests"
"""Group of what a finished group is known by."""

REMEDY: Final = "Copy it again from where it is whole, or make it again."

_FORMAT_2: Final = (".zarray", ".zgroup", ".zattrs", ".zmetadata")
"""Files of zarr's format 2, whose arrays of objects are pickles: to open one runs what is written there."""

_CHUNK: Final = re.compile(r"(?:(.+)/)?([^/]+)/c((?:/\d+)*)")


class ChunkStore(LocalStore):
    """zarr's store of a folder, which refuses what is lost or garbled, and to write into what is another run's.

    Parameters
    ----------
    root
        Folder of a store or group; or a claim to it, to write as its owner.
    sealed
        Names of the arrays directly in it whose chunks must be there, with their checksums.
    """

    def __init__(
        self, root: str | Path | Claim, *, read_only: bool = False, sealed: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(Path(root), read_only=read_only)
        self.claim = root if isinstance(root, Claim) else None
        self.sealed = sealed

    def with_read_only(self, read_only: bool = False) -> ChunkStore:
        """The same store, read-only or not."""
        return type(self)(self.claim or self.root, read_only=read_only, sealed=self.sealed)

    def __dask_tokenize__(self) -> tuple[str, ...]:
        # Dask names arrays by this token, and keeps results of equal names.
        file = self.root / "zarr.json"  # another store at the same path is another array
        return (type(self).__name__, str(self.root), str(file.stat().st_mtime_ns if file.exists() else 0))

    # -- reading -----------------------------------------------------------------------------------------------------

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Read a key; of a sealed array refuse chunks that are lost or whose checksum is wrong."""
        if self._is_format_2(key):
            return None
        value = await super().get(key, prototype, byte_range)
        # Part of a chunk has no checksum of its own; zarr asks for parts of sharded chunks only, which we do not write.
        if byte_range is None:
            self._check_chunk(key, value)
        return value

    def get_sync(
        self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """As `get`."""
        if self._is_format_2(key):
            return None
        value = super().get_sync(key, prototype=prototype, byte_range=byte_range)
        if byte_range is None:
            self._check_chunk(key, value)
        return value

    def _is_format_2(self, key: str) -> bool:
        """Whether a key is of zarr's format 2, which is then not there for zarr; refused where it is all there is."""
        folder, _, name = key.rpartition("/")
        if name in _FORMAT_2:
            refuse_format_2(self.root / folder)
        return name in _FORMAT_2

    def _check_chunk(self, key: str, value: Buffer | None) -> None:
        # zarr takes a chunk that is not there for one of fill values: NaN or zeros in place of what was lost.
        at = _CHUNK.fullmatch(key) if self.sealed else None
        if at is None or at[1] is not None or at[2] not in self.sealed:
            return
        content = None if value is None else value.to_bytes()
        if content is None or not whole(content):
            what = "is lost" if content is None else "is garbled"
            which = f"chunk {at[3][1:].replace('/', ', ')} of its {at[2]}" if at[3] else f"its {at[2]}"
            raise StoreError(str(self.root), f"{which} {what}", "a store as it was written", REMEDY)

    # -- writing -----------------------------------------------------------------------------------------------------

    async def _open(self, *, mode: Any = None) -> None:  # noqa: ARG002  (zarr's signature)
        self._ensure_open_sync()

    def _ensure_open_sync(self) -> None:
        if not self.root.exists():  # zarr's would make the folder: a store that was removed must stay so
            raise FileNotFoundError(f"{self.root} does not exist")
        self._is_open = True

    async def set(self, key: str, value: Buffer) -> None:
        """Write a key."""
        # The file system may make a write wait: the event loop, which other chunks need, must not.
        await asyncio.to_thread(self._write, key, value)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write a key that is not there."""
        if not (self.root / key).exists():
            await self.set(key, value)

    def set_sync(self, key: str, value: Buffer) -> None:
        """Write a key."""
        self._write(key, value)

    async def delete(self, key: str) -> None:
        """Remove a key."""
        self._check_owner()
        await super().delete(key)

    async def delete_dir(self, prefix: str) -> None:
        """Remove all under a prefix, but never the owner's file."""
        self._check_owner()
        await super().delete_dir(prefix)

    def _write(self, key: str, value: Buffer) -> None:
        self._check_writable()
        path = self.root / key
        beside = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
        with explained(self.root, "store"):
            self._check_owner()  # first, so that a store that was removed does not come back as empty folders
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                beside.write_bytes(value.as_buffer_like())
                # Now, when this file has its place: if the store is replaced from here on, the rename finds nothing.
                self._check_owner()
                beside.replace(path)
            # The folder has gone: say that the store was replaced or removed, and not that a file is missing.
            except FileNotFoundError:
                self._check_owner()
                raise
            finally:
                beside.unlink(missing_ok=True)

    def _check_owner(self) -> None:
        """Whoever has a claim must still own the store; who has none must not write where a run does."""
        if self.claim is not None:
            self.claim.check()
        # Without a claim nobody may write into a run's store: its blocks would be no longer what its record says.
        elif (self.root / WORK / OWNER).exists():
            raise StoreError("store", f"{self.root} is being written by a run", "to be its only writer")


def refuse_format_2(path: Path) -> None:
    """Refuse a group or an array in zarr's format 2.

    Raises
    ------
    StoreError
        It is one.
    """
    if not (path / "zarr.json").exists() and any((path / name).exists() for name in _FORMAT_2):
        remedy = "Write it with zarr_format=3, from where it can be trusted."
        raise StoreError(str(path), "a store in zarr format 2", "one in format 3", remedy)


def whole(content: bytes) -> bool:
    """Whether a chunk, as it lies on the disk, has the checksum that it ends with."""
    # The codec appends the checksum to what it has compressed, so that nothing need be decoded to see it.
    return len(content) >= 4 and google_crc32c.value(content[:-4]) == int.from_bytes(content[-4:], "little")


# -- digests ---------------------------------------------------------------------------------------------------------


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

    def check(self, path: Path, small: Collection[str]) -> None:
        """Hold a group against its digests; the chunks of those arrays only that are ``small``.

        Raises
        ------
        StoreError
            Naming what is lost or changed.
        """
        if not self.attributes:
            return
        if attributes_digest(_json(path / "zarr.json").get("attributes", {})) != self.attributes:
            remedy = f"{REMEDY} After a change on purpose, maladist.io.stores.seal takes them as they are."
            raise StoreError(str(path), "its attributes are not those that were written", "them unchanged", remedy)
        for name, (metadata, chunks) in self.arrays.items():
            if not (path / name / "zarr.json").exists():
                raise StoreError(str(path), f"its {name} is lost", "a store as it was written", REMEDY)
            if metadata_digest(path / name) != metadata:
                raise StoreError(str(path), f"the metadata of its {name} are changed", "them as written", REMEDY)
            # Of large arrays a digest would read every chunk's end: their chunks are held against
            # their checksums when they are read.
            if name in small and chunks_digest(path / name) != chunks:
                raise StoreError(str(path), f"the chunks of its {name} are changed", "them as written", REMEDY)


def read_digests(path: Path) -> Digests:
    """Digests of a group; empty where it has none."""
    file = path / DIGESTS / "zarr.json"
    if not file.exists():
        return Digests({}, "")
    facts = _json(file)["attributes"]
    return Digests({name: (one[0], one[1]) for name, one in facts["arrays"].items()}, str(facts["attributes"]))


def digests_of(path: Path, attributes: Mapping[str, object]) -> dict[str, Any]:
    """Digests of a group as it is, as attributes; its own are given."""
    arrays = [p for p in sorted(path.iterdir()) if node_type(p) == "array"]
    by_name = {p.name: [metadata_digest(p), chunks_digest(p)] for p in arrays}
    return {"arrays": by_name, "attributes": attributes_digest(attributes)}


def node_type(path: Path) -> str:
    """Whether a folder is a 'group' or an 'array'; empty where it is neither."""
    file = path / "zarr.json"
    return str(_json(file).get("node_type", "")) if file.is_file() else ""


def chunk_counts(array: Path) -> tuple[int, ...]:
    """Numbers of an array's chunks along its axes."""
    facts = _json(array / "zarr.json")
    sizes = facts["chunk_grid"]["configuration"]["chunk_shape"]
    return tuple(-(-n // m) for n, m in zip(facts["shape"], sizes, strict=True))


def chunk_files(array: Path, first: int = 0, last: int | None = None) -> Iterator[Path]:
    """Files of an array's chunks, or of those of a range of numbers, in C order, whether they are there or not."""
    counts = chunk_counts(array)
    total = math.prod(counts)
    # By number: a task of the last of millions need not go through all before it.
    for number in range(first, total if last is None else min(last, total)):
        yield array.joinpath("c", *map(str, np.unravel_index(number, counts) if counts else ()))


def mark_of(content: bytes) -> bytes:
    """The mark of a chunk that has been read, as `mark`."""
    return len(content).to_bytes(8, "little") + content[-4:]


def mark(file: Path) -> bytes:
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
        came = f"{file} cannot be read ({error.strerror})"
        raise StoreError("store", came, "a chunk for every part of a variable", REMEDY) from error


def chunks_digest(array: Path) -> str:
    """Digest of an array's chunks, by their marks.

    Raises
    ------
    StoreError
        A chunk is lost.
    """
    digest = hashlib.sha256()
    for file in chunk_files(array):
        digest.update(mark(file))
    return digest.hexdigest()[:32]


def metadata_digest(array: Path) -> str:
    """Digest of an array's shape, dtype, codecs and attributes."""
    return _digest(_json(array / "zarr.json"))


def attributes_digest(attributes: Mapping[str, object]) -> str:
    """Digest of a group's attributes."""
    return _digest(attributes)


def _digest(value: object) -> str:
    # Sorted: whoever wrote the JSON may have had another order of keys, which means nothing.
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


def _json(file: Path) -> dict[str, Any]:
    facts = json.loads(file.read_text())
    if not isinstance(facts, dict):
        raise TypeError(f"{file.name} holds a {type(facts).__name__}")
    return facts


@contextmanager
def reading(path: object, name: str = "") -> Iterator[None]:
    """Whatever zarr, its codecs or JSON say against reading a store, as a `StoreError` that names it."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # they have no error in common: KeyError, TypeError, RuntimeError, ...
        if isinstance(path, Claim):
            path.check()  # another run's store may lack what this one's had
        what = f"its {name}" if name else "it"
        why = " ".join(f"{type(error).__name__}: {error}".split())
        wanted = "a zarr store (version 3) that follows the data contract"
        raise StoreError(str(path), f"{what} cannot be read ({why:.200})", wanted, REMEDY) from error
