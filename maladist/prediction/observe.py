"""Density, DOS and energies of an LDOS that is there already: predicted and kept, lazy, or from DFT."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ase
import dask.array as da
import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
from distributed import Client

from maladist import schema
from maladist.cluster import client_or_local
from maladist.elements import Element
from maladist.errors import InputError, StoreError
from maladist.io import stores
from maladist.io.qe.upf import read_pseudopotentials
from maladist.io.stores import field_template
from maladist.parallel.workers import Workers
from maladist.physics.fermi import CorrectionMode, fermi_states, number_rows, use_correction
from maladist.physics.functionals import Functional
from maladist.physics.system import System, common_functional, complete
from maladist.prediction.fields import one_task_bytes, terms_of_store
from maladist.prediction.provenance import provenance
from maladist.prediction.result import Prediction, temporary_store
from maladist.prediction.values import result_values

Array = npt.NDArray[np.float64]
_CHUNK_BYTES = 64 * 2**20  # of LDOS in a task, where the store does not say


def observe(
    ldos: xr.DataArray | xr.Dataset | str | Path,
    atoms: ase.Atoms | None = None,
    *,
    temperature: float | Sequence[float] | None = None,
    pseudopotentials: str | Path | Mapping[str, Element] | None = None,
    xc: Functional | None = None,
    density_cutoff: float | None = None,
    correction: CorrectionMode = "auto",
    client: Client | None = None,
    store: str | Path | None = None,
    overwrite: bool = False,
) -> Prediction:
    """Compute what follows from an LDOS.

    Parameters
    ----------
    ldos
        (x, y, z, energy), 1/(eV Å³), as a DataArray or Dataset that follows the data contract, or the path of a store
        or group that does. Lazy ones are read block by block.
    atoms
        Where the LDOS comes without them.
    temperature
        K; several give a leading dim ``temperature``. The data's own where it is not given.
    pseudopotentials
        Folder of UPF files, or elements by symbol: valence and core charge.
    xc
        'pbe', 'pw92' or 'pz'; the data's own where it is not given.
    density_cutoff
        Sphere of n_core, of the gradient and of XC, eV; the data's own where it is not given.
    correction
        Of the LDOS' broadening: 'auto', 'on' or 'off'.
    client, store, overwrite
        As in `predict`.

    Returns
    -------
    Prediction
        As from `predict`.

    Raises
    ------
    InputError
        Data that break the contract, atoms or temperature that nothing tells, an energy window that does not hold μ.
    """
    began = time.perf_counter()
    dataset = _open(ldos)
    system = _system(dataset, atoms, temperature, pseudopotentials, xc, density_cutoff, correction)
    path = temporary_store() if store is None else stores.check_target(Path(store).resolve(), overwrite)
    _refuse_to_replace(path, ldos, dataset)
    with client_or_local(client) as connected:
        _observe(dataset, system, connected, path, overwrite, began)
    return Prediction.open(path)


def _open(ldos: xr.DataArray | xr.Dataset | str | Path) -> xr.Dataset:
    if isinstance(ldos, str | Path):
        dataset = stores.open_dataset(ldos, chunks={})
        source = str(ldos)
    else:
        source = "ldos"
        dataset = ldos if isinstance(ldos, xr.Dataset) else ldos.to_dataset(name="ldos").assign_attrs(ldos.attrs)
    schema.validate(dataset, ("ldos", "energy", "cell"), source)
    sizes = dataset.sizes
    if dataset["ldos"].chunks is None:
        points = max(1, _CHUNK_BYTES // (4 * sizes["y"] * sizes["z"] * sizes["energy"]))
        dataset = dataset.chunk({"x": points, "y": -1, "z": -1, "energy": -1})
    return dataset.chunk({"energy": -1})


def _refuse_to_replace(path: Path, ldos: Any, dataset: xr.Dataset) -> None:
    """The result must not replace the store that the LDOS is read from, or one that it is a group of."""
    named = ldos if isinstance(ldos, str | Path) else dataset.encoding.get("source")
    if named is None:
        return
    source = Path(named).resolve()
    if path == source or path in source.parents:
        raise StoreError("output", f"{path} holds the LDOS that is read", "another path", "The LDOS is left as it is.")


def _system(
    dataset: xr.Dataset,
    atoms: ase.Atoms | None,
    temperature: float | Sequence[float] | None,
    pseudopotentials: str | Path | Mapping[str, Element] | None,
    xc: Functional | None,
    density_cutoff: float | None,
    correction: CorrectionMode,
) -> System:
    if atoms is None and ("position" not in dataset or "number" not in dataset):
        raise StoreError("ldos", "no atoms", "variables position and number", "Give the atoms (--atoms).")
    atoms = schema.atoms_of(dataset) if atoms is None else atoms
    schema.check_atoms(atoms)
    elements: Mapping[str, Element] = {}
    if pseudopotentials is not None:
        elements = (
            pseudopotentials if isinstance(pseudopotentials, Mapping) else read_pseudopotentials(pseudopotentials)
        )
    known = schema.read_system(dataset, elements, atoms)
    if not np.allclose(atoms.cell.array, known.grid.cell_array, atol=1e-3):
        cell = known.grid.cell_array.round(4).tolist()
        raise InputError("atoms", "a cell that is not that of the LDOS", f"the cell {cell}")
    if temperature is None and not known.temperatures:
        raise InputError("temperature", "none, and the data name none", "a temperature in K", "Give --temperature.")
    corrected, not_corrected = use_correction(correction, schema.energy_grid_of(dataset))
    system = replace(
        known,
        temperatures=known.temperatures if temperature is None else tuple(np.atleast_1d(temperature).tolist()),
        xc=xc or known.xc or common_functional(known),
        density_cutoff=known.density_cutoff if density_cutoff is None else density_cutoff,
        correction=corrected,
    )
    return complete(system, not_corrected)


def _observe(dataset: xr.Dataset, system: System, client: Client, path: Path, overwrite: bool, began: float) -> None:
    field, energies = dataset["ldos"].transpose("x", "y", "z", "energy"), schema.energy_grid_of(dataset)
    clock = time.perf_counter()
    dos = (
        np.asarray(client.compute(field.data.sum(axis=(0, 1, 2), dtype=np.float64), sync=True))
        * system.grid.voxel_volume
    )
    states = fermi_states(torch.as_tensor(dos), energies, system)
    number = number_rows(states)

    several = len(number) if len(number) > 1 else 0
    block = tuple(max(c) for c in field.chunks[:3])
    attributes = {
        **schema.system_attributes(system),
        **schema.energy_attributes(energies),
        "source": f"maladist {version('maladist')} observe",
        "of": str(dataset.attrs.get("source", "an LDOS")),
    }
    stores.create(
        path, {"density": field_template("density", system.grid.shape, block, several)}, attributes, overwrite
    )
    density = _density(field.data.rechunk((*block, -1)), number)
    da.store(density if several else density[0], stores.open_array(path, "density"), lock=False, scheduler=client)
    reductions = time.perf_counter() - clock

    clock = time.perf_counter()
    room = Workers.of(client).room(0)
    distributed = one_task_bytes(system.grid, system.n_atoms) > room
    terms = terms_of_store(
        client, path, system, distributed=distributed, room=room, run_key=f"observe-{time.time_ns():x}"
    )
    stores.write_values(path, result_values(system, energies, dos, states, terms))
    seconds = {"reductions": reductions, "energies": time.perf_counter() - clock, "wall": time.perf_counter() - began}
    stores.set_attributes(
        path,
        {
            **provenance(),
            "blocks": int(np.prod(field.data.numblocks[:3])),
            "workers": len(client.nthreads()),
            "seconds": seconds,
        },
    )
    stores.finish(path)


def _density(field: Any, number: Array) -> da.Array:
    """n(r) for each temperature: (temperatures, x, y, z) float64, lazy."""

    def integrate(block: npt.NDArray[Any], number: Array) -> Array:
        return np.moveaxis(block.astype(np.float64) @ number.T, -1, 0)

    return da.map_blocks(
        integrate,
        field,
        number=number,
        chunks=((len(number),), *field.chunks[:3]),
        dtype=np.float64,
        drop_axis=3,
        new_axis=0,
        meta=np.empty((0, 0, 0, 0)),
    )
