"""Chunks on disk: written whole and by their owner, read with distrust.

Every chunk ends with its CRC-32C (zarr's own codec, so every reader of zarr checks it).
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import google_crc32c
from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import FsspecStore, LocalStore

from maladist.errors import InputError, StoreError
from maladist.io.ownership import OWNER, Claim
from maladist.io.targets import explained
from maladist.io.urls import URL, Place

WORK: Final = "work"
"""Group of what a run needs only while it lasts."""

REMEDY: Final = "Copy it again from where it is whole, or make it again."

_FORMAT_2: Final = (".zarray", ".zgroup", ".zattrs", ".zmetadata")
"""Files of zarr's format 2, whose arrays of objects are pickles: to open one runs what is written there."""

_CHUNK: Final = re.compile(r"(?:(.+)/)?([^/]+)/c((?:/\d+)*)")


class _Distrustful(Store):
    """What is held against a store as it is read, wherever it lies."""

    root: Any  # zarr's own, a Path, of one on a disk; a URL
    sealed: frozenset[str]

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Read a key; of a sealed array refuse chunks that are lost or whose checksum is wrong."""
        if self._is_format_2(key):
            return None
        value = await super().get(key, prototype, byte_range)  # type: ignore[safe-super, arg-type]
        # Part of a chunk has no checksum of its own; zarr asks for parts of sharded chunks only, which we do not write.
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


class ChunkStore(_Distrustful, LocalStore):
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


class RemoteStore(_Distrustful, FsspecStore):
    """A `ChunkStore` behind a URL, to read."""

    def __init__(self, root: URL, *, sealed: frozenset[str] = frozenset()) -> None:
        root.exists()  # tells what a scheme lacks; whether anything is there, readers ask themselves
        made = FsspecStore.from_url(root.url, read_only=True)
        super().__init__(made.fs, read_only=True, path=made.path)
        self.root, self.sealed = root, sealed

    def with_read_only(self, read_only: bool = False) -> RemoteStore:
        """Itself."""
        if not read_only:
            raise StoreError("store", f"{self.root}, to be written", "a store on a file system")
        return self

    def __dask_tokenize__(self) -> tuple[str, ...]:
        return (type(self).__name__, self.root.url, (self.root / "zarr.json").version())


def refuse_format_2(path: Place) -> None:
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
