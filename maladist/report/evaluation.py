"""Pictures of a model's errors: parity with DFT, errors by snapshot, and an ensemble's spread beside the error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from maladist.evaluation.baselines import Baselines
from maladist.evaluation.coverage import coverage, error_under
from maladist.evaluation.spread import calibration
from maladist.evaluation.statistics import BAND, TOTAL, Evaluated
from maladist.io.targets import check_folder, explained
from maladist.learning.uncertainty import WIDTH
from maladist.report.figures import write_picture

# Sizes of cells differ in marker and in lightness: they are told apart without colour vision and in print.
_MARKS: Final = ("o", "s", "^", "D", "v", "P", "X")
_COLOURS: Final = ("#08306b", "#d94801", "#6baed6", "#252525", "#fdae6b", "#969696", "#4292c6")
_LABELS: Final = {BAND: "$E_b$", TOTAL: "$A$", "entropy_contribution": "$-TS$", "density": "$n$", "forces": "$F$"}
_UNITS: Final = {"forces": "eV/Å", "density": "1/Å³"}


def write_plots(
    evaluated: Sequence[Evaluated], folder: str | Path, baselines: Baselines | None = None, *, spread: bool = False
) -> list[Path]:
    """Write ``parity.png``, ``errors.png`` and, where there is what they show, ``forces.png``, ``spread.png``, and
    ``calibration.png`` of a model's σ.

    Parameters
    ----------
    evaluated
        Errors, as `evaluate` returned them.
    folder
        Folder, made where it is not there; pictures of these names are replaced.
    baselines
        Baselines to draw beside the model's errors.
    spread
        Whether to draw |error| over an ensemble's spread too.

    Returns
    -------
    list of Path
        Paths of the pictures.

    Raises
    ------
    OutputError
        The folder cannot be made or written.
    """
    folder = Path(folder)
    with explained(check_folder(folder, "plots"), "plots"):
        folder.mkdir(exist_ok=True)
    # Only what every snapshot has: a picture of some of them would pass for all.
    names = [n for n in (TOTAL, BAND) if all(n in one.predicted for one in evaluated)]
    figure, panels = _panels(len(names))
    for ax, name in zip(panels, names, strict=True):
        parity_axes(ax, evaluated, name)
    pictures = [write_picture(figure, folder / "parity.png", "plots")]

    figure = Figure(figsize=(max(7.0, 0.24 * len(evaluated) + 3), 2.7 * len(names) + 2.9), layout="constrained")
    axes = np.atleast_1d(figure.subplots(len(names) + 1, 1, sharex=True))
    for ax, name in zip(axes, names, strict=False):
        error_axes(ax, evaluated, name, baselines)
    density_error_axes(axes[-1], evaluated)
    pictures.append(write_picture(figure, folder / "errors.png", "plots"))
    if any(one.forces for one in evaluated):
        figure, (ax,) = _panels(1)
        force_axes(ax, evaluated)
        pictures.append(write_picture(figure, folder / "forces.png", "plots"))
    if spread:
        pictures.append(_write_spread(evaluated, folder / "spread.png"))
    if worth := coverage(evaluated).get("all"):
        figure, panels = _panels(len(worth))
        for ax, name in zip(panels, worth, strict=True):
            calibration_axes(ax, evaluated, name)
        pictures.append(write_picture(figure, folder / "calibration.png", "plots"))
    return pictures


def parity_axes(ax: Axes, evaluated: Sequence[Evaluated], name: str) -> None:
    """Draw the model's energy over the DFT's, eV/atom, and the diagonal."""
    both = [v for one in evaluated for v in (one.reference[name], one.predicted[name])]
    # One snapshot, or equal energies, still need a range to be drawn in.
    room = 0.06 * max(max(both) - min(both), 1e-3)
    ends = (min(both) - room, max(both) + room)
    ax.plot(ends, ends, color="0.6", lw=1, zorder=0)
    for n, mark, colour in _sizes(evaluated):
        some = [one for one in evaluated if one.n_atoms == n]
        x, y = [one.reference[name] for one in some], [one.predicted[name] for one in some]
        ax.plot(x, y, mark, color=colour, mfc="none", mew=1.4, ms=6, label=f"{n} atoms")
    mean = np.mean([abs(one.terms[name]) for one in evaluated])
    label = _LABELS[name]
    title = f"{label}: mean |Δ| = {mean:.1f} meV/atom"
    ax.set(xlim=ends, ylim=ends, aspect="equal", xlabel=f"{label} of DFT (eV/atom)", ylabel=f"{label} of the model")
    ax.set_title(title, fontsize="medium")
    ax.locator_params(nbins=5)
    ax.legend(frameon=False)


def force_axes(ax: Axes, evaluated: Sequence[Evaluated]) -> None:
    """Draw every component of the model's forces over the DFT's, eV/Å, and the diagonal."""
    compared, end = [one for one in evaluated if one.forces], 1e-3
    for n, mark, colour in _sizes(compared):
        some = [one for one in compared if one.n_atoms == n]
        x = np.concatenate([np.ravel(one.reference_forces or []) for one in some])
        y = np.concatenate([np.ravel(one.forces or []) for one in some])
        end = max(end, 1.06 * np.abs(x).max(), 1.06 * np.abs(y).max())
        ratio = np.sqrt(np.mean((y - x) ** 2) / max(np.mean(x**2), 1e-30))
        ax.plot(x, y, mark, color=colour, mfc="none", mew=0.8, ms=3.5, label=f"{n} atoms: RMSE/RMS {ratio:.1%}")
    ends = (-end, end)
    ax.plot(ends, ends, color="0.6", lw=1, zorder=0)
    ax.set(xlim=ends, ylim=ends, aspect="equal", xlabel="F of DFT (eV/Å)", ylabel="F of the model (eV/Å)")
    ax.legend(frameon=False)


def error_axes(ax: Axes, evaluated: Sequence[Evaluated], name: str, baselines: Baselines | None = None) -> None:
    """Draw the error of an energy for every snapshot, with the ensemble's spread and the baselines where there are."""
    label = _LABELS[name]
    for n, mark, colour in _sizes(evaluated):
        at = [i for i, one in enumerate(evaluated) if one.n_atoms == n]
        y = [evaluated[i].terms[name] for i in at]
        bars = [evaluated[i].spread.get(name, 0.0) for i in at]
        ax.errorbar(at, y, bars if any(bars) else None, fmt=mark, color=colour, ms=6, lw=1.2, label=f"{n} atoms")
    if baselines is not None:
        kind = "E_b" if name == BAND else "A"
        for base, mark in (("mean of training", "_"), ("linear", "x")):
            errors = baselines.errors.get(f"{kind}: {base}")
            if errors is not None and (base, name) != ("mean of training", BAND):  # off by far more than all else
                ax.plot(range(len(errors)), errors, mark, color="0.5", ms=8, mew=1.4, label=f"baseline, {base}")
    ax.axhline(0, color="0.6", lw=1, zorder=0)
    ax.set(ylabel=f"Δ{label} (meV/atom)")
    ax.legend(frameon=False, ncols=1, loc="center left", bbox_to_anchor=(1.0, 0.5))


def density_error_axes(ax: Axes, evaluated: Sequence[Evaluated]) -> None:
    """Draw mean |Δn| / mean n for every snapshot, by name."""
    for n, mark, colour in _sizes(evaluated):
        at = [i for i, one in enumerate(evaluated) if one.n_atoms == n]
        y = [100 * (evaluated[i].density_relative or np.nan) for i in at]
        ax.plot(at, y, mark, color=colour, ms=6)
    top = max((one.density_relative or 0.0 for one in evaluated), default=0.0) or 0.01
    ax.set(ylabel="mean |Δn| / mean n (%)", ylim=(0, 108 * top))
    ax.set_xticks(range(len(evaluated)), [one.name for one in evaluated], rotation=90, fontsize=8)


def spread_axes(ax: Axes, evaluated: Sequence[Evaluated], name: str) -> None:
    """Draw |error| over the ensemble's spread, with the lines |error| = σ and 2 σ."""
    said = calibration(evaluated)[name]
    unit, scale = ("%", 100.0) if name == "density" else ("meV/atom", 1.0)
    for n, mark, colour in _sizes(evaluated):
        some = [one for one in evaluated if one.n_atoms == n]
        x = [scale * one.spread[name] for one in some]
        y = [scale * abs((one.density_relative or 0.0) if name == "density" else one.terms[name]) for one in some]
        ax.plot(x, y, mark, color=colour, mfc="none", mew=1.4, ms=6, label=f"{n} atoms")
    end = 1.08 * max(scale * one.spread[name] for one in evaluated)
    for k, style in ((1, "-"), (2, "--")):
        ax.plot([0, end], [0, k * end], style, color="0.6", lw=1, zorder=0, label="|error| = σ" if k == 1 else "2 σ")
    label = _LABELS[name]
    ax.set(xlim=(0, end), ylim=(0, None), xlabel=f"σ of {label} ({unit})", ylabel=f"|error| of {label} ({unit})")
    ax.set_title(f"{label}: Spearman {said.spearman:.2f}, error/σ = {said.ratio:.1f}", fontsize="medium")
    ax.legend(frameon=False)


def calibration_axes(ax: Axes, evaluated: Sequence[Evaluated], name: str) -> None:
    """Draw |error| over the model's σ, with the lines |error| = σ and the end of the 90 % interval."""
    worth = coverage(evaluated)["all"][name]
    known = [(one, e) for one in evaluated if name in one.sigma and (e := error_under(one, name)) is not None]
    for n, mark, colour in _sizes([one for one, _ in known]):
        x, y = zip(*((one.sigma[name], abs(e)) for one, e in known if one.n_atoms == n), strict=True)
        ax.plot(x, y, mark, color=colour, mfc="none", mew=1.4, ms=6, label=f"{n} atoms")
    ends = np.array([0.9 * min(one.sigma[name] for one, _ in known), 1.1 * max(one.sigma[name] for one, _ in known)])
    for k, style, label in ((1.0, "-", "|error| = σ"), (WIDTH, "--", f"{WIDTH:.3g} σ")):
        ax.plot(ends, k * ends, style, color="0.6", lw=1, zorder=0, label=label)
    label, unit = _LABELS[name], _UNITS.get(name, "meV/atom")
    # σ of a vacancy is many times that of the others: logarithms show both.
    ax.set(xscale="log", yscale="log", xlabel=f"σ of {label} ({unit})", ylabel=f"|error| of {label} ({unit})")
    # Over less than a decade every digit would be labelled, and the labels would lie on one another.
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    ax.set_title(
        f"{label}: rms error/σ = {worth.ratio:.2f}, {worth.within:.0%} within {WIDTH:.3g} σ", fontsize="medium"
    )
    ax.legend(fontsize="small", facecolor="0.93", edgecolor="none", framealpha=0.5)  # its marks are no points


def _write_spread(evaluated: Sequence[Evaluated], path: Path) -> Path:
    said = calibration(evaluated)
    names = [n for n in (TOTAL, BAND, "density") if n in said]
    figure, panels = _panels(len(names))
    for ax, name in zip(panels, names, strict=True):
        spread_axes(ax, evaluated, name)
    return write_picture(figure, path, "plots")


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """Square panels, at most two abreast: as wide as a page's column, with letters that can be read there."""
    columns, rows = min(count, 2), -(-count // 2)
    figure = Figure(figsize=(4.4 * columns, 4.1 * rows), layout="constrained")
    return figure, [figure.add_subplot(rows, columns, i + 1) for i in range(count)]


def _sizes(evaluated: Sequence[Evaluated]) -> list[tuple[int, str, str]]:
    """Numbers of atoms that occur, with a marker and a colour for each."""
    sizes = sorted({one.n_atoms for one in evaluated})
    return [(n, _MARKS[i % len(_MARKS)], _COLOURS[i % len(_COLOURS)]) for i, n in enumerate(sizes)]
