"""The electrons' thermodynamics as pictures: μ, the energies, S and C_v of an atom against the temperature."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maladist.report.figures import write_picture
from maladist.units import BOLTZMANN

_COLOURS = ("#08306b", "#d94801", "#4a7ba6")  # of different lightness: told apart in print too


def energy_axes(ax: Axes, found: xr.Dataset) -> None:
    """Draw E_b, −TS and, where it is known, A, each an atom and less its value at the lowest temperature."""
    names = {"band_energy_eV": "$E_b$", "entropy_contribution_eV": "$-TS$", "total_free_energy_eV": "$A$"}
    for (name, label), colour in zip(names.items(), _COLOURS, strict=True):
        if bool(np.isfinite(found[name]).all()):
            ax.plot(found["temperature"], 1e3 * (found[name] - found[name][0]) / _n(found), color=colour, label=label)
    ax.set(xlabel="$T$ (K)", ylabel=f"change from {float(found['temperature'][0]):g} K (meV/atom)")
    ax.legend(frameon=False)


def entropy_axes(ax: Axes, found: xr.Dataset) -> None:
    """Draw S and C_v of an atom in k_B."""
    names = {"entropy_eV_per_K": "$S$", "heat_capacity_eV_per_K": "$C_v$"}
    for (name, label), colour in zip(names.items(), _COLOURS, strict=False):
        ax.plot(found["temperature"], found[name] / (BOLTZMANN * _n(found)), color=colour, label=label)
    ax.set(xlabel="$T$ (K)", ylabel="$k_B$/atom")
    ax.legend(frameon=False)


def level_axes(ax: Axes, found: xr.Dataset) -> None:
    """Draw μ."""
    ax.plot(found["temperature"], found["fermi_energy_eV"], color=_COLOURS[0])
    ax.set(xlabel="$T$ (K)", ylabel="$\\mu$ (eV)")


def write_plot(found: xr.Dataset, path: str | Path) -> Path:
    """Write the picture; the file's ending tells its format."""
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    energies, entropies, level = figure.subplots(1, 3)
    energy_axes(energies, found)
    entropy_axes(entropies, found)
    level_axes(level, found)
    return write_picture(figure, path, "plot")


def _n(found: xr.Dataset) -> int:
    return int(found.attrs["n_atoms"])
