"""A snapshot back out of a data set, for VESTA, OVITO, XCrySDen and MALA, in bounded memory.

A task writes a group of levels to cube or xsf files, slab by slab, or a block to a mapped .npy file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import xarray as xr
from distributed import Client

from maladist import schema
from maladist.cluster import cluster
from maladist.errors import InputError, StoreError
from maladist.grid import Block, Grid
from maladist.io import datasets, stores
from maladist.io.fields import cube, openpmd, xsf
from maladist.io.mala import data as mala_data
from maladist.parallel import waves
from maladist.units import BOHR, LDOS_QE

Format = Literal["cube", "xsf", "npy", "h5"]
_SLAB_BYTES = 64 * 2**20


def export(
    group: str | Path, folder: str | Path, *, to: Format, client: Client | None = None, overwrite: bool = False
) -> list[Path]:
    """Write a snapshot's LDOS and density (and, to .npy, its descriptors) to files.

    Parameters
    ----------
    group
        Snapshot of a data set, or any store that follows the data contract.
    folder
        Is made; files get the snapshot's name.
    to
        'cube' and 'xsf' in Quantum ESPRESSO's units, one file a level; 'npy' and 'h5' (openPMD) in MALA's, with its
        .info.json.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    InputError
        No snapshot, an unknown format, files that are there already.
    """
    if to not in get_args(Format):
        raise InputError("to", repr(to), "cube, xsf, npy or h5", "For .bp give h5 and then openpmd-pipe.")
    group, folder = Path(group).resolve(), Path(folder).resolve()
    dataset = stores.open_dataset(group)
    fields = [
        n for n in ("ldos", "density", "descriptors") if n in dataset and (to in ("npy", "h5") or n != "descriptors")
    ]
    if not fields:
        raise StoreError(str(group), "no ldos, density or descriptors", "DATA.zarr/snapshots/NAME")
    folder.mkdir(parents=True, exist_ok=True)
    levels = dataset.sizes.get("energy", 0)
    if to == "npy":
        paths, jobs = _to_npy(group, folder, dataset, fields)
    elif to == "h5":
        paths, jobs = _to_h5(group, folder, fields)
    else:
        paths, jobs = _to_text(group, folder, fields, to, levels)
    there = [p for p in paths if p.exists()]
    if there and not overwrite:
        raise InputError("folder", f"{there[0]} exists", "a folder without these files", "Give --overwrite.")
    if to == "npy":
        _make_npy(group, folder, dataset, fields)
    if to in ("npy", "h5"):
        _write_info(group, folder, dataset)
    context: AbstractContextManager[Client] = nullcontext(client) if client is not None else cluster("local")
    with context as connected:
        for function, many in jobs:
            for _ in waves.run(connected, function, many, run_key=f"export-{time.time_ns():x}"):
                pass
    return paths


_Jobs = list[tuple[Callable[..., Any], Sequence[waves.NamedJob]]]


def _to_text(group: Path, folder: Path, fields: Sequence[str], to: str, levels: int) -> tuple[list[Path], _Jobs]:
    paths, jobs = [], []
    if "ldos" in fields:
        names = [folder / f"{group.name}.pp{i + 1:04d}_ldos.{to}" for i in range(levels)]
        paths += names
        many = max(1, min(32, -(-levels // 8)))
        for first in range(0, levels, many):
            part = [str(p) for p in names[first : first + many]]
            jobs.append(waves.NamedJob(f"levels{first}", str(group), "ldos", part, first, to))
    if "density" in fields:
        paths.append(folder / f"{group.name}_density.{to}")
        jobs.append(waves.NamedJob("density", str(group), "density", [str(paths[-1])], 0, to))
    return paths, [(write_text, jobs)]


def _npy_name(group: str, field: str) -> str:
    return f"{group}.{ {'ldos': 'out', 'descriptors': 'in', 'density': 'dens'}[field] }.npy"


def _to_npy(group: Path, folder: Path, dataset: xr.Dataset, fields: Sequence[str]) -> tuple[list[Path], _Jobs]:
    grid = schema.grid_of(dataset)
    chunks = dataset[fields[0]].encoding["chunks"][:3]
    paths = [folder / _npy_name(group.name, f) for f in fields] + [folder / f"{group.name}.info.json"]
    jobs = [
        waves.NamedJob(f"{f}{b.index}", str(group), f, b, str(p))
        for f, p in zip(fields, paths, strict=False)
        for b in grid.blocks(chunks)
    ]
    return paths, [(write_npy, jobs)]


def _make_npy(group: Path, folder: Path, dataset: xr.Dataset, fields: Sequence[str]) -> None:
    grid = schema.grid_of(dataset)
    widths = {"ldos": dataset.sizes.get("energy", 0), "density": 1, "descriptors": dataset.sizes.get("feature", 0) + 3}
    for field in fields:
        dtype = "float64" if field == "density" else "float32"
        mala_data.create_field(folder / _npy_name(group.name, field), (*grid.shape, widths[field]), dtype)


def _to_h5(group: Path, folder: Path, fields: Sequence[str]) -> tuple[list[Path], _Jobs]:
    paths = [(folder / _npy_name(group.name, f)).with_suffix(".h5") for f in fields]
    jobs = [waves.NamedJob(f, str(group), f, str(p)) for f, p in zip(fields, paths, strict=True)]
    return [*paths, folder / f"{group.name}.info.json"], [(write_h5, jobs)]


def _write_info(group: Path, folder: Path, dataset: xr.Dataset) -> None:
    grid = schema.grid_of(dataset)
    terms = datasets.reference_terms(datasets.read_reference(group))
    mala_data.write_info(folder / f"{group.name}.info.json", schema.atoms_of(dataset), grid, dict(dataset.attrs), terms)


# -- on a worker -----------------------------------------------------------------------------------------------------


def write_npy(group: str, field: str, block: Block, path: str) -> None:
    """Write a block of a field to its place in a .npy file; descriptors get their positions before them."""
    values = np.asarray(stores.open_array(group, field, "r")[block.slices])
    grid = schema.grid_of(stores.open_dataset(group))
    mala_data.write_region(Path(path), block.slices, _with_positions(values, field, grid, block))


def write_h5(group: str, field: str, path: str) -> None:
    """Write a field to an openPMD file, a block of the store at a time; descriptors get their positions before them."""
    dataset, array = stores.open_dataset(group), stores.open_array(group, field, "r")
    grid = schema.grid_of(dataset)
    extra = mala_data.POSITION_COLUMNS if field == "descriptors" else 0
    width = extra + (array.shape[3] if array.ndim == 4 else 1)
    with openpmd.writing(Path(path), (*grid.shape, width), field, str(array.dtype)) as write:
        for block in grid.blocks(array.chunks[:3]):
            write(block.slices, _with_positions(np.asarray(array[block.slices]), field, grid, block))


def _with_positions(values: npt.NDArray[Any], field: str, grid: Grid, block: Block) -> npt.NDArray[Any]:
    values = values.reshape(*block.shape, -1)
    if field != "descriptors":
        return values
    points = grid.points(block).reshape(*block.shape, 3)
    return np.concatenate([points.astype(np.float32), values], axis=-1)


def write_text(group: str, field: str, paths: Sequence[str], first: int, to: str) -> None:
    """Write consecutive levels of the LDOS, or the density, to cube or xsf files, reading each slab once."""
    dataset = stores.open_dataset(group)
    grid, atoms = schema.grid_of(dataset), schema.atoms_of(dataset)
    module = cube if to == "cube" else xsf
    axis = 0 if to == "cube" else 2
    array = stores.open_array(group, field, "r")
    titles, factor = ["density, 1/bohr^3"], BOHR**3
    if field == "ldos":
        energies = schema.energy_grid_of(dataset)
        titles = [cube.level_title(e, energies.width) for e in energies.values[first : first + len(paths)]]
        factor = 1 / LDOS_QE
    levels = array.shape[3] if field == "ldos" else 1
    thick = max(1, _SLAB_BYTES // (4 * levels * grid.n_points // grid.shape[axis]))
    with ExitStack() as stack:
        files = [stack.enter_context(Path(p).open("w")) for p in paths]
        for file, title in zip(files, titles, strict=True):
            module.write_header(file, atoms, grid, title)
        starts = [*range(0, grid.shape[axis], thick), *([-1] if to == "xsf" else [])]  # xsf repeats its first plane
        for a in starts:
            region = [slice(0, n) for n in grid.shape]
            region[axis] = slice(0, 1) if a < 0 else slice(a, min(a + thick, grid.shape[axis]))
            slab = np.asarray(array[tuple(region)], dtype=np.float64).reshape(
                *(s.stop - s.start for s in region), levels
            )
            for i, file in enumerate(files):
                module.write_slab(file, slab[..., first + i if field == "ldos" else 0] * factor)
        for file in files:
            module.write_end(file)
