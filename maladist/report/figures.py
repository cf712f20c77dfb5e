"""Pictures of D(ε) and n(r): for the demo, notebooks and the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import ase
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from scipy.ndimage import map_coordinates

from maladist.arrays import Array
from maladist.energy_grid import EnergyGrid
from maladist.grid import Grid
from maladist.io.targets import whole
from maladist.metadata import energy_grid_of
from maladist.prediction.result import Prediction
from maladist.units import BOLTZMANN

# Colours that differ in lightness too, so that they are told apart without colour vision and in print.
_OCCUPIED, _LINE, _LEVEL = "#9ecae1", "#08306b", "#d94801"


def dos_axes(ax: Axes, prediction: Prediction) -> None:
    """Draw D(ε) an atom, μ of each temperature, and the part f·D that is occupied at the first of them."""
    temperatures = prediction.temperatures
    first = prediction.at(temperatures[0])
    data = first.dataset
    # Of the first temperature: D(ε) is the same at all, f is not.
    n, mu, kt = data.sizes["atom"], first.fermi_energy, BOLTZMANN * temperatures[0]
    energies, dos = energy_grid_of(data), data["dos"].values / n
    energy = energies.values
    fine = np.linspace(energy[0], energy[-1], 2000)
    # The Fermi function without an exponential that could overflow.
    occupation = 0.5 * (1 - np.tanh((fine - mu) / (2 * kt)))
    filled = np.interp(fine, *with_gaps(energies, dos)) * occupation
    ax.fill_between(fine, filled, color=_OCCUPIED, lw=0, label="occupied, $f\\,D$")
    ax.plot(*with_gaps(energies, dos), color=_LINE, lw=1.4, label="$D(\\varepsilon)$")
    if "dos_std" in data:
        spread = data["dos_std"].values / n
        ends = (with_gaps(energies, dos + sign * spread) for sign in (-1, 1))
        (shown, low), (_, high) = ends
        ax.fill_between(shown, low, high, color=_LINE, alpha=0.25, lw=0, label="± spread of members")
    for t, style in zip(temperatures, cycle(["--", ":", "-."]), strict=False):
        at = "" if len(temperatures) == 1 else f" at {t:g} K"
        level = prediction.at(t).fermi_energy
        ax.axvline(level, color=_LEVEL, ls=style, lw=1.2, label=f"$\\mu$ = {level:.3f} eV{at}")
    ax.set(xlabel="$\\varepsilon$ (eV)", ylabel="$D(\\varepsilon)$ (1/eV/atom)", xlim=(energy[0], energy[-1]))
    ax.set_ylim(bottom=min(0.0, float(dos.min())))
    ax.set_title(f"density of states, {n} atoms at {temperatures[0]:g} K")
    ax.legend(frameon=True, facecolor="white", edgecolor="none", framealpha=0.85)


def two_dos_axes(ax: Axes, a: Prediction, b: Prediction) -> None:
    """Draw D(ε) an atom and μ of two results at one temperature each."""
    # A is wider, so that it is seen where B covers it.
    for p, name, colour, width in ((a, "A", _OCCUPIED, 3.6), (b, "B", _LEVEL, 1.2)):
        energy, dos = with_gaps(energy_grid_of(p.dataset), p.dos.values / p.dataset.sizes["atom"])
        ax.plot(energy, dos, color=colour, lw=width, label=f"{name}, $D(\\varepsilon)$")
        ax.axvline(p.fermi_energy, color=colour, ls="--", lw=width, label=f"{name}, $\\mu$ = {p.fermi_energy:.3f} eV")
    ax.set(xlabel="$\\varepsilon$ (eV)", ylabel="$D(\\varepsilon)$ (1/eV/atom)")
    ax.margins(x=0)
    ax.legend(frameon=True, facecolor="white", edgecolor="none", framealpha=0.85)


def with_gaps(energies: EnergyGrid, dos: Array) -> tuple[Array, Array]:
    """Energies and D(ε) to be drawn as a line: broken in gaps between parts, of either part half of an overlap."""
    kept, middles = energies.shares >= 0.5, [(end + begin) / 2 for end, begin in energies.gaps]
    values = energies.values[kept]
    breaks = np.searchsorted(values, middles)
    return np.insert(values, breaks, middles), np.insert(dos[kept].astype(float), breaks, np.nan)


def plane_through(grid: Grid, positions: Array, axis: int) -> float:
    """Fractional height along a lattice vector of the atom nearest to the middle: where a slice shows atoms."""
    heights = (positions @ np.linalg.inv(grid.cell_array))[:, axis] % 1.0
    return float(heights[np.argmin(np.abs(heights - 0.5))])


@dataclass(frozen=True)
class Plane:
    """Values of a periodic field in a lattice plane.

    Attributes
    ----------
    values
        Values on the grid of the two lattice vectors that span the plane.
    grid
        Grid of the field.
    axis
        Lattice vector that the plane does not hold.
    height
        Fractional height along it; None where it is not known.
    """

    values: Array
    grid: Grid
    axis: int
    height: float | None

    @property
    def vectors(self) -> tuple[Array, Array]:
        """The two lattice vectors that span the plane, Å."""
        u, v = (self.grid.cell_array[i] for i in range(3) if i != self.axis)
        return u, v

    @property
    def corners(self) -> Array:
        """The parallelogram in the plane, closed, (5, 2) Å."""
        (u, v), (e1, e2) = self.vectors, frame(*self.vectors)
        return np.array([[p @ e1, p @ e2] for p in (0 * u, u, u + v, v, 0 * u)])

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of a picture, Å."""
        w, h = np.ptp(self.corners, axis=0)
        return float(w), float(h)


def plane_across(field: xr.DataArray, grid: Grid, axis: int, height: float) -> Plane:
    """Values of a field (x, y, z) in the plane at a fractional height; only two planes of the grid are read."""
    n = grid.shape[axis]
    low = int(np.floor(height * n)) % n
    share = height * n - np.floor(height * n)
    rows = field.transpose("x", "y", "z").isel({"xyz"[axis]: [low, (low + 1) % n]}).values
    return Plane((1 - share) * np.take(rows, 0, axis) + share * np.take(rows, 1, axis), grid, axis, height)


def density_axes(axes: Sequence[Axes], prediction: Prediction, across: Sequence[int] = (2, 1)) -> None:
    """Draw n(r) in lattice planes through atoms, each across a lattice vector, with one scale of colours for all."""
    grid, atoms, field = prediction.grid, prediction.atoms, prediction.density
    planes = [plane_across(field, grid, axis, plane_through(grid, atoms.positions, axis)) for axis in across]
    limits = (min(float(p.values.min()) for p in planes), max(float(p.values.max()) for p in planes))
    for ax, plane in zip(axes, planes, strict=True):
        mesh = draw_plane(ax, plane, atoms, limits)
    axes[0].figure.colorbar(mesh, ax=list(axes), label="1/Å$^3$", shrink=0.85)


def draw_plane(
    ax: Axes,
    plane: Plane,
    atoms: ase.Atoms | None = None,
    limits: tuple[float, float] | None = None,
    name: str = "$n(r)$",
    *,
    signed: bool = False,
) -> QuadMesh:
    """Draw a plane in its true geometry, and circles where atoms lie within 0.4 Å of it.

    ``signed``: red is above zero and blue below, for limits that are symmetric about it.
    """
    low, high = limits or (None, None)
    colours, ring = ("RdBu_r", "0.2") if signed else ("viridis", "white")
    # True geometry: a skewed cell is drawn skewed.
    x, y, values = in_plane(plane.values, *plane.vectors)
    mesh = ax.pcolormesh(x, y, values, shading="nearest", cmap=colours, rasterized=True, vmin=low, vmax=high)
    ax.plot(*plane.corners.T, color="0.25", lw=1.0)
    if atoms is not None and plane.height is not None:
        flat = _near(plane, atoms, plane.height, 0.4)
        ax.scatter(flat[:, 0], flat[:, 1], s=14, facecolor="none", edgecolor=ring, lw=0.8)
    at = "" if plane.height is None else f" at {plane.height:.2f} {'abc'[plane.axis]}"
    x_name, y_name = axis_names(plane.grid.cell_array, plane.axis)
    ax.set(aspect="equal", xlabel=x_name, ylabel=y_name, title=f"{name}{at}")
    return mesh


def axis_names(cell: Array, axis: int) -> tuple[str, str]:
    """Labels of the two coordinates of `frame` in planes that do not hold the lattice vector of ``axis``.

    x, y or z where a coordinate is that one in every such plane; else along the first vector, and normal to it.
    """
    first, third = "abc"[0 if axis else 1], cell[axis]
    e1, e2 = frame(*np.delete(cell, axis, axis=0))

    def label(e: Array, otherwise: str) -> str:
        # Where the third vector leans along e, planes at different heights are shifted against x, y and z.
        leans = abs(third @ e) > 1e-6 * np.linalg.norm(third)
        known = [name for name, unit in zip("xyz", np.eye(3), strict=True) if np.allclose(e, unit, atol=1e-6)]
        return f"{known[0] if known and not leans else otherwise} (Å)"

    return label(e1, f"along {first}"), label(e2, f"normal to {first}")


def _near(plane: Plane, atoms: ase.Atoms, height: float, within: float) -> Array:
    """Places in the plane, (n, 2) Å, of the atoms that lie within so many Å of it."""
    (u, v), (e1, e2) = plane.vectors, frame(*plane.vectors)
    scaled = (atoms.positions @ np.linalg.inv(plane.grid.cell_array)) % 1.0
    normal = np.cross(u, v) / np.linalg.norm(np.cross(u, v))
    step = float(abs(plane.grid.cell_array[plane.axis] @ normal))
    off = np.abs((scaled[:, plane.axis] - height + 0.5) % 1.0 - 0.5) * step
    flat = scaled[off < within][:, [i for i in range(3) if i != plane.axis]] @ np.stack([u, v])
    return np.stack([flat @ e1, flat @ e2], axis=1)


def frame(u: Array, v: Array) -> tuple[Array, Array]:
    """Orthonormal vectors in the plane of u and v, each (3,), the first along u."""
    e1 = u / np.linalg.norm(u)
    e2 = v - (v @ e1) * e1
    return e1, e2 / np.linalg.norm(e2)


def in_plane(plane: Array, u: Array, v: Array, resolution: int = 300) -> tuple[Array, Array, Array]:
    """A periodic plane spanned by u and v on a Cartesian mesh; NaN outside of the cell's parallelogram."""
    e1, e2 = frame(u, v)
    corners = np.array([[0, 0], [u @ e1, 0], [v @ e1, v @ e2], [(u + v) @ e1, v @ e2]])
    low, high = corners.min(0), corners.max(0)
    step = (high - low).max() / resolution
    x, y = np.arange(low[0], high[0] + step, step), np.arange(low[1], high[1] + step, step)
    xx, yy = np.meshgrid(x, y)
    t = yy / (v @ e2)
    s = (xx - t * (v @ e1)) / (u @ e1)
    values = map_coordinates(plane, [s * plane.shape[0], t * plane.shape[1]], order=1, mode="grid-wrap")
    inside = (s >= -1e-9) & (s <= 1 + 1e-9) & (t >= -1e-9) & (t <= 1 + 1e-9)
    return x, y, np.where(inside, values, np.nan)


def overview(prediction: Prediction, path: str | Path) -> Path:
    """Write one picture: D(ε), and n(r) in two planes in one scale of colours."""
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    axes = figure.subplots(1, 3, width_ratios=(1.2, 1.25, 1.1), gridspec_kw={"wspace": 0.1})
    dos_axes(axes[0], prediction)
    density_axes(axes[1:], prediction)
    return write_picture(figure, path)


def write_picture(figure: Figure, path: str | Path, argument: str = "output") -> Path:
    """Write a picture, whose ending tells its format, under the name of the argument that errors are to tell."""
    with whole([path], argument) as (beside,):
        figure.savefig(beside, dpi=130)
    return Path(path)
