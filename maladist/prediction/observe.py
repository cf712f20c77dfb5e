"""Density, DOS and energies of an LDOS that is there already: predicted and kept, lazy, or from DFT."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Unpack

import dask.array as da
import numpy as np
import torch
import xarray as xr
from distributed import Client

from maladist import metadata, schema
from maladist.arrays import AnyArray, Array
from maladist.atoms import AtomsLike
from maladist.cluster import client_or_local
from maladist.errors import InputError, StoreError
from maladist.io import stores
from maladist.io.appearing import check_target
from maladist.io.opening import open_dataset
from maladist.io.qe.upf import elements_of
from maladist.io.stores import field_template
from maladist.parallel.workers import Workers
from maladist.parallel.write import write_lazy
from maladist.physics.fermi import FermiState, fermi_states, number_rows, use_correction
from maladist.physics.limits import check_bottom, check_limits
from maladist.physics.system import System, common_functional, complete
from maladist.prediction.fields import in_slabs, one_task_bytes, reference_density, terms_of_store
from maladist.prediction.options import ObserveOptions, check_names
from maladist.prediction.provenance import provenance
from maladist.prediction.record import REFERENCE
from maladist.prediction.result import Prediction, temporary_store
from maladist.prediction.values import result_values

_CHUNK_BYTES = 64 * 2**20  # of LDOS in a task, where the store does not say


def observe(
    ldos: xr.DataArray | xr.Dataset | str | Path,
    atoms: AtomsLike | None = None,
    *,
    client: Client | None = None,
    store: str | Path | None = None,
    overwrite: bool = False,
    **options: Unpack[ObserveOptions],
) -> Prediction:
    """Compute what follows from an LDOS.

    Parameters
    ----------
    ldos
        (x, y, z, energy), 1/(eV Å³), as a DataArray or Dataset that follows the data contract, or the path of a store
        or group that does. Lazy ones are read block by block.
    atoms
        Atoms, where the LDOS comes without them.
    client, store, overwrite
        Client whose workers compute, and where the result goes, as in `predict`.
    temperature
        Temperature of the electrons, K; several give a leading dim ``temperature``. The data's own where it is not
        given.
    pseudopotentials
        Folder of UPF files, or elements by symbol: valence and core charge.
    xc
        'pbe', 'pw92' or 'pz'; the data's own where it is not given.
    density_cutoff
        Cutoff of the sphere of n_core, of the gradient and of XC, eV; the data's own where it is not given.
    broadening_correction
        Correction for the broadening of the LDOS: 'auto', 'on' or 'off'.
    double_counting
        Density in −E_H + E_xc − ∫ v_xc n, at the temperature of the data whatever ``temperature`` is: 'dft' is the
        ``density`` that the data hold, 'ldos' what follows from the LDOS, 'auto' the former where it is there. The
        result's n(r) is that density and what the LDOS adds to it at other temperatures.

    Returns
    -------
    Prediction
        The result, as from `predict`.

    Raises
    ------
    InputError
        The data break the contract, nothing tells the atoms or the temperature, or the energy window does not hold μ
        or f(ε).

    Examples
    --------
    >>> ldos = maladist.ldos(be, "be-1000K-2")
    >>> with maladist.cluster("local", workers=1) as client:
    ...     hot = maladist.observe(ldos, be, client=client, temperature=1500.0, double_counting="ldos")
    >>> hot.energies.entropy < 0
    True
    """
    check_names(options, ObserveOptions.__optional_keys__)
    began = time.perf_counter()
    dataset = open_ldos(ldos)
    system = _system(dataset, _known(dataset, atoms, options), options)
    path = temporary_store() if store is None else check_target(Path(store).resolve(), overwrite)
    # Before the old store is touched: it may be the very data that are to be read.
    _refuse_to_replace(path, ldos, dataset)
    with client_or_local(client) as connected:
        _observe(dataset, system, connected, path, overwrite, began)
    return Prediction.open(path)


def open_ldos(ldos: xr.DataArray | xr.Dataset | str | Path) -> xr.Dataset:
    """What holds an LDOS, held against the contract, over Dask with all energies of a point in one chunk."""
    if isinstance(ldos, str | Path):
        dataset = open_dataset(ldos, chunks={})
        source = str(ldos)
    else:
        source = "ldos"
        # A DataArray tells of its grid in attributes of its own.
        dataset = ldos if isinstance(ldos, xr.Dataset) else ldos.to_dataset(name="ldos").assign_attrs(ldos.attrs)
    schema.validate(dataset, ("ldos", "energy", "cell"), source)
    sizes = dataset.sizes
    if dataset["ldos"].chunks is None:
        points = max(1, _CHUNK_BYTES // (4 * sizes["y"] * sizes["z"] * sizes["energy"]))
        dataset = dataset.chunk({"x": points, "y": -1, "z": -1, "energy": -1})
    # A sum over energies needs all levels of a point in one task.
    return dataset.chunk({"energy": -1})


def _refuse_to_replace(path: Path, ldos: object, dataset: xr.Dataset) -> None:
    """The result must not replace the store that the LDOS is read from, or one that it is a group of."""
    named = ldos if isinstance(ldos, str | Path) else dataset.encoding.get("source")
    if named is None:
        return
    source = Path(named).resolve()
    if path == source or path in source.parents:
        raise StoreError("output", f"{path} holds the LDOS that is read", "another path", "The LDOS is left as it is.")


def _known(dataset: xr.Dataset, given: AtomsLike | None, options: ObserveOptions) -> System:
    """What the data tell, with the atoms, pseudopotentials, functional and cutoff that are given."""
    atoms = metadata.known_atoms(dataset, given, "LDOS")
    pseudopotentials = options.get("pseudopotentials")
    elements = {} if pseudopotentials is None else elements_of(pseudopotentials)
    known = metadata.read_system(dataset, elements, atoms)
    cutoff = options.get("density_cutoff")
    return replace(
        known,
        xc=options.get("xc") or known.xc,
        density_cutoff=known.density_cutoff if cutoff is None else cutoff,
    )


def _system(dataset: xr.Dataset, known: System, options: ObserveOptions) -> System:
    """The system at the temperatures and with the conventions that are asked for."""
    temperature, double_counting = options.get("temperature"), options.get("double_counting", "auto")
    if temperature is None and not known.temperatures:
        raise InputError("temperature", "none, and the data name none", "a temperature in K", "Give --temperature.")
    if double_counting not in ("auto", "ldos", known.double_counting):
        came = f"{double_counting!r}, of which the data hold no density"
        wanted = " or ".join(dict.fromkeys(("auto", "ldos", known.double_counting)))
        raise InputError("double_counting", came, wanted)
    # The DFT's own density where the data hold it: −E_H + E_xc − ∫ v_xc n is of first order in its error.
    convention = known.double_counting if double_counting == "auto" else double_counting
    if convention != "ldos" and metadata.reference_density(dataset) is None:
        came = (
            f"{convention!r}, whose density at {known.reference_temperature:g} K the store of other temperatures lacks"
        )
        raise InputError("double_counting", came, "ldos, or a run at that temperature")
    corrected, not_corrected = use_correction(
        options.get("broadening_correction", "auto"), metadata.energy_grid_of(dataset)
    )
    system = replace(
        known,
        temperatures=known.temperatures if temperature is None else tuple(np.atleast_1d(temperature).tolist()),
        xc=known.xc or common_functional(known),
        correction=corrected,
        double_counting=convention,
    )
    return complete(system, not_corrected)


def _observe(dataset: xr.Dataset, system: System, client: Client, path: Path, overwrite: bool, began: float) -> None:
    # D(ε) first, in a pass of its own: the density needs μ.
    field, energies = dataset["ldos"].transpose("x", "y", "z", "energy"), metadata.energy_grid_of(dataset)
    clock = time.perf_counter()
    dos = (
        np.asarray(client.compute(field.data.sum(axis=(0, 1, 2), dtype=np.float64), sync=True))
        * system.grid.voxel_volume
    )
    states = fermi_states(torch.as_tensor(dos), energies, system)
    held = torch.as_tensor(dos), energies
    # A model's energies are its data's, which `check` has seen; an LDOS of any origin may begin within a band.
    limits = *check_limits(*held, states, system), *check_bottom(*held, states[0], system)
    system = replace(system, notes=(*system.notes, *limits))

    several = len(system.temperatures) if len(system.temperatures) > 1 else 0
    block = tuple(max(c) for c in field.chunks[:3])
    attributes = {
        **metadata.system_attributes(system),
        **metadata.energy_attributes(energies),
        "source": f"maladist {version('maladist')} observe",
        "of": str(dataset.attrs.get("source", "an LDOS")),
    }
    arrays = {"density": field_template("density", system.grid.shape, block, several)}
    if reference_density(system)[0] == REFERENCE:
        arrays[REFERENCE] = field_template("density", system.grid.shape, block)
    densities = _densities(
        field.data.rechunk((*block, -1)), states, system.reference_index, _reference(dataset, system, block)
    )
    n = len(system.temperatures)
    sources = dict(zip(arrays, [da.stack(densities[:n]) if several else densities[0], *densities[n:]], strict=True))
    with stores.making(path, arrays, attributes, overwrite) as store:
        write_lazy(store, sources, client)
        reductions = time.perf_counter() - clock

        clock = time.perf_counter()
        # Nothing is shared with the tasks: the density comes from the store.
        room = Workers.of(client).room(0)
        distributed = in_slabs(system.grid, one_task_bytes(system.grid, system.n_atoms), room)
        terms = terms_of_store(client, store, system, distributed=distributed, room=room, run_key="observe")
        stores.write_values(store, result_values(system, energies, dos, states, terms))
        now = time.perf_counter()
        seconds = {"reductions": reductions, "energies": now - clock, "wall": now - began}
        stores.set_attributes(
            store,
            {
                **provenance(),
                "blocks": int(np.prod(field.data.numblocks[:3])),
                "workers": len(client.nthreads()),
                "seconds": seconds,
            },
        )
        stores.finish(store)


def _reference(dataset: xr.Dataset, system: System, block: tuple[int, ...]) -> da.Array | None:
    """n₀ where the data hold it and it is asked for, (x, y, z); None where it is to come from the LDOS."""
    held = None if system.double_counting == "ldos" else metadata.reference_density(dataset)
    return None if held is None else da.asarray(held.data).astype(np.float64).rechunk(block)


def _densities(field: da.Array, states: Sequence[FermiState], at_t0: int, reference: da.Array | None) -> list[da.Array]:
    """n(r) at the temperature of each state, (x, y, z) float64, lazy: w·d, or n₀ + (w − w₀)·d where n₀ is held."""
    number = number_rows(states)
    # Of the LDOS only what changes from T₀ counts: n₀ itself is the data's.
    if reference is not None:
        number = number - number[at_t0]

    def integrate(block: AnyArray, number: Array) -> Array:
        return np.moveaxis(block.astype(np.float64) @ number.T, -1, 0)

    every = da.map_blocks(
        integrate,
        field,
        number=number,
        chunks=((len(number),), *field.chunks[:3]),
        dtype=np.float64,
        drop_axis=3,
        new_axis=0,
        meta=np.empty((0, 0, 0, 0)),
    )
    if reference is None:
        return list(every)
    return [reference if i == at_t0 else reference + every[i] for i in range(len(states))]
