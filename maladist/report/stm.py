"""A picture of an STM image, with the outermost atoms."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import ase
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maladist.grid import Grid
from maladist.report.figures import Plane, draw_plane, write_picture

_WIDE: Final = 9.0
"""Å that a picture shows along each lattice vector at least: of a small cell several images side by side."""


def stm_axes(ax: Axes, image: xr.DataArray, atoms: ase.Atoms | None = None) -> None:
    """Draw what `maladist.stm` gives in its true geometry; circles are atoms within 0.4 Å of the outermost ones."""
    attrs, cell = image.attrs, np.reshape(image.attrs["cell"], (3, 3))
    axis, shape = "abc".index(attrs["axis"]), attrs["grid"]
    lengths = np.linalg.norm(cell, axis=1)
    many = [1 if i == axis else int(np.ceil(_WIDE / lengths[i])) for i in range(3)]
    values = np.tile(image.values, [m for i, m in enumerate(many) if i != axis])
    nx, ny, nz = (int(n) * m for n, m in zip(shape, many, strict=True))
    grid = Grid((cell * np.array(many)[:, None]).tolist(), (nx, ny, nz))
    plane = Plane(values, grid, axis, attrs["outermost_A"] / lengths[axis])
    mesh = draw_plane(ax, plane, None if atoms is None else atoms.repeat(many))
    constant = "current" in attrs
    label = "height above the outermost atoms (Å)" if constant else "$I$ (1/Å$^3$)"
    ax.figure.colorbar(mesh, ax=ax, label=label, shrink=0.85)
    at = f"$I$ = {attrs['current']:.3g} 1/Å$^3$" if constant else f"{attrs['height_A']:g} Å above the atoms"
    ax.set_title(f"{attrs['bias_V']:+g} V, {at}")


def write_plot(image: xr.DataArray, path: str | Path, atoms: ase.Atoms | None = None) -> Path:
    """Write the picture; the file's ending tells its format."""
    figure = Figure(figsize=(6, 4.6), layout="constrained")
    stm_axes(figure.subplots(), image, atoms)
    return write_picture(figure, path, "plot")
