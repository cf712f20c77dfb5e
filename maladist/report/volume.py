"""A density of any size as samples few enough for a browser, averaged while it is read slab by slab."""

from __future__ import annotations

import base64
import json
import math
from typing import Final

import ase
import numpy as np
import xarray as xr
from ase.data import covalent_radii
from ase.data.colors import jmol_colors

from maladist.arrays import Array
from maladist.grid import Grid

SAMPLES: Final = 42**3
"""Most samples of a volume: 0.2 MB of text, and a surface of some ten thousand triangles."""

_SLAB: Final = 2**22  # points that are read at a time


def coarse_shape(grid: Grid, most: int = SAMPLES) -> tuple[int, int, int]:
    """Shape of at most about ``most`` samples with equal spacing in Å along the lattice vectors."""
    # The edge of a cube of which `most` fill the cell, so that samples are as far apart in each direction.
    h = (math.prod(np.linalg.norm(grid.cell_array, axis=1)) / most) ** (1 / 3)
    nx, ny, nz = (
        min(n, max(2, round(float(length) / h)))
        for n, length in zip(grid.shape, np.linalg.norm(grid.cell_array, axis=1), strict=True)
    )
    return (nx, ny, nz)


def coarsen(field: xr.DataArray, shape: tuple[int, int, int]) -> Array:
    """Means of a field (x, y, z) over bricks that fill it; what is held of it at one time is a slab of x."""
    edges = [np.round(np.linspace(0, n, m + 1)).astype(int) for n, m in zip(field.shape, shape, strict=True)]
    counts = [np.diff(e) for e in edges]
    out = np.empty(shape)
    per_row = math.prod(field.shape[1:]) * int(counts[0].max())
    step = max(1, _SLAB // per_row)
    for first in range(0, shape[0], step):
        last = min(first + step, shape[0])
        a, b = int(edges[0][first]), int(edges[0][last])
        slab = np.asarray(field[a:b], dtype=np.float64)
        # Sums over bricks, axis by axis; divided once by the points of each in the end.
        slab = np.add.reduceat(slab, edges[0][first:last] - a, axis=0)
        slab = np.add.reduceat(slab, edges[1][:-1], axis=1)
        out[first:last] = np.add.reduceat(slab, edges[2][:-1], axis=2)
    return out / (counts[0][:, None, None] * counts[1][:, None] * counts[2])


def volume_json(
    field: xr.DataArray,
    grid: Grid,
    atoms: ase.Atoms | None = None,
    level: float | None = None,
    name: str = "n",
    units: str = "1/Å³",
    most: int = SAMPLES,
) -> str:
    """What the viewer needs of a field: samples of 16 bits, the cell, the atoms and a level to begin with."""
    shape = coarse_shape(grid, most)
    samples = coarsen(field, shape)
    low, high = float(samples.min()), float(samples.max())
    # 16 bits between the least and the largest value: more than a screen can show, and half of a float32.
    whole = np.round((samples - low) / max(high - low, 1e-300) * 65535).astype("<u2")
    atoms = ase.Atoms() if atoms is None else atoms
    # A brick's mean belongs to its middle; that of the first lies (points - 1)/2 behind the cell's corner.
    shift = 0.5 / np.array(shape) - 0.5 / np.array(grid.shape)
    scaled = (atoms.positions @ np.linalg.inv(grid.cell_array) - shift) % 1.0
    said: dict[str, object] = {
        "shape": list(shape),
        "cell": grid.cell_array.tolist(),
        "low": low,
        "high": high,
        "level": float(np.quantile(samples, 0.85)) if level is None else float(level),
        "name": name,
        "units": units,
        "samples": base64.b64encode(whole.tobytes()).decode(),
        "atoms": [
            [np.round(f, 5).tolist(), np.round(jmol_colors[z], 3).tolist(), round(0.4 * float(covalent_radii[z]), 3)]
            for f, z in zip(scaled, atoms.numbers, strict=True)
        ],
    }
    return json.dumps(said)
