"""Pictures of a report as SVG that goes into the page."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import ase
import numpy as np
import xarray as xr
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from maladist import metadata
from maladist.grid import Grid
from maladist.prediction.difference import DIFFERENCE
from maladist.prediction.novelty import NOVELTY
from maladist.prediction.result import Prediction
from maladist.report.charts import stages_axes, timeline_axes
from maladist.report.figures import dos_axes, draw_plane, plane_across, plane_through, two_dos_axes
from maladist.report.forces import arrow_axes, size_axes

# Inches that three planes have together, and the highest of them: with their labels, a page's width at their own size.
_WIDE: Final = 7.6
_HIGH: Final = 4.0

# Colours of the page for a picture's own, so that it is seen on dark paper too; outside of a page they are its own.
_OF_THE_PAGE: Final = {
    "stroke: #000000": "stroke: var(--ink, #000000)",
    "stroke: #404040": "stroke: var(--ink, #404040)",
    "stroke: #08306b": "stroke: var(--deep, #08306b)",
    "fill: #08306b": "fill: var(--deep, #08306b)",
    "fill: #ffffff": "fill: var(--paper, #ffffff)",
}


@dataclass(frozen=True)
class Picture:
    """A drawing and what it shows, in words for those who do not see it."""

    svg: Markup
    label: str


def draw_dos(prediction: Prediction) -> Picture | None:
    """D(ε), its occupied part and μ; None where the store does not hold them."""
    if "dos" not in prediction.dataset or "fermi_energy_eV" not in prediction.dataset:
        return None
    return _draw(lambda ax: dos_axes(ax, prediction), (5.2, 3.8), "Density of states, its occupied part and μ")


def draw_two_dos(a: Prediction, b: Prediction) -> Picture | None:
    """D(ε) and μ of two results at one temperature each; None where not both stores hold them."""
    if any(name not in p.dataset for name in ("dos", "fermi_energy_eV") for p in (a, b)):
        return None
    return _draw(lambda ax: two_dos_axes(ax, a, b), (5.2, 3.8), "Density of states and μ of A and of B")


def draw_density(first: Prediction) -> list[Picture]:
    """n(r) of one temperature in planes through atoms; nothing where the store does not hold it."""
    if "density" not in first.dataset:
        return []
    heights = [plane_through(first.grid, first.atoms.positions, axis) for axis in range(3)]
    return _slices(first.density, first.grid, first.atoms, heights, "1/Å$^3$", "$n(r)$")


def draw_difference(found: xr.Dataset) -> list[Picture]:
    """What `maladist.difference` gives, in planes through atoms, red where electrons are gained."""
    grid, atoms = metadata.grid_of(found), metadata.atoms_of(found)
    heights = [plane_through(grid, atoms.positions, axis) for axis in range(3)]
    return _slices(found[DIFFERENCE], grid, atoms, heights, "1/Å$^3$", "$\\Delta n(r)$", signed=True)


def draw_novelty(first: Prediction) -> list[Picture]:
    """The novelty in planes through the point that is farthest out; nothing where the store does not tell."""
    outside = first.dataset.attrs.get("outside")
    if outside is None or NOVELTY not in first.dataset:
        return []
    heights = (np.array(outside["largest_at_A"]) @ np.linalg.inv(first.grid.cell_array)) % 1.0
    return _slices(first.dataset[NOVELTY], first.grid, first.atoms, heights.tolist(), "novelty", "novelty")


def draw_forces(first: Prediction) -> list[Picture]:
    """Forces on the atoms of one temperature, from two sides, and a histogram; nothing where the store has none."""
    if first.forces is None:
        return []
    pictures = []
    for axis in (2, 0):
        figure = Figure(figsize=(3.4, 3.3), layout="constrained")
        arrows = arrow_axes(figure.subplots(), first, axis)
        pictures.append(_svg(figure, f"Forces as arrows on the atoms, across {'abc'[axis]}"))
    sizes = _draw(lambda ax: size_axes(ax, first), (2.9, 3.0), "Histogram of the sizes of the forces")
    return [*pictures, sizes, _colours(arrows, "$|F|$ (eV/Å)")]


def draw_stages(seconds: Mapping[str, float]) -> Picture:
    """Where the workers' time went."""
    return _draw(lambda ax: stages_axes(ax, seconds), (6.2, 2.7), "Worker seconds of each stage")


def draw_timeline(tasks: xr.Dataset) -> Picture:
    """When and where each block ran."""
    height = min(9.0, 1.3 + 0.32 * max(2, int(np.unique(tasks["worker"]).size)))
    return _draw(lambda ax: timeline_axes(ax, tasks), (11.5, height), "Blocks by worker and by time")


def _slices(
    field: xr.DataArray,
    grid: Grid,
    atoms: ase.Atoms,
    heights: Sequence[float],
    unit: str,
    name: str,
    *,
    signed: bool = False,
) -> list[Picture]:
    """A plane across each lattice vector, at its height, all at one scale of length and of colour; then the latter."""
    planes = [plane_across(field, grid, axis, heights[axis]) for axis in (2, 1, 0)]
    wide, high = zip(*(p.size for p in planes), strict=True)
    scale = min(_WIDE / sum(wide), _HIGH / max(high))
    limits = (min(p.values.min() for p in planes), max(p.values.max() for p in planes))
    if signed:
        largest = max(map(abs, limits)) or 1.0
        limits = (-largest, largest)
    pictures = []
    for plane in planes:
        # The axes are as large as the plane is, whatever stands around them.
        figure = Figure(figsize=(scale * plane.size[0], scale * plane.size[1]))
        mesh = draw_plane(figure.add_axes((0, 0, 1, 1)), plane, atoms, limits, name, signed=signed)
        pictures.append(_svg(figure, f"{_plain(name)} in the plane across {'abc'[plane.axis]}"))
    return [*pictures, _colours(mesh, unit)]


def _colours(drawn: ScalarMappable, unit: str) -> Picture:
    """The scale of colour that pictures share."""
    figure = Figure(figsize=(4.6, 0.16))
    shared = ScalarMappable(norm=drawn.norm, cmap=drawn.cmap)
    figure.colorbar(shared, cax=figure.add_axes((0, 0, 1, 1)), orientation="horizontal", label=unit)
    return _svg(figure, f"Scale of colour, {_plain(unit)}")


def _plain(text: str) -> str:
    """Text without matplotlib's marks of mathematics."""
    return text.replace("\\Delta ", "Δ").replace("$", "")


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
    for own, pages in _OF_THE_PAGE.items():
        text = text.replace(own, pages)
    return Picture(Markup(text[text.index("<svg") :]), label)  # noqa: S704  (matplotlib escapes its texts)
