"""What runs on a worker in a conversion: one level's file, or one block of all levels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from maladist.arrays import AnyArray, Array
from maladist.descriptors.dispatch import batches
from maladist.descriptors.spec import Spec
from maladist.errors import DataFileError
from maladist.grid import Block, Blocks, Grid
from maladist.io import stores
from maladist.io.fields import openpmd
from maladist.io.fields.formats import field_format
from maladist.io.mala import data as mala_data
from maladist.io.stores import Where
from maladist.neighbors import LocalAtoms
from maladist.parallel.task import in_batches

TEXT: Final = (".cube", ".cub", ".xsf", ".gz")
"""Endings of text files: one level each, read through once."""


@dataclass(frozen=True)
class Level:
    """A file of one energy level."""

    path: str
    index: int


def stage_level(level: Level, store: Where, block_shape: tuple[int, int, int], factor: float) -> int:
    """Read one level's file, once, slab by slab, into the staging array."""
    path = Path(level.path)
    reader = field_format(path)
    axis = reader.read_header(path).slow_axis
    array = stores.open_array(store, "work/levels")
    for region, values in reader.read_slabs(path, block_shape[axis]):
        array[(slice(level.index, level.index + 1), *region)] = (values * factor).astype(np.float32)[None]
    return level.index


def assemble_block(block: Block, store: Where, path: str, factor: float) -> Array:
    """Write all levels of a block; return their sums over its points, (levels,)."""
    if path:
        values = read_array(Path(path), block, "ldos") * np.float32(factor)
    else:
        # Staged level by level; the store wants all levels of a point together.
        values = np.moveaxis(stores.read_region(store, "work/levels", (slice(None), *block.slices)), 0, -1)
    # Here, where a level that never came or a file's NaN can still be told by its block.
    if not np.isfinite(values).all():
        raise DataFileError(path or "ldos", f"numbers that are not finite in block {block.index}", "an LDOS")
    stores.write_region(store, "ldos", block.slices, np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(values.reshape(-1, values.shape[-1]).sum(axis=0, dtype=np.float64))


def read_array(path: Path, block: Block, kind: str) -> AnyArray:
    """A block of a .npy or openPMD file, all features."""
    if path.suffix == ".npy":
        return np.array(mala_data.open_field(path)[block.slices])
    return openpmd.read_region(path, block.slices, kind)


def store_density(path: str, store: Where, blocks: Blocks, factor: float) -> float:
    """Read a density into the store by slabs of whole chunks; return the sum over its points."""
    array, total, file = stores.open_array(store, "density"), 0.0, Path(path)
    if file.suffix in TEXT:
        reader = field_format(file)
        axis = reader.read_header(file).slow_axis
        for region, values in reader.read_slabs(file, blocks.block_shape[axis]):
            array[region] = values * factor
            total += float(values.sum()) * factor
        return total
    for block in blocks:
        values = read_array(file, block, "density").reshape(block.shape) * factor
        array[block.slices] = values
        total += float(values.sum(dtype=np.float64))
    return total


def read_descriptors(block: Block, path: str, store: Where, extra: int) -> int:
    """A block of descriptors from a file, without its ``extra`` columns of positions."""
    values = read_array(Path(path), block, "descriptors")[..., extra:]
    stores.write_region(store, "descriptors", block.slices, values.astype(np.float32))
    return block.index


@in_batches()
def compute_descriptors(block: Block, grid: Grid, atoms: LocalAtoms, spec: Spec, store: Where) -> int:
    """Compute a block of descriptors."""
    values = np.empty((block.n_points, spec.n_features), np.float32)
    for rows, features in batches(grid.points(block), atoms, spec):
        values[rows] = features.numpy()
    stores.write_region(store, "descriptors", block.slices, values.reshape(*block.shape, -1))
    return block.index
