"""From the files of a DFT calculation to a snapshot of a data set, on Dask, in bounded memory.

Text files (cube, xsf) hold one energy level each; the store wants all levels of a block together. So each file is
read once, slab by slab, by a task that stages its level in the store (group ``work``), chunked as the blocks are; then
a task for each block reads all its levels, writes its chunk and returns its sum. .npy and openPMD files let a block
read its own part, and need no staging. Nowhere is more than a block of all levels, or a slab of one, in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from distributed import Client

from maladist import metadata
from maladist.arrays import Array
from maladist.cluster import client_or_local
from maladist.datasets.convert.source import (
    DENSITY_UNITS,
    CheckedSource,
    Source,
    array_shape,
    prepare,
    read_dos,
    snapshot_attributes,
    unit_factor,
)
from maladist.datasets.convert.tasks import (
    TEXT,
    assemble_block,
    compute_descriptors,
    read_descriptors,
    stage_level,
    store_density,
)
from maladist.datasets.verify import loose_notes, spacing_notes, verify_density, verify_ldos
from maladist.descriptors.spec import Spec
from maladist.errors import StoreError, WorkerTooSmallError
from maladist.grid import Blocks, Grid
from maladist.io import datasets, stores
from maladist.io.mala import data as mala_data
from maladist.io.ownership import Claim
from maladist.io.stores import ArrayTemplate, field_template
from maladist.neighbors import CellList
from maladist.parallel import waves
from maladist.parallel.blocking import choose_block
from maladist.parallel.progress import Observer, Silent, advance
from maladist.parallel.workers import Workers
from maladist.reprs import size

R = TypeVar("R")

_BLOCK_BYTES: Final = 48 * 2**20  # of LDOS; a task holds three times that
_COPIES: Final = 4  # of a block, in a task: levels as staged, in order, as encoded, and room


def convert(
    source: Source,
    output: str | Path,
    *,
    name: str,
    spec: Spec | None = None,
    client: Client | None = None,
    overwrite: bool = False,
    observer: Observer | None = None,
) -> Path:
    """Convert one snapshot into a data set, which is made if it is not there.

    Parameters
    ----------
    source
        Files of the snapshot.
    output, name
        Data set, and name of the snapshot in it.
    spec
        Descriptors to store: computed, with the family's default for telling several elements apart, or read from
        ``source.descriptors``; None for none.
    client
        Client whose workers do it; a local cluster where None.
    overwrite
        Whether a finished snapshot of that name is replaced; an unfinished one always is.
    observer
        Observer that is told of stages and finished tasks, and what the user should know; nobody where None.

    Returns
    -------
    Path
        Group of the snapshot.

    Raises
    ------
    InputError
        Files are truncated or do not belong together, or their integrals contradict the calculation.
    """
    # All headers first: what does not belong together is refused before a cluster is asked for.
    ready, observer = prepare(source), observer or Silent()
    if spec is not None and source.descriptors is None:
        spec = spec.for_elements(ready.run.atoms.get_chemical_symbols())
    output = Path(output).resolve()
    group = datasets.snapshot_path(output, name)
    if not overwrite and stores.is_complete(group):
        raise StoreError("name", f"{group} exists", "a new name", "Give --overwrite (overwrite=True) to replace it.")
    datasets.open_data_set(output)
    with client_or_local(client) as connected:
        notes = _Conversion(ready, group, spec, connected, observer).run()
    for text in notes:
        observer.note(text)
    return group


class _Conversion:
    """One snapshot on its way into the store."""

    def __init__(
        self, ready: CheckedSource, group: Path, spec: Spec | None, client: Client, observer: Observer
    ) -> None:
        self.ready, self.spec, self.client, self.observer = ready, spec, client, observer
        observer.begin(client, f"{ready.energies.levels} levels of {ready.grid.n_points} points")
        self.workers = Workers.of(client)
        width = max(ready.energies.levels, spec.n_features if spec else 0)
        self.blocks = choose_blocks(ready.grid, self.workers, width)
        self.group = group

    def run(self) -> tuple[str, ...]:
        with self._made() as self.store:
            return self._fill()

    def _fill(self) -> tuple[str, ...]:
        ready, run = self.ready, self.ready.run
        self._write_atoms()
        dos = self._ldos()
        # Only the whole LDOS shows whether units and kernel are those of the calculation; nothing is finished before.
        energies, notes = verify_ldos(run, dos, ready.energies, kernel_given=ready.source.kernel is not None)
        if ready.source.density is not None:
            total = self._density(Path(ready.source.density))
            verify_density(run, total, ready.source.density)
        if self.spec is not None:
            self._descriptors(self.spec)
        stores.write_values(self.store, {"dos": (("energy",), dos, "1/eV")})
        datasets.write_reference(self.store, run, read_dos(ready))
        notes = (*ready.notes, *notes, *spacing_notes(energies), *loose_notes(run.threshold))
        stores.set_attributes(self.store, {**metadata.energy_attributes(energies), "notes": list(notes)})
        stores.finish(self.store)
        return notes

    def _made(self) -> AbstractContextManager[Claim]:
        ready, shape = self.ready, self.blocks.block_shape
        grid, levels = ready.grid, ready.energies.levels
        arrays = {"ldos": field_template("ldos", (*grid.shape, levels), (*shape, levels))}
        if ready.source.density is not None:
            arrays["density"] = field_template("density", grid.shape, shape)
        if self.spec is not None:
            n = self.spec.n_features
            arrays["descriptors"] = field_template("descriptors", (*grid.shape, n), (*shape, n))
        if ready.levels:
            arrays["work/levels"] = ArrayTemplate(
                (levels, *grid.shape), (1, *shape), ("energy", "x", "y", "z"), "float32"
            )
        return stores.making(self.group, arrays, snapshot_attributes(ready, self.spec), overwrite=True)

    def _write_atoms(self) -> None:
        atoms, grid = self.ready.run.atoms, self.ready.grid
        # Wrapped into the cell: all that read the store find one place for each atom.
        wrapped = atoms.get_scaled_positions(wrap=True) @ grid.cell_array
        stores.write_values(
            self.store,
            {
                "energy": (("energy",), self.ready.energies.values, "eV"),
                "position": (("atom", "xyz"), wrapped, "Å"),
                "number": (("atom",), atoms.numbers.astype(np.int16), "1"),
            },
        )

    def _run(self, stage: str, function: Callable[..., R], jobs: Sequence[waves.NamedJob]) -> list[R]:
        """Results of a stage, in the order of the jobs."""
        self.observer.stage(stage, len(jobs))
        finished = partial(advance, self.observer)
        return waves.in_order(self.client, function, jobs, run_key="convert", finished=finished)

    def _ldos(self) -> Array:
        """D(ε) of the LDOS, 1/eV, in the order of the blocks whatever the order they came in."""
        ready, store = self.ready, self.store
        shape = self.blocks.block_shape
        if ready.levels:
            jobs = [waves.NamedJob(f"level{v.index}", v, store, shape, ready.factor) for v in ready.levels]
            self._run("levels", stage_level, jobs)
        path = "" if ready.levels else str(ready.source.ldos[0])
        jobs = [waves.NamedJob(f"block{b.index}", b, store, path, ready.factor) for b in self.blocks]
        return np.sum(self._run("blocks", assemble_block, jobs), axis=0) * ready.grid.voxel_volume

    def _density(self, path: Path) -> float:
        usual = "1/bohr3" if path.suffix in TEXT else "1/A3"
        factor = unit_factor(self.ready.source.density_units, DENSITY_UNITS, usual)
        # One task: a text file cannot be read from its middle.
        job = waves.NamedJob("density", str(path), self.store, self.blocks, factor)
        return float(self._run("density", store_density, [job])[0]) * self.ready.grid.voxel_volume

    def _descriptors(self, spec: Spec) -> None:
        path = self.ready.source.descriptors
        store = self.store
        if path is not None:
            path = Path(path)
            shape = array_shape(path)
            extra = mala_data.split_positions(shape, spec.n_features, path)
            if extra and path.suffix == ".npy":
                mala_data.check_positions(mala_data.open_field(path), self.ready.grid, path)
            jobs = [waves.NamedJob(f"read{b.index}", b, str(path), store, extra) for b in self.blocks]
            self._run("descriptors", read_descriptors, jobs)
            return
        atoms = self.ready.run.atoms
        cells = CellList(self.ready.grid.cell_array, atoms.positions, atoms.numbers.astype(np.int16), spec.cutoff)
        jobs = [
            waves.NamedJob(f"desc{b.index}", b, self.ready.grid, cells.near_block(self.ready.grid, b), spec, store)
            for b in self.blocks
        ]
        self._run("descriptors", compute_descriptors, jobs)


def choose_blocks(grid: Grid, workers: Workers, width: int) -> Blocks:
    """Blocks of a data set whose tasks fit the smallest worker; a slab of one level must fit as well.

    Raises
    ------
    WorkerTooSmallError
        One plane of the grid does not fit.
    """
    room = workers.room(0)
    fits = max(1, int(min(_BLOCK_BYTES, room / _COPIES) // (4 * width)))
    shape = list(choose_block(grid, workers.threads, fits))
    # A text file is read by planes of its slow axis, which must fit beside one another in a worker's room.
    for axis in (0, 2):  # the axes along which text files are cut
        plane = 8 * 4 * grid.n_points // grid.shape[axis]
        if plane > room:
            raise WorkerTooSmallError("workers", f"room for {size(room)}", f"{size(plane)}, a plane of the grid")
        shape[axis] = min(shape[axis], max(1, room // plane))
    return grid.blocks(shape)
