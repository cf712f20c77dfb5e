"""Charges as a picture: electrons of each atom, and D(ε) of an atom of each element."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from ase.data import chemical_symbols
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maladist.metadata import energy_grid_of
from maladist.report.figures import with_gaps, write_picture

_COLOURS = ("#08306b", "#d94801", "#4a7ba6", "#7f2704", "#9ecae1", "#525252")


def electron_axes(ax: Axes, found: xr.Dataset) -> None:
    """Draw the electrons of each atom, and behind the atoms those of the maxima that are none's."""
    for (symbol, own), colour in zip(_elements(found), _COLOURS * 20, strict=False):
        ax.plot(own, found["electrons"].values[own], ".", color=colour, ms=5, label=symbol)
    if found.sizes.get("maximum"):
        behind = found.sizes["atom"] + np.arange(found.sizes["maximum"])
        ax.plot(behind, found["maximum_electrons"], "x", color="0.5", ms=4, label="no atom's")
    ax.set(xlabel="atom", ylabel="electrons", title=f"after {found.attrs['method'].capitalize()}")
    ax.legend(frameon=False)


def dos_axes(ax: Axes, found: xr.Dataset) -> None:
    """Draw the mean D(ε) of the atoms of each element, and the range that they span."""
    energies = energy_grid_of(found)
    for (symbol, own), colour in zip(_elements(found), _COLOURS * 20, strict=False):
        dos = found["atom_dos"].values[own]
        (shown, low), (_, high) = (with_gaps(energies, ends) for ends in (dos.min(axis=0), dos.max(axis=0)))
        ax.fill_between(shown, low, high, color=colour, alpha=0.2, lw=0)
        ax.plot(*with_gaps(energies, dos.mean(axis=0)), color=colour, lw=1.3, label=symbol)
    ax.set(xlabel="$\\varepsilon$ (eV)", ylabel="$D_a(\\varepsilon)$ (1/eV)", xlim=energies.values[[0, -1]])
    ax.set_title("of an atom: mean and range")
    ax.legend(frameon=False)


def _elements(found: xr.Dataset) -> list[tuple[str, np.ndarray]]:
    numbers = found["number"].values
    return [(chemical_symbols[z], np.flatnonzero(numbers == z)) for z in np.unique(numbers)]


def write_plot(found: xr.Dataset, path: str | Path) -> Path:
    """Write the picture; the file's ending tells its format."""
    with_dos = "atom_dos" in found
    figure = Figure(figsize=(10 if with_dos else 6, 3.8), layout="constrained")
    axes = figure.subplots(1, 2 if with_dos else 1, squeeze=False)[0]
    electron_axes(axes[0], found)
    if with_dos:
        dos_axes(axes[1], found)
    return write_picture(figure, path, "plot")
