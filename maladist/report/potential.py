"""A picture of a potential's planar average along an axis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maladist import metadata
from maladist.physics.planar import macroscopic_average
from maladist.physics.surface import axis_index
from maladist.report.figures import write_picture


def planar_axes(
    ax: Axes, found: xr.Dataset, axis: str = "c", period: float | None = None, mu: float | None = None
) -> None:
    """Draw the planar average of what `maladist.potential` gives, its macroscopic one, atoms as ticks, and μ."""
    grid, k = metadata.grid_of(found), axis_index(axis)
    length = grid.volume / float(np.linalg.norm(np.cross(*np.delete(grid.cell_array, k, axis=0))))
    across = [d for i, d in enumerate("xyz") if i != k]
    planar = np.asarray(found["potential"].mean(across).values)
    at = np.arange(len(planar)) * length / len(planar)
    ax.plot(at, planar, color="#08306b", lw=1.4, label="planar average")
    if period is not None:
        ax.plot(
            at,
            macroscopic_average(planar, length, period),
            color="#41ab5d",
            lw=1.4,
            label=f"its mean over {period:.4g} Å",
        )
    mu = float(found["fermi_energy_eV"]) if mu is None and "fermi_energy_eV" in found else mu
    if mu is not None:
        ax.axhline(mu, color="#d94801", ls="--", lw=1.2, label=f"$\\mu$ = {mu:.3f} eV")
    heights = metadata.atoms_of(found).get_scaled_positions(wrap=True)[:, k] * length
    ax.plot(heights, np.full(len(heights), planar.min()), ls="", marker="|", ms=9, color="0.3", label="atoms")
    ax.set(xlabel=f"along {axis} (Å)", ylabel="$V_H + V_{loc}$ (eV)", xlim=(0, length))
    ax.legend(frameon=True, facecolor="white", edgecolor="none", framealpha=0.85)


def write_plot(
    found: xr.Dataset, path: str | Path, axis: str = "c", period: float | None = None, mu: float | None = None
) -> Path:
    """Write the picture; the file's ending tells its format."""
    figure = Figure(figsize=(6.5, 4.2), layout="constrained")
    planar_axes(figure.subplots(), found, axis, period, mu)
    return write_picture(figure, path, "plot")
