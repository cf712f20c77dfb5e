"""A slab's surface: the lattice vector that is its normal, its outermost atoms and the vacuum before them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, get_args

import ase
import numpy as np

from maladist.arrays import Array
from maladist.errors import AtomsError, GridError, InputError
from maladist.grid import Grid

Side = Literal["top", "bottom"]
"""The surface that looks along the lattice vector, or the one that looks against it."""

LEAST_VACUUM: Final = 4.0
"""Distance, Å, of a slab's last layer to the first of its next image, below which there is no surface; layers of a
crystal are nearer."""

_TILTED: Final = 1e-4
"""Sine of the angle between a lattice vector and the normal of the other two, above which it is tilted."""


@dataclass(frozen=True)
class Surface:
    """A surface whose normal is a lattice vector.

    Attributes
    ----------
    axis
        Lattice vector along the normal, 0, 1 or 2.
    side
        'top', where the tip or the vacuum lies at larger coordinates than the atoms, or 'bottom'.
    length
        Length of that lattice vector, Å.
    outermost
        Coordinate of the outermost atoms along it, Å from the cell's origin.
    vacuum
        Distance to the atoms across the vacuum, those of the slab's next image, Å.
    """

    axis: int
    side: Side
    length: float
    outermost: float
    vacuum: float

    @classmethod
    def of(cls, atoms: ase.Atoms, axis: int | str = "c", side: Side = "top") -> Surface:
        """Find the surface of a slab.

        Parameters
        ----------
        atoms
            The slab, periodic in all three directions; its vacuum is the widest gap between atoms along ``axis``.
        axis
            Lattice vector along the normal: 'a', 'b', 'c' or 0, 1, 2.
        side
            'top' or 'bottom'.

        Raises
        ------
        GridError
            The axis is none, or tilted against the normal of the other two lattice vectors.
        AtomsError
            There is no vacuum.
        """
        k = axis_index(axis)
        if side not in get_args(Side):
            raise InputError("side", repr(side), " or ".join(get_args(Side)))
        length = normal_length(atoms.cell.array, k)
        # One fraction for each atom: positions may lie outside of the cell.
        heights = np.sort(atoms.get_scaled_positions(wrap=True)[:, k] % 1.0) * length
        gaps = np.diff(heights, append=heights[0] + length)
        widest = int(np.argmax(gaps))
        vacuum = float(gaps[widest])
        if vacuum < LEAST_VACUUM:
            came = f"{vacuum:.2f} Å of vacuum along {'abc'[k]}"
            raise AtomsError("atoms", came, f"a slab with {LEAST_VACUUM:g} Å or more", "Is its normal another --axis?")
        # Below the gap ends the top of the slab, above it begins the bottom of its next image.
        outermost = heights[widest] if side == "top" else heights[(widest + 1) % len(heights)]
        return cls(k, side, length, float(outermost), vacuum)

    def coordinate(self, height: float) -> float:
        """Coordinate along the axis, Å from the cell's origin, so high above the outermost atoms; in the cell."""
        return float((self.outermost + self._outwards * height) % self.length)

    def planes(self, grid: Grid) -> tuple[list[int], float]:
        """Planes of a grid from the middle of the vacuum to the middle of the slab.

        Returns
        -------
        tuple
            Their indices along the axis, and the height of the first above the outermost atoms, Å; each of the others
            is a spacing lower than the one before it.
        """
        n, out = grid.shape[self.axis], self._outwards
        step, outermost = self.length / n, out * self.outermost
        first = math.floor((outermost + self.vacuum / 2) / step)
        last = math.ceil((outermost - (self.length - self.vacuum) / 2) / step)
        return [out * k % n for k in range(first, last - 1, -1)], first * step - outermost

    @property
    def _outwards(self) -> int:
        return 1 if self.side == "top" else -1


def axis_index(axis: int | str) -> int:
    """Index of a lattice vector by its name or that of the grid's axis along it.

    Raises
    ------
    GridError
        It is none.
    """
    known = {"a": 0, "b": 1, "c": 2, "x": 0, "y": 1, "z": 2, 0: 0, 1: 1, 2: 2}
    if axis not in known:
        raise GridError("axis", repr(axis), "'a', 'b', 'c' or 0, 1, 2")
    return known[axis]


def normal_length(cell: Array, axis: int) -> float:
    """Length of a lattice vector, Å, that is the normal of the other two.

    Raises
    ------
    GridError
        It is tilted against their normal: planes at one height above each other would be shifted.
    """
    vector, (u, v) = cell[axis], np.delete(cell, axis, axis=0)
    normal = np.cross(u, v)
    length = float(np.linalg.norm(vector))
    sine = float(np.linalg.norm(np.cross(vector, normal)) / (length * np.linalg.norm(normal)))
    if sine > _TILTED:
        name, others = "abc"[axis], " and ".join("abc"[i] for i in range(3) if i != axis)
        came = f"{name} is tilted by {np.degrees(np.arcsin(min(1.0, sine))):.2f}° against the normal of {others}"
        raise GridError("cell", came, f"{name} along the surface's normal", "Oblique slabs are not supported.")
    return length
