"""Zarr stores: opening data sets, making templates, writing regions.

A template is made first, whole, with attribute ``complete`` false; blocks then write their own regions. A chunk belongs
to one block, a chunk is written to a temporary name and renamed, so that a block is there whole or not at all.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
import zarr
import zarr.errors

from maladist.errors import StoreError
from maladist.io.targets import check_place
from maladist.schema import VARIABLES

WORK = "work"
"""Group of what a run needs only while it lasts."""


@dataclass(frozen=True)
class ArrayTemplate:
    """An array to be made; a chunk belongs to one block."""

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dims: tuple[str, ...]
    dtype: str = "float64"
    units: str = "1"


def check_target(path: str | Path, overwrite: bool, name: str = "output") -> Path:
    """Refuse a result path that exists, unless it is a zarr store that may be overwritten.

    Raises
    ------
    StoreError
        The path exists and may not be, or must not be, replaced.
    OutputError
        Its folder does not exist or cannot be written.
    """
    path = Path(path)
    check_place(path, name)
    if path.exists() and not overwrite:
        raise StoreError(name, f"{path} exists", "a new store", "Give --overwrite (overwrite=True) to replace it.")
    if path.exists() and not (path / "zarr.json").exists():
        raise StoreError(
            name, f"{path} exists and is not a zarr store", "a zarr store or a new path", "It is left as it is."
        )
    return path


def create(
    path: str | Path, arrays: Mapping[str, ArrayTemplate], attributes: Mapping[str, Any], overwrite: bool = False
) -> None:
    """Make a store with empty arrays; names may hold groups, as in ``work/modes``."""
    path = check_target(path, overwrite)
    if path.exists():
        # Out of the way at once: what an interrupted removal leaves is no store, and could not be replaced.
        aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.removed")
        path.rename(aside)
        shutil.rmtree(aside)
    zarr.create_group(str(path), attributes={**attributes, "complete": False})
    add_arrays(path, arrays)


def add_arrays(path: str | Path, arrays: Mapping[str, ArrayTemplate]) -> None:
    """Add empty arrays to a store; those that exist are replaced."""
    group = zarr.open_group(str(path), mode="r+")
    for name, template in arrays.items():
        _create_array(group, name, template)


def _create_array(group: zarr.Group, name: str, template: ArrayTemplate) -> None:
    group.create_array(
        name,
        shape=template.shape,
        chunks=template.chunks,
        dtype=template.dtype,
        fill_value=np.nan if np.dtype(template.dtype).kind == "f" else 0,
        dimension_names=template.dims,
        attributes={"units": template.units},
        overwrite=True,
        # An all-zero block must leave a file too, and DFT-like numbers hardly compress.
        config={"write_empty_chunks": True},
        compressors=None if name.startswith(WORK) else "auto",
    )


def field_template(name: str, shape: Sequence[int], chunks: Sequence[int], leading: int = 0) -> ArrayTemplate:
    """Template of a variable of the contract; ``leading`` > 0 adds a leading dim ``temperature`` of that size."""
    variable = VARIABLES[name]
    extra = (leading,) if leading else ()
    dims = ("temperature", *variable.dims) if leading else variable.dims
    return ArrayTemplate((*extra, *shape), (*extra, *chunks), dims, variable.dtype, variable.units)


def open_array(path: str | Path, name: str, mode: str = "r+") -> zarr.Array[Any]:
    """Open one array of a store."""
    return zarr.open_array(str(Path(path) / name), mode=mode)


def write_region(path: str | Path, name: str, region: tuple[slice | int, ...], values: npt.NDArray[Any]) -> None:
    """Write a block's own region of an array; the caller answers for regions being whole chunks."""
    open_array(path, name)[region] = values


def write_values(path: str | Path, values: Mapping[str, tuple[tuple[str, ...], npt.NDArray[Any], str]]) -> None:
    """Write small whole arrays: name -> (dims, values, units). A scalar has no dims. Arrays that exist are replaced."""
    group = zarr.open_group(str(path), mode="r+")
    for name, (dims, data, units) in values.items():
        data = np.asarray(data)
        array = group.create_array(
            name, shape=data.shape, dtype=data.dtype, dimension_names=dims, attributes={"units": units}, overwrite=True
        )
        array[...] = data


def attributes(path: str | Path, group: str = "") -> dict[str, Any]:
    """Attributes of a store or of a group in it."""
    return dict(zarr.open_group(str(Path(path) / group), mode="r").attrs)


def set_attributes(path: str | Path, values: Mapping[str, Any], group: str = "") -> None:
    """Add attributes to a store or to a group in it."""
    zarr.open_group(str(Path(path) / group), mode="r+").attrs.update(dict(values))


def finish(path: str | Path) -> None:
    """Drop the group ``work`` and mark the store as complete."""
    set_attributes(path, {"complete": True})
    shutil.rmtree(Path(path) / WORK, ignore_errors=True)


def is_complete(path: str | Path) -> bool:
    """Whether a store is one that a run has finished."""
    try:
        return attributes(path).get("complete") is True
    except (zarr.errors.NodeNotFoundError, FileNotFoundError, KeyError, ValueError):
        return False


def remove(path: str | Path) -> None:
    """Remove a store."""
    shutil.rmtree(path, ignore_errors=True)


def open_dataset(path: str | Path, chunks: Mapping[str, int] | None = None, *, unfinished: bool = False) -> xr.Dataset:
    """Open a store, or a group of it such as ``DATA.zarr/snapshots/NAME``, lazily.

    Parameters
    ----------
    path
        Folder of a zarr store or group.
    chunks
        Dask chunks by dim; None for lazy numpy-backed variables, {} for the chunks on disk.
    unfinished
        Whether a store that a run has left unfinished may be opened.

    Raises
    ------
    StoreError
        No such folder, not a zarr store, or a store that a run left unfinished.
    """
    path = Path(path)
    if not path.exists():
        raise StoreError("store", f"{path} does not exist", "a zarr store")
    try:
        dataset = xr.open_zarr(str(path), chunks=None if chunks is None else dict(chunks), consolidated=False)
    except (zarr.errors.NodeNotFoundError, FileNotFoundError, KeyError, ValueError) as error:
        raise StoreError(
            "store", f"{path} cannot be opened ({error})", "a zarr store that follows the data contract"
        ) from error
    if dataset.attrs.get("complete") is False and not unfinished:
        raise StoreError(
            "store", f"{path} is unfinished", "a finished store", "Finish it with maladist predict --resume."
        )
    return dataset
