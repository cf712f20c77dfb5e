"""A store opened as a Dataset: nothing of it lost, and as the data contract has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import xarray as xr

from maladist import schema
from maladist.attributes import check_attributes
from maladist.errors import StoreError
from maladist.io import stores
from maladist.io.chunks import reading, refuse_format_2
from maladist.io.digests import read_digests
from maladist.io.memory import Memory
from maladist.io.stores import Readable
from maladist.io.urls import place


def open_dataset(
    path: Readable,
    chunks: Mapping[str, int] | None = None,
    *,
    need: Iterable[str] | None = (),
    unfinished: bool = False,
) -> xr.Dataset:
    """Open a store, or a group of it such as ``DATA.zarr/snapshots/NAME``, lazily, and hold it against the contract.

    What is small is read now, and held against its digest; the chunks of the rest are held against their checksums as
    they are read. A store without digests, as earlier versions wrote them and other programs do, is held against the
    contract only.

    Parameters
    ----------
    path
        Folder of a zarr store or group, or its URL (`maladist.io.urls`).
    chunks
        Dask chunks by dim; None for lazy numpy-backed variables, {} for the chunks on disk.
    need
        Variables and attributes that must be there; None for a group with names of its own.
    unfinished
        Whether a store that a run has left unfinished may be opened.

    Raises
    ------
    StoreError
        No such folder, no zarr store, one that is unfinished, has lost something or breaks the contract.
    """
    if isinstance(path, Memory):
        return path.dataset()
    path = place(path)
    with reading(path):
        if not path.exists():
            raise StoreError("store", f"{path} does not exist", "a zarr store")
        refuse_format_2(path)
        # One that has lost its own zarr.json still has those of its arrays, and is told of as damaged.
        if path.is_dir() and not any(path.glob("zarr.json")) and not any(path.glob("*/zarr.json")):
            raise StoreError("store", f"{path} is a folder with other files", "a zarr store, as predict and dft make")
        digests = read_digests(path)
        store = stores.opened(path, "r", frozenset(digests.arrays))
        dataset = xr.open_zarr(
            store, chunks=None if chunks is None else dict(chunks), consolidated=False, zarr_format=3
        )
    # xarray keeps where data came from: `observe` must not overwrite what it reads.
    dataset.encoding["source"] = str(path)
    finished = dataset.attrs.get("complete") is not False
    if not (finished or unfinished):
        raise StoreError(
            "store", f"{path} is unfinished", "a finished store", "Finish it with maladist predict --resume."
        )
    # Coordinates, scalars, D(ε): what all readers look at is checked once, at the opening.
    small = [str(n) for n, v in dataset.variables.items() if v.nbytes <= schema.SMALL]
    with reading(path):
        digests.check(path, small)
    for name in small:
        with reading(path, name):
            if chunks is None or "x" not in dataset[name].dims:
                dataset[name].load(scheduler="synchronous")  # nothing that is worth a way to the workers
            else:
                stores.read_region(path, name)  # for what it may say; fields stay with Dask
    if need is not None and finished:
        check_attributes(dataset.attrs, str(path))
        schema.validate(dataset, need, str(path))
    return dataset
