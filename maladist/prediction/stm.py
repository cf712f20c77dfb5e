"""STM images of an LDOS: of a plane of constant height, or the surface of constant current; see `maladist.physics.stm`.

For constant height the blocks of two planes of the grid are read, for constant current those from the middle of the
vacuum to the middle of the slab, each integrated over energy where it is.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import dask.array as da
import numpy as np
import torch
import xarray as xr
from distributed import Client

from maladist import metadata
from maladist.arrays import Array
from maladist.atoms import AtomsLike
from maladist.energy_grid import EnergyGrid
from maladist.errors import AccuracyWarning, InputError, StoreError
from maladist.grid import Grid
from maladist.io.datasets import told_fermi_energy
from maladist.parallel.here import Runner
from maladist.physics.fermi import fermi_level, use_correction
from maladist.physics.stm import between, depth_of, window_weights
from maladist.physics.surface import Side, Surface
from maladist.prediction.observe import open_ldos
from maladist.prediction.place import SMALL_POINTS, client_or_here
from maladist.schema import SPACE


def stm(
    ldos: xr.DataArray | xr.Dataset | str | Path,
    atoms: AtomsLike | None = None,
    *,
    bias: float,
    height: float | None = None,
    current: float | None = None,
    axis: int | str = "c",
    side: Side = "top",
    mu: float | None = None,
    client: Client | None = None,
) -> xr.DataArray:
    """Image of the scanning tunnelling microscope after Tersoff and Hamann: ∫ d(ε, r) dε from E_F to E_F + eV.

    The window has sharp ends; what broadens it is the kernel of the LDOS.

    Parameters
    ----------
    ldos
        (x, y, z, energy), 1/(eV Å³), as a DataArray or Dataset that follows the data contract, such as that of
        `maladist.ldos`, or the path of a store or group that does.
    atoms
        The slab, where the LDOS comes without its atoms.
    bias
        Bias V of the sample, V: empty states where it is positive, occupied ones where it is negative.
    height
        Constant height: that of the tip above the outermost atoms, Å, at most to the middle of the vacuum.
    current
        Constant current: value of the integral, 1/Å³, to which the current is proportional.
    axis
        Lattice vector along the normal of the surface: 'a', 'b', 'c' or 0, 1, 2.
    side
        Surface that the tip is over: 'top', at the larger coordinates along ``axis``, or 'bottom'.
    mu
        Fermi level, eV; where it is not given, the data's own, of a snapshot that is given by its path or as its data
        set that of the DFT; else that of the D(ε) of the whole LDOS, all of whose blocks are then computed.
    client
        Client whose workers compute; where None a local cluster for a large cell, for others a client of Dask's that is
        alive, as for any of its arrays, or else this process.

    Returns
    -------
    xr.DataArray
        Over the other two of x, y and z, float64. For constant height I(r), 1/Å³, its logarithm linear between planes
        of the grid; for constant current the height above the outermost atoms, Å. The attributes name bias, μ, height
        or current, axis, side, and ``outermost_A``, the coordinate of the outermost atoms along the axis.

    Raises
    ------
    InputError
        Neither height nor current is given, or both are; the tip would be outside of the vacuum; no surface has the
        current; there is no vacuum, or the axis is tilted against the surface's normal.
    EnergyWindowError
        The energies of the LDOS do not reach over the window.
    """
    dataset = open_ldos(ldos)
    grid, energies = metadata.grid_of(dataset), metadata.energy_grid_of(dataset, selected=True)
    surface = Surface.of(metadata.known_atoms(dataset, atoms, "LDOS"), axis, side)
    _check(surface, height, current)
    _check_broadening(energies, bias)
    with client_or_here(client, grid.n_points <= SMALL_POINTS) as runner:
        mu = _fermi_energy(dataset, energies, grid, runner) if mu is None else mu
        integral = _integral(dataset["ldos"], window_weights(energies, mu, bias), surface.axis)
        if height is not None:
            values = _at_height(integral, surface, height, runner)
        else:
            assert current is not None
            values = _of_current(integral, surface, grid, current, runner)
    dims = [d for i, d in enumerate(SPACE) if i != surface.axis]
    constant = {"height_A": height} if current is None else {"current": current}
    attributes = {
        "units": "1/Å^3" if current is None else "Å",
        "long_name": "integral of the LDOS over the bias' window" if current is None else "height of constant current",
        **metadata.grid_attributes(grid),
        "bias_V": bias,
        "fermi_energy_eV": mu,
        **constant,
        "axis": "abc"[surface.axis],
        "side": side,
        "outermost_A": surface.outermost,
    }
    coordinates = {d: dataset[d] for d in dims if d in dataset.coords}
    return xr.DataArray(values, coordinates, dims, "stm", attributes)


def _check(surface: Surface, height: float | None, current: float | None) -> None:
    if (height is None) == (current is None):
        came = "neither height nor current" if height is None else "both height and current"
        raise InputError("height", came, "one of them", "Constant height, Å, or constant current, 1/Å³.")
    if height is not None and not 0 <= height <= surface.vacuum / 2:
        # Beyond the middle the states of the next image's other side are larger than those of this one.
        wanted = f"0 to {surface.vacuum / 2:.2f} Å above the outermost atoms, the middle of the vacuum"
        raise InputError("height", f"{height} Å", wanted)
    if current is not None and not (math.isfinite(current) and current > 0):
        raise InputError("current", f"{current} 1/Å³", "a positive value of the integrated LDOS, 1/Å³")


def _check_broadening(energies: EnergyGrid, bias: float) -> None:
    width = math.sqrt(energies.variance or 0.0)
    if width > abs(bias) / 2:
        said = f"the LDOS is broadened by {width:.2g} eV, the bias is {bias:g} V: states beyond it are in the image"
        warnings.warn(said, AccuracyWarning, stacklevel=3)


def _fermi_energy(dataset: xr.Dataset, energies: EnergyGrid, grid: Grid, runner: Runner) -> float:
    """The data's own μ, or that of their D(ε), eV."""
    if (own := told_fermi_energy(dataset)) is not None:
        return own
    attrs = dataset.attrs
    n_electrons, temperature = attrs.get("n_electrons"), attrs.get("temperature_K")
    if n_electrons is None or temperature is None or np.ndim(temperature):
        came = "nothing that tells the number of electrons and one temperature"
        raise StoreError("mu", came, "the Fermi level, eV", "Give it.")
    if attrs.get("energy_levels", energies.levels) != energies.levels:
        came = f"none, and {energies.levels} energies of {attrs['energy_levels']}"
        raise StoreError("mu", came, "the Fermi level, eV, or all energies")
    done = attrs.get("broadening_correction")
    correction = use_correction("auto", energies)[0] if done is None else bool(done)
    if "dos" in dataset:
        dos = np.asarray(dataset["dos"].values, np.float64)
    else:
        total = dataset["ldos"].transpose(*SPACE, "energy").data.sum(axis=(0, 1, 2), dtype=np.float64)
        dos = _computed(total, runner) * grid.voxel_volume
    return float(fermi_level(torch.as_tensor(dos), energies, float(n_electrons), temperature, correction=correction))


def _integral(ldos: xr.DataArray, weights: Array, axis: int) -> xr.DataArray:
    """I(r), its planes along the normal last, lazy, 1/Å³."""
    used = np.flatnonzero(weights)
    within = slice(int(used[0]), int(used[-1]) + 1)
    across = [d for i, d in enumerate(SPACE) if i != axis]
    window = xr.DataArray(weights[within], dims="energy")
    return xr.dot(ldos.isel(energy=within), window, dim="energy").transpose(*across, SPACE[axis])


def _at_height(integral: xr.DataArray, surface: Surface, height: float, runner: Runner) -> Array:
    n = integral.shape[-1]
    plane = surface.coordinate(height) / surface.length * n
    low = math.floor(plane)
    two = _computed(integral[..., [low % n, (low + 1) % n]].data, runner)
    if none := int((two <= 0).any(axis=-1).sum()):
        said = f"the LDOS' integral is not positive at {none} of {two[..., 0].size} points of the plane"
        why = "there is no image there: so far out a model's LDOS may be nothing but its error"
        warnings.warn(f"{said}; {why}", AccuracyWarning, stacklevel=3)
    return between(two[..., 0], two[..., 1], plane - low)


def _of_current(integral: xr.DataArray, surface: Surface, grid: Grid, current: float, runner: Runner) -> Array:
    """Height of the surface of a current above the outermost atoms, Å."""
    planes, first = surface.planes(grid)
    # A column's planes meet in one task: of each point there is one number left.
    columns = integral[..., planes].data.rechunk({2: -1})

    def found(block: Array) -> Array:
        return np.stack(depth_of(current, block))

    sizes = ((3,), *columns.chunks[:2])
    mapped = da.map_blocks(
        found, columns, chunks=sizes, drop_axis=2, new_axis=0, dtype=np.float64, meta=np.empty((0,) * 3)
    )
    depth, outer, inner = _computed(mapped, runner)
    if np.isnan(depth).any():
        wanted = f"more than {outer.max():.3g} and at most {inner.min():.3g} 1/Å³"
        remedy = "All columns of points have these between the middles of the vacuum and of the slab."
        raise InputError("current", f"{current:g} 1/Å³, which not every column has", wanted, remedy)
    return np.asarray(first - depth * surface.length / grid.shape[surface.axis])


def _computed(array: da.Array, runner: Runner) -> Array:
    return np.asarray(runner.compute(array, sync=True) if isinstance(runner, Client) else array.compute())
