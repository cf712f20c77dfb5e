"""A density in a store, of which tasks read the parts that they need."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import isclose
from pathlib import Path

import numpy as np
import xarray as xr

from maladist.arrays import Array, Indices
from maladist.errors import InputError
from maladist.io import stores
from maladist.io.memory import Memory
from maladist.io.opening import open_dataset
from maladist.io.urls import place
from maladist.prediction.result import Prediction


@dataclass(frozen=True)
class StoredDensity:
    """A density in a store: its path or URL, and the index along the temperatures where there are several."""

    path: str
    temperature: int | None

    def slab(self, a: int, b: int) -> Array:
        """Values of a slab of x, 1/Å³."""
        at = () if self.temperature is None else (self.temperature,)
        return np.asarray(stores.read_region(self.path, "density", (*at, slice(a, b))), dtype=np.float64)

    def box(self, first: Indices, size: Indices, shape: tuple[int, int, int]) -> Array:
        """Values of a box of the periodic grid of a shape, whose first point may lie outside of the cell, 1/Å³."""
        at = () if self.temperature is None else (self.temperature,)
        found = np.empty(size)
        # A box that crosses the end of the cell is read in pieces.
        for pieces in product(*(_pieces(int(a), int(m), n) for a, m, n in zip(first, size, shape, strict=True))):
            into = tuple(slice(to, to + b - a) for to, a, b in pieces)
            of = tuple(slice(a, b) for _, a, b in pieces)
            found[into] = stores.read_region(self.path, "density", (*at, *of))
        return found


def _pieces(first: int, size: int, n: int) -> list[tuple[int, int, int]]:
    """Where each piece of first … first + size − 1 goes, and its ends in 0 … n."""
    found, done = [], 0
    while done < size:
        a = (first + done) % n
        b = min(n, a + size - done)
        found.append((done, a, b))
        done += b - a
    return found


def stored_density(
    source: Prediction | str | Path, temperature: float | None, argument: str
) -> tuple[xr.Dataset, StoredDensity]:
    """Data set with a density, and where that is."""
    path = source.store if isinstance(source, Prediction) else place(source)
    if isinstance(path, Memory):
        raise InputError(argument, "a result in memory", "one in a store")
    dataset = open_dataset(path, need=("density", "position", "number", "cell"))
    if "temperature" not in dataset["density"].dims:
        own = np.atleast_1d(dataset.attrs.get("temperature_K", ())).tolist()
        if temperature is not None and not any(isclose(temperature, t, rel_tol=1e-9) for t in own):
            at = ", ".join(f"{t:g} K" for t in own) or "no temperature that is told"
            came = f"{temperature:g} K for a density at {at}"
            raise InputError("temperature", came, "none, or that of the store", f"It is {argument}'s.")
        return dataset, StoredDensity(str(path.resolve()), None)
    there = dataset["temperature"].values.tolist()
    if temperature not in there:
        came = "none" if temperature is None else f"{temperature:g} K"
        raise InputError("temperature", came, f"one of {', '.join(f'{t:g}' for t in there)} K", f"It is {argument}'s.")
    return dataset, StoredDensity(str(path.resolve()), there.index(temperature))
