"""D(ε) of one step of a DFT code beside that of the store whose density it took."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maladist.datasets.dft.oneshot import OneShot
from maladist.errors import StoreError
from maladist.report.figures import with_gaps, write_picture

_STORE, _STEP = "#d94801", "#08306b"  # of different lightness: told apart in print too


def step_axes(ax: Axes, found: OneShot) -> None:
    """Draw both D(ε) an atom and both Fermi levels.

    Raises
    ------
    StoreError
        The store has no D(ε).
    """
    if found.energy_grid is None or found.dos is None or found.stored_dos is None:
        raise StoreError("plot", "a store without D(ε)", "one of a model with an LDOS, or a snapshot")
    energies, n = found.energy_grid, found.energies.n_atoms
    levels = (found.stored_fermi_energy, found.fermi_energy)
    for name, dos, mu, colour, style in zip(
        ("store", "one step"), (found.stored_dos, found.dos), levels, (_STORE, _STEP), ("-", "--"), strict=True
    ):
        at = "" if mu is None else f", $\\mu$ = {mu:.3f} eV"
        ax.plot(*with_gaps(energies, dos / n), color=colour, ls=style, lw=1.4, label=name + at)
        if mu is not None:
            ax.axvline(mu, color=colour, ls=style, lw=0.8)
    ax.set(xlabel="$\\varepsilon$ (eV)", ylabel="$D(\\varepsilon)$ (1/eV/atom)", xlim=energies.values[[0, -1]])
    ax.legend(frameon=False)


def write_plot(found: OneShot, path: str | Path) -> Path:
    """Write the picture; the file's ending tells its format."""
    figure = Figure(figsize=(6, 4.2), layout="constrained")
    step_axes(figure.subplots(), found)
    return write_picture(figure, path, "plot")
