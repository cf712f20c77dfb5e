"""Zarr stores: made whole by the run that owns them, written and read by regions, sealed when finished.

A template is made first, whole, with attribute ``complete`` false; blocks then write their own regions. A chunk belongs
to one block, a chunk is written to a temporary name and renamed, so that a block is there whole or not at all. What
`create` returns is a claim: a path that knows its owner. Writing through it is refused when the store has become
another run's (`maladist.io.ownership`), and reading tells what is lost or garbled (`maladist.io.chunks`). A whole store
is opened by `maladist.io.opening`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, overload

import numpy as np
import zarr
from zarr.abc.store import Store
from zarr.codecs import Crc32cCodec, ZstdCodec

from maladist.arrays import AnyArray
from maladist.errors import StoreError
from maladist.grid import Grid
from maladist.io import conventions, ownership
from maladist.io.appearing import appearing, check_target, remove
from maladist.io.chunks import WORK, ChunkStore, RemoteStore, reading
from maladist.io.digests import DIGESTS, digests_of, node_type, read_digests
from maladist.io.memory import Memory
from maladist.io.ownership import Claim
from maladist.io.urls import URL, place
from maladist.schema import VARIABLES, array_attributes, coordinates_of

OnDisk = str | Path | Claim
"""A path of a store or group, or the claim of the run that owns it."""

Where = OnDisk | Memory
"""The same, or a store in memory, which a run writes and reads by the same functions."""

Readable = Where | URL
"""The same, or a store behind a URL, which is read and never written; a text may name one too."""


@dataclass(frozen=True)
class ArrayTemplate:
    """An array to be made; a chunk belongs to one block."""

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dims: tuple[str, ...]
    dtype: str = "float64"
    units: str = "1"


@overload
def create(
    path: OnDisk, arrays: Mapping[str, ArrayTemplate], attributes: Mapping[str, object], overwrite: bool = False
) -> Claim: ...
@overload
def create(
    path: Where, arrays: Mapping[str, ArrayTemplate], attributes: Mapping[str, object], overwrite: bool = False
) -> Claim | Memory: ...
def create(
    path: Where, arrays: Mapping[str, ArrayTemplate], attributes: Mapping[str, object], overwrite: bool = False
) -> Claim | Memory:
    """Make a store with empty arrays; names may hold groups, as in ``work/modes``.

    It is made under a hidden name and renamed, so that of two that begin together one has it, and whoever looks finds
    the old store or the new one.

    Returns
    -------
    Claim or Memory
        Claim to write through, until `finish` or its ``release``; a store in memory itself.

    Raises
    ------
    StoreError, OutputError
        For the reasons of `check_target`.
    """
    if isinstance(path, Memory):
        path.set({**attributes, "complete": False})
        add_arrays(path, arrays)
        return path
    # The claim of the earlier store ends here, so that its owner's file does not refuse us.
    if isinstance(path, Claim):  # of the store that is replaced
        path.release()
    path = check_target(Path(path), overwrite)
    with appearing(path, owned=True, overwrite=overwrite) as making:
        _add(zarr.create_group(ChunkStore(making), attributes={**attributes, "complete": False}), arrays)
    claim = Claim(str(path), making.id, WORK)
    ownership.hold(claim)
    return claim


@contextmanager
def making(
    path: OnDisk, arrays: Mapping[str, ArrayTemplate], attributes: Mapping[str, object], overwrite: bool = False
) -> Iterator[Claim]:
    """A store as `create` makes it, which is removed where it is not finished in the end: none could go on with it."""
    store = create(path, arrays, attributes, overwrite)
    try:
        yield store
    finally:
        remove(store)  # nothing, where it is finished


def clear_work(store: Where) -> None:
    """Remove what a run keeps while it lasts, but not that it is the owner."""
    if isinstance(store, Memory):
        store.drop(WORK)
        return
    if isinstance(store, Claim):
        store.check()
    for part in (Path(store) / WORK).iterdir():
        if part.is_dir():
            shutil.rmtree(part)


def add_arrays(path: Where, arrays: Mapping[str, ArrayTemplate]) -> None:
    """Add empty arrays to a store; those that exist are replaced."""
    if isinstance(path, Memory):
        for name, t in arrays.items():
            path.add(name, t.shape, t.dtype, t.dims, t.units)
        return
    _add(_group(path, "r+"), arrays)


def _add(group: zarr.Group, arrays: Mapping[str, ArrayTemplate]) -> None:
    for name, t in arrays.items():
        _create_array(group, name, t)


def _create_array(group: zarr.Group, name: str, t: ArrayTemplate) -> zarr.Array[Any]:
    compressor = [] if name.startswith(WORK) else [ZstdCodec(level=0)]  # numbers that are written once, read once
    return group.create_array(
        name,
        shape=t.shape,
        chunks=t.chunks,
        dtype=t.dtype,
        fill_value=np.nan if np.dtype(t.dtype).kind == "f" else 0,
        dimension_names=t.dims,
        attributes={**array_attributes(name, t.units)},
        overwrite=True,
        # A block of zeros must leave a file too: a chunk that is not there is one that was lost.
        config={"write_empty_chunks": True},
        compressors=[*compressor, Crc32cCodec()],
    )


def field_template(name: str, shape: Sequence[int], chunks: Sequence[int], leading: int = 0) -> ArrayTemplate:
    """Template of a variable of the contract; ``leading`` > 0 adds a leading dim ``temperature`` of that size."""
    variable = VARIABLES[name]
    extra = (leading,) if leading else ()
    dims = ("temperature", *variable.dims) if leading else variable.dims
    return ArrayTemplate((*extra, *shape), (*extra, *chunks), dims, variable.dtype, variable.units)


def _group(path: OnDisk | URL, mode: Literal["r", "r+"], group: str = "") -> zarr.Group:
    store = opened(path, mode)
    # From the files themselves: what stands together in zarr.json is for other readers.
    return zarr.open_group(store, path=group, mode=mode, use_consolidated=False)


def opened(path: OnDisk | URL, mode: Literal["r", "r+"], sealed: frozenset[str] = frozenset()) -> Store:
    """Zarr's store; a claim is kept as it is, to write as the owner."""
    at = path if isinstance(path, Claim) else place(path)
    if isinstance(at, URL) and mode == "r+":
        raise StoreError("store", f"{at}, to be written", "a store on a file system")
    return (
        RemoteStore(at, sealed=sealed) if isinstance(at, URL) else ChunkStore(at, read_only=mode == "r", sealed=sealed)
    )


def open_array(path: Readable, name: str, mode: Literal["r", "r+"] = "r+") -> zarr.Array[Any]:
    """Open one array of a store; of a sealed store, its chunks must be there, with their checksums.

    Raises
    ------
    StoreError
        No such array.
    """
    if isinstance(path, Memory):
        return cast("zarr.Array[Any]", path.array(name))  # which is read and written by slices alike
    with reading(path, name):
        sealed = frozenset(read_digests(place(path)).arrays) if mode == "r" else frozenset[str]()
        return zarr.open_array(opened(path, mode, sealed), path=name, mode=mode)


def read_region(path: Readable, name: str, region: tuple[slice | int, ...] = ()) -> AnyArray:
    """Read a region of an array; all of it by default.

    Raises
    ------
    StoreError
        No such array, or a chunk that is lost or garbled.
    """
    # With its digests known: what is lost is told, and not read as NaN.
    array = open_array(path, name, "r")
    if isinstance(path, Memory):
        return np.array(array[region or ...])  # of its own, as from a file: whoever reads may work on it
    with reading(path, name):
        return np.asarray(array[region or ...])


def write_region(path: Where, name: str, region: tuple[slice | int, ...], values: AnyArray) -> None:
    """Write a block's own region of an array: whole chunks, for two tasks that write parts of one lose one of them.

    Raises
    ------
    StoreError
        The region cuts a chunk.
    """
    array = open_array(path, name)
    if not isinstance(path, Memory):
        _refuse_cuts(array, region)
    array[region] = values


def _refuse_cuts(array: zarr.Array[Any], region: tuple[slice | int, ...]) -> None:
    for at, size, chunk in zip(region, array.shape, array.chunks, strict=False):
        start, stop, _ = (at if isinstance(at, slice) else slice(at, at + 1)).indices(size)
        if start % chunk or (stop % chunk and stop != size):
            came = f"{start} to {stop} of {array.name}, to be written in chunks of {chunk}"
            raise StoreError(str(array.store_path), came, "whole chunks")


def write_values(path: Where, values: Mapping[str, tuple[tuple[str, ...], AnyArray, str]]) -> None:
    """Write small whole arrays: name -> (dims, values, units). A scalar has no dims. Arrays that exist are replaced."""
    if isinstance(path, Memory):
        for name, (dims, data, units) in values.items():
            path.put(name, np.array(data), dims, units)
        return
    group = _group(path, "r+")
    for name, (dims, data, units) in values.items():
        data = np.asarray(data)
        # One chunk, of at least one element: zarr has no chunks of length 0.
        shape = tuple(max(1, n) for n in data.shape)
        _create_array(group, name, ArrayTemplate(data.shape, shape, dims, str(data.dtype), units))[...] = data


def add_group(path: OnDisk, name: str, values: Mapping[str, object]) -> None:
    """Add a group with these attributes to a store; one that exists is replaced."""
    _group(path, "r+").create_group(name, attributes=dict(values), overwrite=True)


def attributes(path: Readable, group: str = "") -> dict[str, Any]:
    """Attributes of a store or of a group in it.

    Raises
    ------
    StoreError
        No such group, or one that cannot be read.
    """
    if isinstance(path, Memory):
        return dict(path.attributes)
    with reading(place(path) / group):
        return dict(_group(path, "r", group).attrs)


def set_attributes(path: Where, values: Mapping[str, Any], group: str = "") -> None:
    """Add attributes to a store or to a group in it."""
    if isinstance(path, Memory):
        path.set(values)
        return
    _group(path, "r+", group).attrs.update(dict(values))


def finish(store: Where) -> None:
    """Seal a store and its groups, mark it as complete, drop the group ``work``; no run owns it any longer."""
    known = attributes(store)
    if {"cell", "grid"} <= set(known):
        cell, shape = np.reshape(known["cell"], (3, 3)).tolist(), tuple(known["grid"])
        values = coordinates_of(Grid(cell, shape))
        write_values(store, {n: (v.dims, v.values, v.attrs["units"]) for n, v in values.items()})
    if isinstance(store, Memory):
        store.drop(WORK)
        store.set({"complete": True})
        return
    conventions.name_fields(Path(store), _group(store, "r+"))
    # The groups before the store: its digests are the last that is written, and complete when all else is.
    for part in sorted(Path(store).iterdir()):
        if part.name not in (WORK, DIGESTS) and node_type(part) == "group":
            seal(store, part.name)
    seal(store, complete=True)
    set_attributes(store, {"complete": True})
    conventions.consolidate(Path(store))
    if isinstance(store, Claim):
        ownership.let_go(store)
    shutil.rmtree(Path(store) / WORK, ignore_errors=True)


def seal(path: OnDisk, group: str = "", **more: object) -> None:
    """Write the digests of a group's arrays and attributes, as they are.

    Parameters
    ----------
    more
        Attributes that it will have.
    """
    # From what lies on the disk now, not from what was meant to be written.
    digests = digests_of(Path(path) / group, {**attributes(path, group), **more})
    add_group(path, f"{group}/{DIGESTS}".lstrip("/"), digests)


def is_complete(path: OnDisk) -> bool:
    """Whether a store is there and finished.

    Raises
    ------
    StoreError
        It is there and cannot be read.
    """
    return (Path(path) / "zarr.json").is_file() and attributes(path).get("complete") is True
