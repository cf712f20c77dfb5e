"""g(r), S(q) and, where it is there, g₃ as a picture."""

from __future__ import annotations

from pathlib import Path

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maladist.report.figures import write_picture

_COLOURS = ("#08306b", "#d94801", "#4a7ba6", "#7f2704", "#9ecae1", "#525252")


def radial_axes(ax: Axes, found: xr.Dataset) -> None:
    """Draw g(r) of each pair of elements."""
    for i, pair in enumerate(found["pair"].values.tolist()):
        ax.plot(found["r"], found["radial_distribution"].sel(pair=pair), color=_COLOURS[i % len(_COLOURS)], label=pair)
    ax.axhline(1.0, color="0.7", lw=0.8)
    ax.set(xlabel="$r$ (Å)", ylabel="$g(r)$", xlim=(0, None), ylim=(0, None))
    ax.legend(frameon=False)


def factor_axes(ax: Axes, found: xr.Dataset) -> None:
    """Draw S(q), a point for each shell that has waves."""
    there = found["static_structure_factor"].dropna("q")
    ax.plot(there["q"], there, color=_COLOURS[0], marker=".", ms=3, lw=0.8)
    ax.axhline(1.0, color="0.7", lw=0.8)
    ax.set(xlabel="$q$ (1/Å)", ylabel="$S(q)$", xlim=(0, None), ylim=(0, None))


def triplet_axes(ax: Axes, found: xr.Dataset) -> None:
    """Draw g₃ of triangles with three equal sides."""
    g3 = found["triplet_distribution"]
    i = xr.DataArray(range(g3.sizes["side_1"]), dims="side")
    ax.plot(g3["side_1"], g3.isel(side_1=i, side_2=i, side_3=i), color=_COLOURS[0])
    ax.axhline(1.0, color="0.7", lw=0.8)
    ax.set(xlabel="$r$ (Å)", ylabel="$g_3(r, r, r)$", xlim=(0, None), ylim=(0, None))


def write_plot(found: xr.Dataset, path: str | Path) -> Path:
    """Write the picture; the file's ending tells its format."""
    draw = [radial_axes, factor_axes, *([triplet_axes] if "triplet_distribution" in found else [])]
    figure = Figure(figsize=(5 * len(draw), 3.8), layout="constrained")
    for ax, axes in zip(figure.subplots(1, len(draw)), draw, strict=True):
        axes(ax, found)
    return write_picture(figure, path, "plot")
