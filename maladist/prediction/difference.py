"""Density less that of a reference: another store's, or that of free atoms where the atoms are; slab by slab.

    Δn(r) = n(r) − Σ_k ρ_k(|r − r_k|),   ρ_k: the valence charge of the free atom, PP_RHOATOM of its pseudopotential

The sum is made as Quantum ESPRESSO makes the density that it begins with: the radial transform (Simpson, r ≤ 10 bohr)
times the structure factor, on the sphere of the density cutoff; each ρ is scaled to the valence, so that ∫ Δn is zero
where n(r) holds all electrons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np
import torch
import xarray as xr
from distributed import Client

from maladist import metadata
from maladist.elements import Element, check_same_files
from maladist.errors import InputError, StoreError
from maladist.grid import Grid
from maladist.io import stores
from maladist.io.appearing import check_target
from maladist.io.opening import open_dataset
from maladist.io.qe.upf import read_free_atoms
from maladist.parallel import waves
from maladist.parallel.workers import Workers
from maladist.physics.core import core_charge_of, form_factor
from maladist.physics.reciprocal import ReciprocalSlab
from maladist.physics.system import System
from maladist.prediction.fields import Slabs
from maladist.prediction.place import are_few, client_or_here
from maladist.prediction.result import Prediction, temporary_store
from maladist.prediction.stored import StoredDensity, stored_density
from maladist.prediction.values import Values

DIFFERENCE: Final = "density_difference"
_ATOMS: Final = "work/g_atoms"


def difference(
    source: Prediction | str | Path,
    reference: Prediction | str | Path | None = None,
    *,
    pseudopotentials: str | Path | None = None,
    temperature: float | None = None,
    client: Client | None = None,
    store: str | Path | None = None,
    overwrite: bool = False,
) -> xr.Dataset:
    """Compute a density less that of another store, or that of free atoms at the same places.

    Parameters
    ----------
    source
        A result or a snapshot with a density, as a Prediction or its store.
    reference
        The same, on the same grid; None for free atoms.
    pseudopotentials
        Folder of UPF files, or one: the free atoms. Those of the density, where it tells their hashes.
    temperature
        Temperature of the electrons, K, of a store that has several.
    client
        Client whose workers compute. By default a small cell is computed in this process.
    store, overwrite
        Path of a new zarr store, as in `predict`; by default a temporary one.

    Returns
    -------
    Dataset
        ``density_difference`` (x, y, z), 1/Å³, lazy, with the atoms; attributes ``integral`` (∫ Δn, electrons),
        ``moved_electrons`` (½ ∫ |Δn|), ``reference`` and ``notes``.

    Raises
    ------
    InputError
        Neither a reference nor pseudopotentials, or both; another grid; a temperature that a store has not.
    StoreError
        No density.
    PseudopotentialError
        A file without PP_RHOATOM, or not that of the density.

    Examples
    --------
    >>> bonds = maladist.difference("result.zarr", pseudopotentials="upf")  # less that of free atoms
    >>> dict(bonds.density_difference.sizes)
    {'x': 14, 'y': 14, 'z': 24}
    """
    if (reference is None) == (pseudopotentials is None):
        came = "neither" if reference is None else "both"
        raise InputError(
            "reference", f"{came} a store and pseudopotentials", "one of them", "Leave one out, or give it."
        )
    dataset, density = stored_density(source, temperature, "source")
    system = metadata.read_system(dataset, {}, source="source")
    path = temporary_store() if store is None else check_target(Path(store).resolve(), overwrite)
    if path in {Path(density.path).resolve(), *Path(density.path).resolve().parents}:
        raise StoreError("output", f"{path} holds the density that is read", "another path")
    other, notes = None, list[str]()
    if reference is not None:
        compared, other = stored_density(reference, temperature, "reference")
        _check_grid(system.grid, metadata.grid_of(compared, "reference"))
        what = str(Path(other.path).name)
    else:
        assert pseudopotentials is not None
        free, notes = _free_atoms(system, pseudopotentials, dataset)
        system, what = replace(system, elements=free), "free atoms"
    few = are_few(system.grid.n_points, "auto")
    with client_or_here(client, few) as runner:
        room = Workers.of(runner).room(0)
        slabs = Slabs(runner, "difference", path, system, room)
        ranges = slabs.ranges(0, system.grid)
        template = stores.field_template(DIFFERENCE, system.grid.shape, (ranges[0][1], *system.grid.shape[1:]))
        about = {**metadata.grid_attributes(system.grid), "source": f"maladist {version('maladist')} difference"}
        with stores.making(path, {DIFFERENCE: template}, about, overwrite) as made:
            slabs = replace(slabs, path=made)
            if other is None:
                ys = slabs.ranges(1, system.grid)
                stores.add_arrays(made, {_ATOMS: slabs.template((ranges[0][1], ys[0][1]))})
                slabs.sum(_superpose_atoms, [waves.NamedJob(f"atoms{a}", made, system, a, b) for a, b in ys])
            jobs = [waves.NamedJob(f"x{a}", made, density, other, system.grid, a, b) for a, b in ranges]
            integral, absolute = slabs.sum(_subtract_slab, jobs).tolist()
            atoms: Values = {
                "position": (("atom", "xyz"), system.positions, "Å"),
                "number": (("atom",), system.numbers, "1"),
            }
            stores.write_values(made, atoms)
            told = {"integral": integral, "moved_electrons": absolute / 2, "reference": what, "notes": notes}
            stores.set_attributes(made, told)
            stores.finish(made)
    return open_dataset(path, need=(DIFFERENCE, "position", "number"))


def _superpose_atoms(store: stores.Where, system: System, a: int, b: int) -> list[float]:
    """A slab of y: coefficients of the free atoms' density, back to real space along x."""
    coefficients = core_charge_of(system, ReciprocalSlab.of_y(system.grid, a, b))
    assert coefficients is not None
    half_way = torch.fft.ifft(coefficients, dim=0, norm="forward")
    stores.write_region(store, _ATOMS, (slice(None), slice(a, b)), half_way.numpy())
    return []


def _subtract_slab(
    store: stores.Where, density: StoredDensity, other: StoredDensity | None, grid: Grid, a: int, b: int
) -> list[float]:
    """A slab of x: Δn into the store; the shares of its integral and of that of |Δn|."""
    if other is None:
        part = torch.from_numpy(stores.read_region(store, _ATOMS, (slice(a, b),)))
        less = torch.fft.irfftn(part, s=grid.shape[1:], dim=(1, 2), norm="forward").numpy()
    else:
        less = other.slab(a, b)
    found = density.slab(a, b) - less
    stores.write_region(store, DIFFERENCE, (slice(a, b),), found)
    return [float(found.sum() * grid.voxel_volume), float(np.abs(found).sum() * grid.voxel_volume)]


def same_grid(grid: Grid, other: Grid) -> bool:
    """Whether two grids are the same points of the same cell."""
    return grid.shape == other.shape and np.allclose(grid.cell_array, other.cell_array, atol=1e-6)


def _check_grid(grid: Grid, other: Grid) -> None:
    if not same_grid(grid, other):
        came = f"{'×'.join(map(str, other.shape))} points, or another cell"
        raise InputError("reference", came, f"the cell and the {'×'.join(map(str, grid.shape))} points of the source")


def _free_atoms(
    system: System, pseudopotentials: str | Path, dataset: xr.Dataset
) -> tuple[Mapping[str, Element], list[str]]:
    """Free atoms with all their valence electrons; and what the user should know of them."""
    there = read_free_atoms(pseudopotentials)
    check_same_files(there, dataset.attrs.get("pseudopotentials", {}))
    found, notes = {}, []
    for symbol in system.kinds:
        if symbol not in there:
            raise InputError("pseudopotentials", f"none for {symbol}", "a UPF file for each element")
        atom = there[symbol]
        assert atom.valence is not None and atom.core_density is not None
        held = float(form_factor(atom, [0.0])[0])
        if abs(held / atom.valence - 1) > 0.01:
            notes.append(f"PP_RHOATOM of {symbol} holds {held:.4f} of {atom.valence:g} electrons: scaled to them")
        found[symbol] = replace(atom, core_density=atom.core_density * (atom.valence / held))
    return found, notes
