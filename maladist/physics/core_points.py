"""The cores' charge n_core(r) at the points of a box of the grid, from the radial functions of the pseudopotentials.

In real space, where nothing but the atoms nearby counts; energies take the coefficients of `maladist.physics.core`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from ase.data import chemical_symbols

from maladist.arrays import Array, Indices, Numbers
from maladist.elements import Element
from maladist.grid import Grid
from maladist.neighbors import CellList

_SMALLEST: Final = 1e-6
"""1/Å³, below which a core's charge is left out: a millionth of a metal's density."""


def core_charge_at(
    grid: Grid, first: Indices, size: Indices, positions: Array, numbers: Numbers, elements: Mapping[str, Element]
) -> Array:
    """Sum over the atoms and their images.

    Parameters
    ----------
    grid
        Grid of the whole cell.
    first, size
        The box: its first point, which may lie outside of the cell, and its shape, each (3,).
    positions, numbers
        Atoms of the cell, (n_atoms, 3) Å and (n_atoms,).
    elements
        Elements by symbol; those that are not there, or without a core charge, add nothing.

    Returns
    -------
    Array
        n_core, of the box's shape, 1/Å³.
    """
    total, shape = np.zeros(size), np.array(grid.shape)
    to_steps, steps = np.linalg.inv(grid.cell_array) * shape, grid.cell_array / shape[:, None]
    for z in np.unique(numbers):
        element = elements.get(chemical_symbols[z])
        if element is None or element.core_radii is None or element.core_density is None:
            continue
        there = element.core_radii[element.core_density > _SMALLEST]
        if not len(there):
            continue
        cutoff, own = float(there.max()), numbers == z
        cells = CellList(grid.cell_array, positions[own], numbers[own], cutoff)
        reach = cutoff * np.linalg.norm(to_steps, axis=0)
        for centre in cells.around(first / shape, (first + size - 1) / shape).positions @ to_steps - first:
            low = np.maximum(np.ceil(centre - reach), 0).astype(np.int64)
            high = np.minimum(np.floor(centre + reach) + 1, size).astype(np.int64)
            x, y, z_ = (np.arange(a, b) - c for a, b, c in zip(low, high, centre, strict=True))
            away = x[:, None, None, None] * steps[0] + y[:, None, None] * steps[1] + z_[:, None] * steps[2]
            r = np.linalg.norm(away, axis=-1)
            inside = np.where(r <= cutoff, np.interp(r, element.core_radii, element.core_density), 0.0)
            total[low[0] : high[0], low[1] : high[1], low[2] : high[2]] += inside
    return total
