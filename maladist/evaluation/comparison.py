"""The LDOS and the density of a prediction beside those of the data, block by block: only sums leave the workers."""

from __future__ import annotations

from typing import Final

import numpy as np
from distributed import Client

from maladist import metadata
from maladist.arrays import Array, Indices
from maladist.datasets.snapshots import Snapshot
from maladist.grid import Block
from maladist.io import stores
from maladist.learning.uncertainty import WIDTH
from maladist.parallel import waves
from maladist.parallel.blocking import choose_block
from maladist.physics.fermi import number_weights
from maladist.prediction.result import Prediction

Levels = slice | Indices
"""Which levels of a prediction are compared."""

_POINTS: Final = 16384  # of a task
_SUMS: Final = 8  # |Δd|, Δd², |Δn|, |Δn/n|, n, |Δn| of the density of the LDOS, Δn², points with Δn within the interval


def compare(
    snapshot: Snapshot, predicted: Prediction, matrix: Array | None, levels: Levels, client: Client
) -> tuple[Array, Array]:
    """The data's D(ε) at the levels, 1/eV, and the sums of the errors over the cell."""
    grid = snapshot.system.grid
    interval = WIDTH * predicted.sigmas.get("density_sigma_per_A3", 0.0)
    shared = (snapshot.path, str(predicted.store), matrix, levels, _weights(snapshot, predicted), interval)
    # The blocks' two LDOS are read by the task and never leave the worker: only sums do.
    jobs = (waves.NamedJob(f"block{b.index}", b, *shared) for b in grid.blocks(choose_block(grid, 1, _POINTS)))
    # In the order of the blocks, so that the same data give the same bits of an error.
    total = np.sum(waves.in_order(client, compare_block, jobs, run_key=f"evaluate-{snapshot.name}"), axis=0)
    return total[:-_SUMS] * grid.voxel_volume, total[-_SUMS:]


def _weights(snapshot: Snapshot, predicted: Prediction) -> Array | None:
    """Weights that give the predicted LDOS' own density, (levels,); None where the data hold none to compare with."""
    if not snapshot.has_density or snapshot.temperature is None:
        return None
    energies, corrected = (
        metadata.energy_grid_of(predicted.dataset),
        bool(predicted.dataset.attrs["broadening_correction"]),
    )
    w = number_weights(energies, predicted.fermi_energy, snapshot.temperature, correction=corrected)
    return np.asarray(w.numpy())


def compare_block(
    block: Block,
    data: str,
    predicted: str,
    matrix: Array | None,
    levels: Levels,
    weights: Array | None,
    interval: float = 0.0,
) -> Array:
    """A block's sums of the data's LDOS by level and of the errors (``_SUMS``), float64."""
    # Stored in float32; a sum over all points of a cell needs more digits.
    dft = stores.read_region(data, "ldos", block.slices).astype(np.float64)
    dft = dft if matrix is None else dft @ matrix
    ours = stores.read_region(predicted, "ldos", block.slices).astype(np.float64)
    difference = ours[..., levels] - dft
    of_density = (0.0,) * 6
    if weights is not None:
        n = stores.read_region(data, "density", block.slices).astype(np.float64)
        off = np.abs(stores.read_region(predicted, "density", block.slices) - n)
        # No relative error where the DFT has no density, as far from all atoms.
        there = n != 0
        of_ldos = np.abs(ours @ weights - n)
        squares, within = (off**2).sum(), float((off <= interval).sum())
        of_density = (off.sum(), (off[there] / np.abs(n[there])).sum(), n.sum(), of_ldos.sum(), squares, within)
    return np.concatenate([dft.sum((0, 1, 2)), [np.abs(difference).sum(), (difference**2).sum(), *of_density]])
