"""A density difference as a picture: planes across the lattice vectors, red where electrons are gained."""

from __future__ import annotations

from pathlib import Path

import xarray as xr
from matplotlib.figure import Figure

from maladist import metadata
from maladist.report.figures import draw_plane, plane_across, plane_through, write_picture


def write_plot(found: xr.Dataset, path: str | Path) -> Path:
    """Write the picture, with one scale for all planes, symmetric about zero; the file's ending tells its format."""
    grid, atoms = metadata.grid_of(found), metadata.atoms_of(found)
    field = found["density_difference"]
    planes = [plane_across(field, grid, k, plane_through(grid, atoms.positions, k)) for k in (2, 1, 0)]
    wide, high = zip(*(p.size for p in planes), strict=True)
    scale = min(10.5 / sum(wide), 4.2 / max(high))
    figure = Figure(figsize=(12.4, scale * max(high) + 1.0), layout="constrained")
    axes = figure.subplots(1, 3, width_ratios=wide)
    largest = max(float(abs(p.values).max()) for p in planes) or 1.0
    for ax, plane in zip(axes, planes, strict=True):
        mesh = draw_plane(ax, plane, atoms, (-largest, largest), "$\\Delta n(r)$", signed=True)
    figure.colorbar(mesh, ax=axes, label="1/Å$^3$", shrink=0.85, pad=0.01)
    return write_picture(figure, path, "plot")
