"""Pictures of a report as SVG that goes into the page."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maladist.prediction.novelty import NOVELTY
from maladist.prediction.result import Prediction
from maladist.report.charts import stages_axes, timeline_axes
from maladist.report.figures import dos_axes, draw_plane, plane_across, plane_through
from maladist.report.forces import arrow_axes, size_axes


@dataclass(frozen=True)
class Picture:
    """A drawing and what it shows, in words for those who do not see it."""

    svg: Markup
    label: str


def draw_dos(prediction: Prediction) -> Picture | None:
    """D(ε), its occupied part and μ; None where the store does not hold them."""
    if "dos" not in prediction.dataset or "fermi_energy_eV" not in prediction.dataset:
        return None
    return _draw(lambda ax: dos_axes(ax, prediction), (6.2, 4.3), "Density of states, its occupied part and μ")


def draw_density(first: Prediction) -> Picture | None:
    """n(r) of one temperature in planes through atoms; None where the store does not hold it."""
    if "density" not in first.dataset:
        return None
    heights = [plane_through(first.grid, first.atoms.positions, axis) for axis in range(3)]
    return _three_slices(first, first.density, heights, "1/Å$^3$", "$n(r)$")


def draw_novelty(first: Prediction) -> Picture | None:
    """The novelty in planes through the point that is farthest out; None where the store does not tell."""
    outside = first.dataset.attrs.get("outside")
    if outside is None or NOVELTY not in first.dataset:
        return None
    heights = (np.array(outside["largest_at_A"]) @ np.linalg.inv(first.grid.cell_array)) % 1.0
    return _three_slices(first, first.dataset[NOVELTY], heights.tolist(), "novelty", "novelty")


def draw_forces(first: Prediction) -> Picture | None:
    """Forces on the atoms of one temperature, from two sides, and a histogram; None where the store has none."""
    if first.forces is None:
        return None
    figure = Figure(figsize=(11.6, 4.1), layout="constrained")
    top, side, sizes = figure.subplots(1, 3)
    drawn = [arrow_axes(ax, first, axis) for ax, axis in ((top, 2), (side, 0))]
    figure.colorbar(drawn[0], ax=[top, side], label="$|F|$ (eV/Å)", shrink=0.85, pad=0.01)
    size_axes(sizes, first)
    return _svg(figure, "Forces as arrows on the atoms, and a histogram of their sizes")


def draw_stages(seconds: Mapping[str, float]) -> Picture:
    """Where the workers' time went."""
    return _draw(lambda ax: stages_axes(ax, seconds), (6.2, 2.7), "Worker seconds of each stage")


def draw_timeline(tasks: xr.Dataset) -> Picture:
    """When and where each block ran."""
    height = min(9.0, 1.3 + 0.32 * max(2, int(np.unique(tasks["worker"]).size)))
    return _draw(lambda ax: timeline_axes(ax, tasks), (11.5, height), "Blocks by worker and by time")


def _three_slices(first: Prediction, field: xr.DataArray, heights: Sequence[float], unit: str, name: str) -> Picture:
    """A plane across each lattice vector, at its height, with one scale of length and of colour for all three."""
    grid, atoms = first.grid, first.atoms
    planes = [plane_across(field, grid, axis, heights[axis]) for axis in (2, 1, 0)]
    wide, high = zip(*(p.size for p in planes), strict=True)
    scale = min(9.6 / sum(wide), 4.2 / max(high))
    figure = Figure(figsize=(11.6, scale * max(high) + 0.9), layout="constrained")
    axes = figure.subplots(1, 3, width_ratios=wide)
    # One scale for all three: colours of different pictures are compared.
    limits = (min(p.values.min() for p in planes), max(p.values.max() for p in planes))
    for ax, plane in zip(axes, planes, strict=True):
        mesh = draw_plane(ax, plane, atoms, limits, name)
    figure.colorbar(mesh, ax=axes, label=unit, shrink=0.85, pad=0.01)
    return _svg(figure, f"{name.strip('$')} in planes across c, b and a")


def _draw(draw: Callable[[Axes], None], inches: tuple[float, float], label: str) -> Picture:
    figure = Figure(figsize=inches, layout="constrained")
    draw(figure.subplots())
    return _svg(figure, label)


def _svg(figure: Figure, label: str) -> Picture:
    buffer = io.StringIO()
    # The same store, the same page; and its texts as text, which is found, selected and copied.
    with rc_context({"svg.hashsalt": label, "svg.fonttype": "none"}):
        # Tight: the layout does not know how wide axes of equal aspect become, and cut a label off.
        figure.savefig(buffer, format="svg", dpi=160, transparent=True, bbox_inches="tight", metadata={"Date": None})
    text = buffer.getvalue()
    return Picture(Markup(text[text.index("<svg") :]), label)  # noqa: S704  (matplotlib escapes its texts)
