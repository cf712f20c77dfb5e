"""The potential of a density in a store: in one task of a small grid, by slabs of a large one.

By slabs as the energies (`fields`): slabs of x transform the density, slabs of y put the coefficients together, slabs
of x write the potential. With V_xc, slabs of x make its sources between the first two.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np
import torch
import xarray as xr
from distributed import Client

from maladist import metadata, schema
from maladist.atoms import AtomsLike
from maladist.elements import Element, check_same_files
from maladist.errors import AccuracyWarning, InputError, StoreError
from maladist.io import stores
from maladist.io.appearing import check_target
from maladist.io.datasets import told_fermi_energy
from maladist.io.opening import open_dataset
from maladist.io.qe.upf import elements_of
from maladist.io.stores import field_template
from maladist.parallel import waves
from maladist.parallel.here import Runner
from maladist.parallel.workers import Workers
from maladist.parallel.write import write_lazy
from maladist.physics.electrostatic import electrostatic_potential, local_form_factor, local_potential_of
from maladist.physics.functionals import needs_gradient
from maladist.physics.hartree import coulomb_kernel
from maladist.physics.isolated import check_isolated
from maladist.physics.reciprocal import ReciprocalSlab
from maladist.physics.system import System, check_neutral
from maladist.physics.xc import XCField, divergence_of, potential_sources
from maladist.prediction.fields import Slabs, in_slabs, one_task_bytes, real_field, reference_density_of
from maladist.prediction.place import SMALL_POINTS, client_or_here
from maladist.prediction.record import REFERENCE
from maladist.prediction.result import temporary_store

_CHUNK_BYTES: Final = 64 * 2**20


def potential(
    density: xr.DataArray | xr.Dataset | str | Path,
    atoms: AtomsLike | None = None,
    *,
    pseudopotentials: str | Path | Mapping[str, Element],
    xc: bool = False,
    density_cutoff: float | None = None,
    client: Client | None = None,
    store: str | Path | None = None,
    overwrite: bool = False,
) -> xr.Dataset:
    """Electrostatic potential V_H + V_loc of a density, or the total one with V_xc.

    Parameters
    ----------
    density
        n(r), (x, y, z), 1/Å³, as a DataArray or Dataset that follows the data contract, or the path of a store or group
        with a ``density``, at one temperature.
    atoms
        Atoms, where the density comes without them.
    pseudopotentials
        Folder of UPF files, or elements by symbol such as ``load_model(...).elements``: local potential and valence.
    xc
        Whether to add V_xc[n + n_core], of the functional of the density's data: the whole potential of an electron but
        for the non-local part of the pseudopotentials. Where the density is faint it is that of the uniform gas, see
        `maladist.physics.xc`.
    density_cutoff
        Cutoff of the sphere of V_loc, eV; the data's own where it is not given, else the largest sphere of the grid.
    client
        Client whose workers compute; where None this process for a small cell, a local cluster for others.
    store, overwrite
        Where the result goes, as in `predict`.

    Returns
    -------
    xr.Dataset
        ``potential`` (x, y, z) float64, eV, the energy of an electron, from the store; with the atoms, and the μ that
        the density's data have. Its zero is Quantum ESPRESSO's, so that of the levels.

    Raises
    ------
    PseudopotentialError
        The local potential of an element is not known, or is of another file than the density's.
    InputError
        The data break the contract, have several temperatures, or tell of no functional where ``xc`` is asked for.

    Examples
    --------
    >>> found = maladist.potential("result.zarr", pseudopotentials="upf", xc=True)
    >>> found.potential.maladist.planar_average("c").sizes["z"]
    24
    """
    dataset = _open(density)
    system = _system(dataset, atoms, elements_of(pseudopotentials), density_cutoff, xc)
    path = temporary_store() if store is None else check_target(Path(store).resolve(), overwrite)
    with client_or_here(client, system.grid.n_points <= SMALL_POINTS) as runner:
        _make(dataset, system, runner, path, overwrite)
    return open_dataset(path)


def _open(density: xr.DataArray | xr.Dataset | str | Path) -> xr.Dataset:
    """What holds a density, over Dask."""
    if isinstance(density, str | Path):
        dataset = open_dataset(density, chunks={})
    elif isinstance(density, xr.Dataset):
        dataset = density
    else:
        dataset = density.to_dataset(name="density").assign_attrs(density.attrs)
    schema.validate(dataset, ("density", "cell"), str(density) if isinstance(density, str | Path) else "density")
    if "temperature" in dataset["density"].dims:
        came = f"{dataset.sizes['temperature']} temperatures"
        raise StoreError("density", came, "one", "Choose with .sel(temperature=...).")
    if dataset["density"].chunks is None:
        thick = max(1, _CHUNK_BYTES // (8 * dataset.sizes["y"] * dataset.sizes["z"]))
        dataset = dataset.chunk({"x": thick, "y": -1, "z": -1})
    return dataset


def _system(
    dataset: xr.Dataset, given: AtomsLike | None, elements: Mapping[str, Element], cutoff: float | None, xc: bool
) -> System:
    """The cell and its pseudopotentials, held against what the density's data tell of them."""
    known = metadata.read_system(dataset, elements, metadata.known_atoms(dataset, given, "density"))
    check_isolated(known.assume_isolated, known.grid.cell_array, known.positions)
    for symbol in sorted(known.kinds):
        local_form_factor(elements.get(symbol, Element(symbol)), [0.0])  # refuses one without its local potential
    if known.n_electrons is not None and known.charges is not None:
        check_neutral(known.n_electrons, known.charges.tolist(), "density", 0.01)
    here = {symbol: elements[symbol] for symbol in known.kinds}
    check_same_files(here, dataset.attrs.get("pseudopotentials", {}))
    if cutoff is None and known.density_cutoff is None:
        said = f"no density cutoff is known: V_loc is on the grid's largest sphere, {known.sphere:.0f} eV"
        warnings.warn(f"{said} (density_cutoff)", AccuracyWarning, stacklevel=3)
    # No temperature: n₀ is then what `reference_density_of` reads from the group ``work``. No functional: no XC.
    known = replace(known, temperatures=(), reference_temperature=None, xc=known.xc if xc else None)
    cutoff = known.density_cutoff if cutoff is None else cutoff
    known = replace(known, elements=here, density_cutoff=cutoff)
    if xc and known.functional is None:
        raise InputError("xc", "asked for, and the density's data tell of no functional that is known", "without it")
    return known


def _make(dataset: xr.Dataset, system: System, runner: Runner, path: Path, overwrite: bool) -> None:
    density = dataset["density"].transpose("x", "y", "z").data.astype(np.float64)
    bx, by, bz = (max(c) for c in density.chunks)
    room, shape = Workers.of(runner).room(0), system.grid.shape
    attributes = {
        **metadata.system_attributes(system),
        "temperature_K": dataset.attrs.get("temperature_K"),
        "source": f"maladist {version('maladist')} potential",
        "includes": "V_H + V_loc" if system.xc is None else "V_H + V_loc + V_xc",
        "of": str(dataset.attrs.get("source", "a density")),
    }
    arrays = {REFERENCE: field_template("density", shape, (bx, by, bz))}
    # With V_xc 27 real numbers a point (measured), where the terms that this reckons with have 14.
    one_task = (1 if system.xc is None else 2) * one_task_bytes(system.grid, system.n_atoms)
    whole = not in_slabs(system.grid, one_task, room)
    slabs = Slabs(runner, "potential", path, system, room)
    # A slab of x writes whole chunks.
    thick = bx if whole else slabs.ranges(0, system.grid)[0][1]
    arrays["potential"] = field_template("potential", shape, (thick, by, bz))
    known = {name: v for name, v in attributes.items() if v is not None}
    with stores.making(path, arrays, known, overwrite) as claim:
        scheduler = runner if isinstance(runner, Client) else "threads"
        write_lazy(claim, {REFERENCE: density}, scheduler)
        if whole:
            waves.in_order(runner, _whole_potential, [waves.NamedJob("whole", claim, system)], run_key="potential")
        else:
            _by_slabs(replace(slabs, path=claim))
        stores.write_values(claim, {"position": (("atom", "xyz"), system.positions, "Å")})
        stores.write_values(claim, {"number": (("atom",), system.numbers, "1")})
        if (mu := told_fermi_energy(dataset)) is not None:
            stores.write_values(claim, {"fermi_energy_eV": ((), np.asarray(mu), "eV")})
        stores.finish(claim)


def _whole_potential(store: stores.Where, system: System) -> list[float]:
    found = electrostatic_potential(reference_density_of(store, system), system)
    stores.write_region(store, "potential", (slice(None),) * 3, found.numpy())
    return []


# -- by slabs --------------------------------------------------------------------------------------------------------


def _by_slabs(slabs: Slabs) -> None:
    store, system = slabs.path, slabs.system
    slabs.coefficients()
    xs, ys = (slabs.ranges(axis, system.grid) for axis in (0, 1))
    template = slabs.template((xs[0][1], ys[0][1]))
    stores.add_arrays(store, {_place(name): template for name in (*_xc_names(system), "total")})
    if system.functional is not None:
        slabs.sum(_xc_sources, [waves.NamedJob(f"xc{a}", store, system, a, b) for a, b in xs])
    slabs.sum(_potential_g, [waves.NamedJob(f"together{a}", store, system, a, b) for a, b in ys])
    slabs.sum(_potential_slab, [waves.NamedJob(f"potential{a}", store, system, a, b) for a, b in xs])


def _place(name: str) -> str:
    return f"work/potential_{name}"


def _xc_names(system: System) -> list[str]:
    """Sources of V_xc that are transformed: the scalar, and the flux where the functional has gradients."""
    if system.functional is None:
        return []
    return ["xc", *("xyz" if needs_gradient(system.functional) else "")]


def _xc_sources(store: stores.Where, system: System, a: int, b: int) -> list[float]:
    """A slab of x: sources of V_xc, transformed along y and z."""
    assert system.functional is not None
    rho, gradient = reference_density_of(store, system, a, b), None
    if system.has_core:
        rho = rho + real_field(store, XCField("core"), system, a, b)
    if needs_gradient(system.functional):
        gradient = torch.stack([real_field(store, XCField("all", axis), system, a, b) for axis in range(3)])
    scalar, flux = potential_sources(system.functional, rho, gradient)
    for name, values in zip(_xc_names(system), [scalar, *(() if flux is None else flux)], strict=True):
        transformed = torch.fft.rfftn(values, dim=(1, 2), norm="forward")
        stores.write_region(store, _place(name), (slice(a, b),), transformed.numpy())
    return []


def _potential_g(store: stores.Where, system: System, a: int, b: int) -> list[float]:
    """A slab of y: transform along x, the potential's coefficients, half way back."""
    slab = ReciprocalSlab.of_y(system.grid, a, b)

    def coefficients(array: str) -> torch.Tensor:
        mixed = torch.from_numpy(stores.read_region(store, array, (slice(None), slice(a, b))))
        return torch.fft.fft(mixed, dim=0, norm="forward")

    hartree = coefficients("work/g_density") * coulomb_kernel(slab, system.assume_isolated)
    found = hartree + local_potential_of(system, slab)
    if system.functional is not None:
        scalar, *flux = _xc_names(system)
        found += coefficients(_place(scalar))
        found += divergence_of((coefficients(_place(name)) for name in flux), slab, slab.sphere(system.sphere))
    half_way = torch.fft.ifft(found, dim=0, norm="forward")
    stores.write_region(store, _place("total"), (slice(None), slice(a, b)), half_way.numpy())
    return []


def _potential_slab(store: stores.Where, system: System, a: int, b: int) -> list[float]:
    """A slab of x: the rest of the way back."""
    part = torch.from_numpy(stores.read_region(store, _place("total"), (slice(a, b),)))
    field = torch.fft.irfftn(part, s=system.grid.shape[1:], dim=(1, 2), norm="forward")
    stores.write_region(store, "potential", (slice(a, b),), field.numpy())
    return []
