"""The powder pattern as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maladist.physics.diffraction import Powder, profile
from maladist.report.figures import write_picture

_LINE, _NAME = "#08306b", "#d94801"
_NAMED = 3.0  # percent of the strongest line
_NEAR = 1.5  # degrees within which only the strongest line has its name


def pattern_axes(ax: Axes, found: xr.Dataset, width: float = 0.3) -> None:
    """Draw the pattern with lines of a width (degrees), 100 for the strongest, and the indices of the strong ones."""
    columns = (found[n].values for n in ("two_theta", "intensity", "multiplicity", "line_miller"))
    lines = Powder(*columns)
    last = float(lines.two_theta.max(initial=10.0)) + 5
    angles = np.arange(0.0, last, width / 20)
    heights = profile(lines, angles, width)
    ax.plot(angles, 100 * heights / (heights.max() or 1.0), color=_LINE, lw=1.0)
    for angle, intensity, hkl in zip(lines.two_theta, lines.intensity, lines.hkl, strict=True):
        near = np.abs(lines.two_theta - angle) < _NEAR
        # One name where lines lie close; of a cell of many displaced atoms none would be of use.
        if intensity >= max(_NAMED, lines.intensity[near].max()) and len(lines.two_theta) <= 400:
            name = "".join(f"{i}" if i >= 0 else f"$\\bar{{{-i}}}$" for i in hkl.tolist())
            top = 100 * float(np.interp(angle, angles, heights)) / float(heights.max())
            ax.annotate(name, (angle, top + 1), ha="center", va="bottom", fontsize=7, rotation=90, color=_NAME)
    wavelength = found.attrs["wavelength_A"]
    ax.set(xlabel=f"$2\\theta$ (degrees), $\\lambda$ = {wavelength:g} Å", ylabel="intensity, valence electrons")
    ax.set(xlim=(0, last), ylim=(0, 118))


def write_plot(found: xr.Dataset, path: str | Path) -> Path:
    """Write the picture; the file's ending tells its format."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    pattern_axes(figure.subplots(), found)
    return write_picture(figure, path, "plot")
