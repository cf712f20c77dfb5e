"""Descriptors and LDOS of a cell as lazy arrays, for exploring: only the blocks that a slice touches are computed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, Unpack

import dask
import dask.array as da
import numpy as np
import xarray as xr

from maladist import metadata, schema
from maladist.arrays import Floats
from maladist.atoms import AtomsLike, ase_atoms, check_atoms
from maladist.descriptors import Spec, evaluate, told_apart
from maladist.descriptors.dispatch import batches
from maladist.errors import AccuracyWarning
from maladist.grid import Block, Blocks, Grid
from maladist.learning.model import LDOSModel
from maladist.neighbors import CellList
from maladist.numerics import Numerics
from maladist.parallel.blocking import choose_block
from maladist.parallel.task import in_a_task, in_batches
from maladist.prediction.block import ModelBlob, worker_model
from maladist.prediction.novelty import OUTSIDE, check_points
from maladist.prediction.options import Chunks, NumericsOptions, check_chunks
from maladist.prediction.pilot import sampled
from maladist.prediction.setup import Setup, announce, grid_of, setup

T = TypeVar("T")
_SAMPLED = 500  # points whose novelty a lazy field tells; they take some 10 ms
_TARGET = 16384  # points of a block: a slice should not wait long for its first block


def describe(
    atoms: AtomsLike,
    spec: Spec,
    grid: Grid | Sequence[int],
    *,
    chunks: Chunks = "auto",
    **numerics: Unpack[NumericsOptions],
) -> xr.DataArray:
    """Descriptors at every point of a grid, lazily.

    Parameters
    ----------
    atoms
        Periodic atoms.
    spec
        Which descriptors.
    grid
        The grid, whose cell must be that of the atoms; or its numbers of points along the lattice vectors.
    chunks
        Points of a block along the lattice vectors, or 'auto'.
    numerics
        Backend, device and precision as in `predict`.

    Returns
    -------
    xr.DataArray
        (x, y, z, feature), float32 or float64, over Dask.

    Examples
    --------
    >>> features = maladist.describe(be, maladist.BispectrumSpec(twojmax=4, cutoff=4.0), (14, 14, 24))
    >>> features.shape
    (14, 14, 24, 14)
    """
    atoms = ase_atoms(atoms)
    check_atoms(atoms)
    if said := told_apart(spec, atoms.get_chemical_symbols()):
        warnings.warn(f"{said}; {type(spec).__name__}.for_elements gives one that does", AccuracyWarning, stacklevel=2)
    grid = grid_of(atoms, grid)
    cell_list = CellList(grid.cell_array, atoms.positions, atoms.numbers.astype(np.int16), spec.cutoff)
    blocks = _blocks(grid, chunks)
    how = Numerics(**numerics)
    data = _map(_descriptor_block, blocks, (spec.n_features, how.precision), (cell_list, spec, how))
    dims, coords = ("x", "y", "z", "feature"), schema.coordinates_of(grid)
    return xr.DataArray(data, coords, dims, name="descriptors", attrs=metadata.grid_attributes(grid))


def ldos(
    atoms: AtomsLike,
    model: LDOSModel | str | Path,
    *,
    grid: Grid | Sequence[int] | None = None,
    chunks: Chunks = "auto",
    **numerics: Unpack[NumericsOptions],
) -> xr.DataArray:
    """Local density of states of a cell, lazily.

    Parameters
    ----------
    atoms, model, grid, chunks
        Atoms, model, grid and blocks, as in `predict`.
    numerics
        Backend, device and precision as in `predict`.

    Returns
    -------
    xr.DataArray
        (x, y, z, energy), 1/(eV Å³), float32 or float64, over Dask, with the energies as coordinate and the data
        contract's attributes, so that `observe` takes it as it is. Its integral over energies that have gaps
        between parts is ``.maladist.integrate()``; xarray's ``.integrate("energy")`` runs across them.

    Examples
    --------
    >>> ldos = maladist.ldos(be, "be-1000K-2")  # lazy: a block is computed where it is asked for
    >>> dict(ldos.sizes)
    {'x': 14, 'y': 14, 'z': 24, 'energy': 95}
    >>> float(ldos[0, 0, 0].maladist.integrate(low=-2.0, high=2.0)) > 0  # ∫ dε d(ε, r), 1/Å³
    True
    """
    # μ is not needed here, so any temperature will do where the model names none.
    ready = setup(atoms, model, temperature=_any_temperature(model), grid=grid, chunks=chunks, **numerics)
    system, known = ready.system, ready.model
    known.need_ldos("LDOS")
    announce([note for note in (*system.notes, *_sampled(ready)) if note.startswith(OUTSIDE)], None)
    shared = (ready.cell_list, ready.blob, ready.numerics)
    data = _map(_ldos_block, _blocks(system.grid, chunks), (known.energy_grid.levels, ready.numerics.precision), shared)
    attrs = {
        **metadata.system_attributes(system),
        **metadata.energy_attributes(known.energy_grid),
        "model_hash": ready.model_hash,
        "units": "1/(eV Å^3)",
        "source": "maladist ldos",
    }
    if known.temperature is None:
        del attrs["temperature_K"]
    coords = {**schema.coordinates_of(system.grid), "energy": known.energy_grid.values}
    return xr.DataArray(data, coords, ("x", "y", "z", "energy"), name="ldos", attrs=attrs)


def _sampled(ready: Setup) -> list[str]:
    """What a few hundred random points tell of the model's training: a field that is lazy cannot count its own."""
    return [] if ready.model.domain is None else check_points(sampled(ready, _SAMPLED), strict=False)


def _any_temperature(model: LDOSModel | str | Path) -> float | None:
    return 300.0 if isinstance(model, LDOSModel) and model.temperature is None else None


def _blocks(grid: Grid, chunks: Chunks) -> Blocks:
    check_chunks(chunks)
    return grid.blocks(choose_block(grid, 1, _TARGET) if isinstance(chunks, str) else chunks)


Shared = tuple[CellList, T, Numerics]
BlockFunction = Callable[[Grid, Block, CellList, T, Numerics], Floats]


def _map(function: BlockFunction[T], blocks: Blocks, column: tuple[int, str], shared: Shared[T]) -> da.Array:
    """A dask array with one task a block; what is shared by all blocks is one node of the graph."""
    width, dtype = column
    sizes = [
        tuple(min(m, n - first) for first in range(0, n, m))
        for n, m in zip(blocks.grid.shape, blocks.block_shape, strict=True)
    ]
    common = dask.delayed(shared, pure=True, traverse=False)
    return da.map_blocks(
        _one_block, blocks, function, common, chunks=(*sizes, (width,)), dtype=dtype, meta=np.empty((0, 0, 0, 0), dtype)
    )


def _one_block(
    blocks: Blocks, function: BlockFunction[T], shared: Shared[T], block_info: Mapping[None, Mapping[str, Any]]
) -> Floats:
    at = block_info[None]["chunk-location"][:3]
    block = blocks[int(np.ravel_multi_index(at, blocks.counts))]
    with in_a_task():
        return np.asarray(function(blocks.grid, block, *shared)).reshape(*block.shape, -1)


def _descriptor_block(grid: Grid, block: Block, cell_list: CellList, spec: Spec, numerics: Numerics) -> Floats:
    here, seen = numerics.here(), cell_list.near_block(grid, block)
    # On one thread: Dask runs a task on each of a worker's threads at the same time.
    features = evaluate(
        grid.points(block), seen, spec, backend=here.backend, device=here.device, dtype=here.dtype, threads=1
    )
    return np.asarray(features.cpu().numpy())


@in_batches()
def _ldos_block(grid: Grid, block: Block, cell_list: CellList, blob: ModelBlob, numerics: Numerics) -> Floats:
    here, seen = numerics.here(), cell_list.near_block(grid, block)
    model = worker_model(blob, here)
    parts = batches(grid.points(block), seen, model.descriptor, here)
    return np.concatenate([model.ldos(features).cpu().numpy() for _, features in parts])
