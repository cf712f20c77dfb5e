"""The second pass over the blocks: what each adds to the derivatives of A by the atoms and by a strain.

The cotangents of what the model gives at a point are known once μ and u(r) are (`maladist.physics.forces`); a block
takes them backwards through network and descriptors to the atoms that it sees. Nothing of the first pass is needed but
what it summed: descriptors are computed again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from maladist.arrays import Array
from maladist.descriptors.dispatch import adjoint, batches
from maladist.grid import Block, Grid
from maladist.io import stores
from maladist.learning.model import LDOSModel
from maladist.neighbors import LocalAtoms
from maladist.numerics import Numerics
from maladist.parallel.task import in_batches
from maladist.parallel.workers import peak_memory, worker_name
from maladist.physics.forces import Cotangents, Derivatives
from maladist.prediction.block import Clock, ModelBlob, Report, worker_model
from maladist.prediction.record import DERIVATIVES, POTENTIAL


class Share(NamedTuple):
    """Derivatives that some points add, at each temperature.

    Attributes
    ----------
    gradient
        Derivatives by the atoms that the points see, images apart, (temperatures, n_local, 3) float64, eV/Å.
    virial
        Derivatives by a strain, (temperatures, 3, 3) float64, eV.
    """

    gradient: Array
    virial: Array


@in_batches()
def derivatives_of_points(
    points: Array,
    u: Array,
    atoms: LocalAtoms,
    model: LDOSModel,
    cotangents: Cotangents,
    numerics: Numerics,
    clock: Clock,
) -> Share:
    """Derivatives through the LDOS and the density channel of some points, on one thread.

    Parameters
    ----------
    points, u
        Positions (n_points, 3), Å, and u(r) there, (n_points,), eV.
    atoms
        Atoms that the points can see.
    model
        Model on the device and of the dtype of ``numerics``.
    cotangents
        What A feels of what the model gives.
    numerics
        Backend, precision and device, which is decided, of descriptors and network.
    clock
        Clock that is told of descriptors and network.
    """
    n = len(cotangents.levels)
    gradient, virial = np.zeros((n, len(atoms), 3)), np.zeros((n, 3, 3))
    backend = "torch" if numerics.backend == "torch" else "auto"  # no family has an adjoint for every kernel
    for rows, features in batches(points, atoms, model.descriptor, numerics):
        clock.lap("descriptors")
        here = torch.as_tensor(u[rows], device=features.device)
        channel = cotangents.of_channel(here) if model.has_density_channel else None
        pulled = model.pullback(features, cotangents.of_ldos(here), channel)
        clock.lap("network")
        for i, of_features in enumerate(pulled):
            by = adjoint(
                points[rows],
                atoms,
                model.descriptor,
                of_features,
                backend=backend,
                device=numerics.device,
                dtype=numerics.dtype,
                threads=1,
            )
            gradient[i] += by.gradient
            virial[i] += by.virial
        clock.lap("descriptors")
    return Share(gradient, virial)


@dataclass(frozen=True)
class BackWork:
    """What every block of the second pass has in common; small, and the same object for all.

    Attributes
    ----------
    store
        Store of the result, as its owner, with u(r) in it.
    grid
        Grid of the whole cell.
    numerics
        Backend, device and precision of descriptors and network.
    cotangents
        What A feels of what the model gives.
    width
        Number of atoms that a row of the record has room for.
    """

    store: stores.Where
    grid: Grid
    numerics: Numerics
    cotangents: Cotangents
    width: int


def differentiate_block(block: Block, atoms: LocalAtoms, blob: ModelBlob, work: BackWork) -> Report:
    """Compute a block's share of the derivatives and write it as a row, the record that the block is done."""
    start, clock, numerics = time.time(), Clock(), work.numerics.here()
    u = stores.read_region(work.store, POTENTIAL, block.slices).reshape(-1)
    clock.lap("io")
    points, model = work.grid.points(block), worker_model(blob, numerics)
    share = derivatives_of_points(points, u, atoms, model, work.cotangents, numerics, clock)
    row = row_of(share, atoms, work.width)
    if not np.isfinite(row).all():
        raise FloatingPointError("derivatives that are not finite")
    stores.write_region(work.store, DERIVATIVES, (slice(block.index, block.index + 1),), row[None])
    clock.lap("io")
    return Report(block.index, worker_name(), start, time.time(), peak_memory(), clock.seconds)


def time_derivatives(points: Array, atoms: LocalAtoms, blob: ModelBlob, numerics: Numerics, temperatures: int) -> float:
    """Seconds that the second pass over points takes here, at a number of temperatures; nothing is kept."""
    here = numerics.here()
    model = worker_model(blob, here)
    # Zeros take as long as any other cotangents.
    none = np.zeros(model.energy_grid.levels)
    cotangents = Cotangents(np.tile(none, (temperatures, 1)), none, share=0.0, mean=0.0, voxel_volume=1.0)
    start = time.perf_counter()
    derivatives_of_points(points, np.zeros(len(points)), atoms, model, cotangents, here, Clock())
    return time.perf_counter() - start


def row_of(share: Share, atoms: LocalAtoms, width: int) -> Array:
    """A share as a row of the record: virials, then index (−1 where there is none) and gradient of each atom.

    Images of an atom are added up, in their order.
    """
    assert atoms.indices is not None
    n = len(share.virial)
    # Per atom of the cell, so that a row's length does not depend on how many images a block sees.
    indices, inverse = np.unique(atoms.indices, return_inverse=True)
    gradient = np.zeros((len(indices), n, 3))
    np.add.at(gradient, inverse, share.gradient.transpose(1, 0, 2))
    held = np.concatenate([indices[:, None], gradient.reshape(len(indices), -1)], axis=1)
    rest = np.zeros((width - len(indices), 1 + 3 * n))
    rest[:, 0] = -1.0
    return np.concatenate([share.virial.ravel(), held.ravel(), rest.ravel()])


def add_row(row: Array, totals: Sequence[Derivatives]) -> None:
    """Add a row of the record to the derivatives at each temperature, in place."""
    n = len(totals)
    virial, held = row[: 9 * n].reshape(n, 3, 3), row[9 * n :].reshape(-1, 1 + 3 * n)
    # The places behind the last atom are empty.
    held = held[held[:, 0] >= 0]
    indices, gradient = held[:, 0].astype(np.int64), held[:, 1:].reshape(-1, n, 3)
    for i, total in enumerate(totals):
        total.by_position[indices] += gradient[:, i]
        total.by_strain[...] += virial[i]


def derivative_row_length(temperatures: int, width: int) -> int:
    """Numbers of a row of the record."""
    return 9 * temperatures + width * (1 + 3 * temperatures)
