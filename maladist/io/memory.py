"""A store in the memory of this process, for a result that nobody keeps and tasks that run nowhere else.

It holds what a zarr store holds, under the same names, as arrays that are whole from the beginning. There are no
chunks, no digests and no owner: nothing can be lost between a write and a read, and nobody else can reach it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from maladist.arrays import AnyArray
from maladist.errors import StoreError
from maladist.metadata import field_attributes
from maladist.schema import COORDINATES, array_attributes


@dataclass(frozen=True)
class Held:
    """An array, its dims and its unit."""

    values: AnyArray
    dims: tuple[str, ...]
    units: str


@dataclass(frozen=True, eq=False)
class Memory:
    """Arrays by name (groups as in ``work/modes``), and attributes; a context manager, as the claim to a store is."""

    arrays: dict[str, Held] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def name(self) -> str:
        """What stands for it where a store on a disk has its name."""
        return "memory"

    def __str__(self) -> str:
        return self.name

    def add(self, name: str, shape: tuple[int, ...], dtype: str, dims: tuple[str, ...], units: str) -> None:
        """Add an array of NaN, or of zeros of a type that has none."""
        empty = np.nan if np.dtype(dtype).kind == "f" else 0
        self.put(name, np.full(shape, empty, dtype), dims, units)

    def put(self, name: str, values: AnyArray, dims: tuple[str, ...], units: str) -> None:
        """Add an array that is there, which is nobody else's."""
        self.arrays[name] = Held(values, dims, units)

    def array(self, name: str) -> AnyArray:
        """An array, to read and to write.

        Raises
        ------
        StoreError
            No such array.
        """
        if name not in self.arrays:
            raise StoreError("store", f"no array {name} in memory", "a store that has it")
        return self.arrays[name].values

    def set(self, values: Mapping[str, Any]) -> None:
        """Add attributes, as they would come back from a file."""
        self.attributes.update(json.loads(json.dumps(dict(values))))

    def drop(self, group: str) -> None:
        """Forget the arrays of a group."""
        for name in [name for name in self.arrays if name.startswith(f"{group}/")]:
            del self.arrays[name]

    def dataset(self) -> xr.Dataset:
        """The arrays that are in no group, with the attributes."""
        top = {
            name: (a.dims, a.values, array_attributes(name, a.units) | field_attributes(name, a.dims, self.attributes))
            for name, a in self.arrays.items()
            if "/" not in name
        }
        dataset = xr.Dataset(top, attrs=self.attributes)
        return dataset.set_coords([name for name in COORDINATES if name in dataset])
