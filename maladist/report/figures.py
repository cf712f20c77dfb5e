"""Pictures of D(ε) and n(r): for the demo, notebooks and the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.ndimage import map_coordinates

from maladist.engine.prediction import Prediction
from maladist.grid import Grid
from maladist.units import BOLTZMANN

Array = npt.NDArray[np.float64]

# Colours that differ in lightness too, so that they are told apart without colour vision and in print.
_OCCUPIED, _LINE, _LEVEL = "#9ecae1", "#08306b", "#d94801"


def dos_axes(ax: Axes, prediction: Prediction) -> None:
    """Draw D(ε) an atom with its occupied part f·D filled, and μ; one temperature."""
    data = prediction.dataset
    n, mu, kt = data.sizes["atom"], prediction.fermi_energy, BOLTZMANN * prediction.temperatures[0]
    energy, dos = data["energy"].values, data["dos"].values / data.sizes["atom"]
    fine = np.linspace(energy[0], energy[-1], 2000)
    at = np.interp(fine, energy, dos)
    occupation = 0.5 * (1 - np.tanh((fine - mu) / (2 * kt)))
    ax.fill_between(fine, at * occupation, color=_OCCUPIED, label="occupied, $f\\,D$")
    ax.plot(energy, dos, color=_LINE, lw=1.4, label="$D(\\varepsilon)$")
    ax.axvline(mu, color=_LEVEL, ls="--", lw=1.2, label=f"$\\mu$ = {mu:.3f} eV")
    ax.set(xlabel="$\\varepsilon$ (eV)", ylabel="$D(\\varepsilon)$ (1/eV/atom)", xlim=(energy[0], energy[-1]))
    ax.set_ylim(bottom=min(0.0, float(dos.min())))
    ax.set_title(f"density of states, {n} atoms at {prediction.temperatures[0]:g} K")
    ax.legend(frameon=False)


def plane_through(grid: Grid, positions: Array, axis: int) -> float:
    """Fractional height along a lattice vector of the atom nearest to the middle: where a slice shows atoms."""
    heights = (positions @ np.linalg.inv(grid.cell_array))[:, axis] % 1.0
    return float(heights[np.argmin(np.abs(heights - 0.5))])


def density_axes(ax: Axes, prediction: Prediction, axis: int = 2, height: float | None = None) -> None:
    """Draw n(r) in a lattice plane in its true geometry, with the atoms that lie near it."""
    grid, atoms = prediction.grid, prediction.atoms
    height = plane_through(grid, atoms.positions, axis) if height is None else height
    n = grid.shape[axis]
    low = int(np.floor(height * n)) % n
    rows = prediction.density.isel({"xyz"[axis]: [low, (low + 1) % n]}).values
    share = height * n - np.floor(height * n)
    plane = (1 - share) * np.take(rows, 0, axis) + share * np.take(rows, 1, axis)
    u, v = (grid.cell_array[i] for i in range(3) if i != axis)
    x, y, values = in_plane(plane, u, v)
    mesh = ax.pcolormesh(x, y, values, shading="nearest", cmap="viridis", rasterized=True)
    e1, e2 = _frame(u, v)
    scaled = atoms.get_scaled_positions(wrap=True)
    normal = np.cross(u, v) / np.linalg.norm(np.cross(u, v))
    step = float(abs(grid.cell_array[axis] @ normal))
    off = np.abs((scaled[:, axis] - height + 0.5) % 1.0 - 0.5) * step
    near = scaled[off < 0.4]
    flat = near[:, [i for i in range(3) if i != axis]] @ np.stack([u, v])
    ax.scatter(flat @ e1, flat @ e2, s=14, facecolor="none", edgecolor="white", lw=0.8)
    ax.set(aspect="equal", xlabel="Å", ylabel="Å", title=f"$n(r)$ at {height:.2f} {'abc'[axis]}, atoms within 0.4 Å")
    ax.figure.colorbar(mesh, ax=ax, label="1/Å$^3$", shrink=0.85)


def _frame(u: Array, v: Array) -> tuple[Array, Array]:
    """Orthonormal vectors in the plane of u and v, the first along u."""
    e1 = u / np.linalg.norm(u)
    e2 = v - (v @ e1) * e1
    return e1, e2 / np.linalg.norm(e2)


def in_plane(plane: Array, u: Array, v: Array, resolution: int = 300) -> tuple[Array, Array, Array]:
    """A periodic plane spanned by u and v on a Cartesian mesh; NaN outside of the cell's parallelogram."""
    e1, e2 = _frame(u, v)
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
    """Write one picture: D(ε) and two slices of n(r)."""
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    axes = figure.subplots(1, 3, width_ratios=(1.3, 1.25, 1))
    dos_axes(axes[0], prediction)
    density_axes(axes[1], prediction, axis=2)
    density_axes(axes[2], prediction, axis=1)
    figure.savefig(path, dpi=130)
    return Path(path)
