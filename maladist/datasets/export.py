"""A snapshot back out of a data set, for VESTA, OVITO, XCrySDen and MALA, in bounded memory; a density for pw.x.

A task writes a group of levels to cube or xsf files, slab by slab, or a block to its place in .npy or .h5 files, whose
room on the disk is taken first. What pw.x starts from is a Fourier transform of the density, which one task holds. The
files get their names when all of them are whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np
import xarray as xr
from distributed import Client

from maladist import metadata, schema
from maladist.arrays import AnyArray
from maladist.errors import InputError, StoreError
from maladist.grid import Block, Grid
from maladist.io import datasets, stores
from maladist.io.fields import cube, openpmd, raw, xsf
from maladist.io.mala import data as mala_data
from maladist.io.opening import open_dataset
from maladist.io.qe.wavefunctions import DENSITY, DENSITY_HDF5, write_density
from maladist.io.targets import check_folder, explained, whole
from maladist.parallel import waves
from maladist.parallel.progress import Observer, Silent, advance
from maladist.physics.reciprocal import largest_cutoff
from maladist.prediction.place import client_or_here
from maladist.units import BOHR, LDOS_QE

Format = Literal["cube", "xsf", "npy", "h5", "qe", "qe-hdf5", "chgcar"]
_FIELDS: Final = {
    "cube": ("ldos", "density"),
    "xsf": ("ldos", "density"),
    "npy": ("ldos", "density", "descriptors"),
    "h5": ("ldos", "density", "descriptors"),
    "qe": ("density",),
    "qe-hdf5": ("density",),
    "chgcar": ("density",),
}
_OF_QE: Final = {"qe": DENSITY, "qe-hdf5": DENSITY_HDF5}
_SLAB_BYTES = 64 * 2**20
_LOST_CHARGE: Final = 1e-4
"""Share of the electrons by which the integral of a density may differ before that is said."""
SMALL_VALUES: Final = 2**22
"""Values of all fields that this process writes: as text they take a core about as long as a cluster to start."""


def export(
    group: str | Path,
    folder: str | Path,
    *,
    to: Format,
    client: Client | None = None,
    overwrite: bool = False,
    observer: Observer | None = None,
) -> list[Path]:
    """Write a snapshot's LDOS and density (and, to .npy, its descriptors) to files.

    Parameters
    ----------
    group
        Snapshot of a data set, or any store that follows the data contract.
    folder
        Folder, which is made; files get the snapshot's name.
    to
        'cube' and 'xsf' in Quantum ESPRESSO's units, one file a level; 'npy' and 'h5' (openPMD) in MALA's, with its
        .info.json; 'qe', the density alone as the file charge-density.dat of a folder PREFIX.save, which pw.x begins
        with where its input says ``startingpot = 'file'``, 'qe-hdf5', as charge-density.hdf5, where pw.x was built with
        HDF5. Of cell, atoms and their order pw.x must have the same; 'chgcar', the density alone as VASP's CHGCAR, for
        programs that read it: VASP's own densities are of PAW.
    client
        Client whose workers write; where None this process for small fields, a local cluster for others.
    overwrite
        Whether files of these names are replaced.
    observer
        Observer that is told of the tasks; nobody where None.

    Returns
    -------
    list of Path
        Paths of the files.

    Raises
    ------
    InputError
        There is no snapshot, the format is unknown, or files are there already.

    Examples
    --------
    >>> with maladist.cluster("local", workers=1) as client:
    ...     files = maladist.export("result.zarr", "cubes", to="cube", client=client)
    >>> [file.name for file in files]
    ['result.zarr_density.cube']
    """
    if to not in get_args(Format):
        raise InputError("to", repr(to), ", ".join(get_args(Format)), "For .bp give h5 and then openpmd-pipe.")
    group, folder = Path(group).resolve(), Path(folder).resolve()
    dataset = open_dataset(group)
    fields = [name for name in _FIELDS[to] if name in dataset]
    if not fields:
        remedy = "observe makes a density of an LDOS." if "ldos" in dataset else ""
        raise StoreError(str(group), f"no {' or '.join(_FIELDS[to])}", "DATA.zarr/snapshots/NAME, or a result", remedy)
    # These formats have one field a file: which temperature is meant must be said before.
    if "temperature" in dataset.dims:
        raise StoreError(str(group), f"{dataset.sizes['temperature']} temperatures", "a field at one temperature")
    names = _names(group.name, to, fields, dataset.sizes.get("energy", 0))
    check_folder(folder, "folder", parents=True)
    paths = [folder / name for name in names]
    there = [p for p in paths if p.exists()]
    if there and not overwrite:
        raise InputError("folder", f"{there[0]} exists", "a folder without these files", "Give --overwrite.")
    with explained(folder, "folder"):
        folder.mkdir(parents=True, exist_ok=True)
    observer = observer or Silent()
    small = sum(dataset[n].size for n in fields) <= SMALL_VALUES
    with client_or_here(client, small) as connected, whole(paths, "folder") as beside:
        function, jobs = _jobs(group, dataset, to, fields, beside)
        observer.begin(connected, f"{len(paths)} files")
        observer.stage("tasks", len(jobs))
        told = waves.in_order(connected, function, jobs, run_key="export", finished=partial(advance, observer))
        for line in filter(None, told):
            observer.note(line)
    return paths


_Jobs = tuple[Callable[..., object], Sequence[waves.NamedJob]]


def _names(group: str, to: str, fields: Sequence[str], levels: int) -> list[str]:
    """Names of the files, field by field."""
    if to in _OF_QE:
        return [_OF_QE[to]]  # whatever the snapshot is called: pw.x looks for this name
    if to == "chgcar":
        return [f"{group}.CHGCAR"]
    if to in ("npy", "h5"):
        end = {"ldos": "out", "descriptors": "in", "density": "dens"}
        return [f"{group}.{end[f]}.{to}" for f in fields] + [f"{group}.info.json"]
    by_level = [f"{group}.pp{i + 1:04d}_ldos.{to}" for i in range(levels)] if "ldos" in fields else []
    return by_level + ([f"{group}_density.{to}"] if "density" in fields else [])


def _jobs(group: Path, dataset: xr.Dataset, to: str, fields: Sequence[str], files: Sequence[Path]) -> _Jobs:
    """What fills the files, those of .npy and .h5 made with their room on the disk."""
    if to in _OF_QE:
        schema.validate(dataset, ("n_electrons",), str(group))
        return write_for_qe, [waves.NamedJob("density", str(group), str(files[0]))]
    if to == "chgcar":
        return write_chgcar, [waves.NamedJob("density", str(group), str(files[0]))]
    if to not in ("npy", "h5"):
        return write_text, _text_jobs(group, dataset, to, fields, [str(p) for p in files])
    grid, jobs = metadata.grid_of(dataset), []
    widths = {"ldos": dataset.sizes.get("energy", 0), "density": 1, "descriptors": dataset.sizes.get("feature", 0) + 3}
    for field, path in zip(fields, files, strict=False):
        x, y, z = grid.shape
        # MALA keeps densities in double precision.
        shape, dtype = (x, y, z, widths[field]), "float64" if field == "density" else "float32"
        # Made and given their room here, so that tasks write without a look at one another.
        offsets = (
            openpmd.create(path, shape, field, dtype) if to == "h5" else mala_data.create_field(path, shape, dtype)
        )
        at = (str(group), field, grid, str(path), shape, dtype, offsets)
        blocks = grid.blocks(dataset[field].encoding["chunks"][:3])
        jobs += [waves.NamedJob(f"{field}{b.index}", b, *at) for b in blocks]
    _write_info(files[-1], group, dataset)
    return write_block, jobs


def _text_jobs(
    group: Path, dataset: xr.Dataset, to: str, fields: Sequence[str], files: Sequence[str]
) -> list[waves.NamedJob]:
    """Tasks of some levels each, and one of the density, which comes last."""
    levels = dataset.sizes["energy"] if "ldos" in fields else 0
    # Levels of a task: each reads all chunks once for its levels, so the more the fewer reads,
    # but eight tasks at least.
    many = max(1, min(32, -(-levels // 8)))
    jobs = [
        waves.NamedJob(f"levels{first}", str(group), "ldos", files[first : min(first + many, levels)], first, to)
        for first in range(0, levels, many)
    ]
    if "density" in fields:
        jobs.append(waves.NamedJob("density", str(group), "density", files[levels:], 0, to))
    return jobs


def _write_info(path: Path, group: Path, dataset: xr.Dataset) -> None:
    grid = metadata.grid_of(dataset)
    terms = datasets.reference_terms(datasets.read_reference(group))
    mala_data.write_info(path, metadata.atoms_of(dataset), grid, dict(dataset.attrs), terms)


# -- on a worker -----------------------------------------------------------------------------------------------------


def write_block(
    block: Block,
    group: str,
    field: str,
    grid: Grid,
    path: str,
    shape: tuple[int, ...],
    dtype: str,
    offsets: tuple[int, ...],
) -> None:
    """Write a block of a field to its place in a file; descriptors get their positions before them."""
    values = stores.read_region(group, field, block.slices)
    values = _with_positions(values, field, grid, block).astype(dtype, copy=False)
    with explained(Path(path).parent.parent, "folder"):
        raw.write_region(Path(path), offsets, shape, block.slices, values)


def write_for_qe(group: str, path: str) -> str:
    """Write the density as pw.x reads it, scaled to the electrons of the cell; what is to be said of that."""
    dataset = open_dataset(group)
    grid, n_electrons = metadata.grid_of(dataset), float(dataset.attrs["n_electrons"])
    density = stores.read_region(group, "density", tuple(slice(0, n) for n in grid.shape))
    # Without the sphere of the data, all that the grid tells.
    cutoff = float(dataset.attrs.get("density_cutoff_eV", largest_cutoff(grid)))
    with explained(Path(path).parent.parent, "folder"):
        # pw.x scales the density that an scf begins with, but not that of an nscf.
        write_density(Path(path), density, grid.cell_array, cutoff, n_electrons)
    has = float(density.sum()) * grid.voxel_volume
    lost = abs(has / n_electrons - 1) > _LOST_CHARGE
    return f"the density integrates to {has:.6g} electrons: it was scaled to {n_electrons:g}" if lost else ""


def write_chgcar(group: str, path: str) -> None:
    """Write the density as VASP has it, n(r) times the cell's volume, the atoms in their order."""
    from ase.calculators.vasp import VaspChargeDensity  # a second, for those who want it

    dataset = open_dataset(group)
    charge = VaspChargeDensity(None)
    charge.atoms = [metadata.atoms_of(dataset)]
    charge.chg = [np.asarray(dataset["density"].transpose("x", "y", "z").values)]
    with explained(Path(path).parent.parent, "folder"):
        charge.write(path, format="chgcar")


def _with_positions(values: AnyArray, field: str, grid: Grid, block: Block) -> AnyArray:
    values = values.reshape(*block.shape, -1)
    if field != "descriptors":
        return values
    points = grid.points(block).reshape(*block.shape, 3)
    return np.concatenate([points.astype(np.float32), values], axis=-1)


def write_text(group: str, field: str, paths: Sequence[str], first: int, to: str) -> None:
    """Write consecutive levels of the LDOS, or the density, to cube or xsf files, reading each slab once."""
    # Opened on the worker: a dataset of many levels is more to send than its path.
    dataset = open_dataset(group)
    grid, atoms = metadata.grid_of(dataset), metadata.atoms_of(dataset)
    module = cube if to == "cube" else xsf
    axis = 0 if to == "cube" else 2
    array = stores.open_array(group, field, "r")
    titles, factor = ["density, 1/bohr^3"], BOHR**3
    if field == "ldos":
        energies = metadata.energy_grid_of(dataset)
        titles = [cube.level_title(e, energies.width) for e in energies.values[first : first + len(paths)]]
        # Programs that read cubes expect Quantum ESPRESSO's units, not ours.
        factor = 1 / LDOS_QE
    levels = array.shape[3] if field == "ldos" else 1
    thick = max(1, _SLAB_BYTES // (4 * levels * grid.n_points // grid.shape[axis]))
    with explained(Path(paths[0]).parent.parent, "folder"), ExitStack() as stack:
        files = [stack.enter_context(Path(p).open("w")) for p in paths]
        for file, title in zip(files, titles, strict=True):
            module.write_header(file, atoms, grid, title)
        # A file of one level needs that level of all chunks: slabs of the slow axis, in the order
        # in which they are written.
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
