"""What runs on a worker for one block: points -> descriptors -> network -> LDOS -> what the reductions still need.

The stages are fused in one task, in batches that suit the device and not the block. Of the LDOS a block keeps its sum,
which is its part of D(ε), and its projections on the span of the Fermi weights over a window of μ (modes), from which
n(r) follows when μ is known (npj Comput. Mater. 9, 115 (2023) for the method; physics of the one pass: `window_modes`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from maladist.arrays import Array
from maladist.descriptors.dispatch import batches
from maladist.grid import Block, Grid
from maladist.io import stores
from maladist.learning.domain import Outside
from maladist.learning.head import Head, Reduction
from maladist.learning.model import LDOSModel
from maladist.neighbors import LocalAtoms
from maladist.numerics import Numerics
from maladist.parallel.progress import Finished
from maladist.parallel.task import in_batches
from maladist.parallel.workers import peak_memory, worker_name
from maladist.prediction.novelty import NOVELTY
from maladist.prediction.record import MODES, REFERENCE, TALLY
from maladist.prediction.tally import STAGES, Tally


@dataclass(frozen=True)
class ModelBlob:
    """A serialised model: what travels to a worker, once; equal where the content's hash is."""

    data: bytes = field(compare=False, repr=False)
    content_hash: str


@dataclass(frozen=True)
class Work:
    """What every block of a run has in common; small, and the same object for all.

    Attributes
    ----------
    store
        Store of the result, as its owner.
    grid
        The whole grid.
    numerics
        Backend, device and precision of descriptors and network.
    basis
        Span of the Fermi weights over the window of μ, (levels, modes) float64.
    channel
        Whether the model has a density channel, whose n₀ is kept beside the projections.
    domain
        Whether the model tells how far a point is from its training, which is then kept too.
    keep
        Fields to be kept in the store: any of 'ldos', 'descriptors'.
    """

    store: stores.Where
    grid: Grid
    numerics: Numerics
    basis: Array
    channel: bool
    domain: bool
    keep: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report(Finished):
    """What a block tells the client: numbers only, no field."""

    block: int
    worker: str
    start: float
    stop: float
    peak_memory: int
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def peak_memory_bytes(self) -> int:
        """Most memory that the worker has used so far."""
        return self.peak_memory


@lru_cache(maxsize=4)
def worker_model(blob: ModelBlob, numerics: Numerics) -> LDOSModel:
    """The model on its device, decoded once a process."""
    # Keyed by the model's hash: tasks of several runs on one worker share the decoded model.
    model = LDOSModel.from_bytes(blob.data).to(numerics.device, numerics.dtype)
    # A run does not train: forces need gradients by the descriptors, and none by the weights.
    model.network.requires_grad_(False)
    return model


class Clock:
    """Adds up the seconds between laps, by stage."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Put the time since the last lap down to a stage."""
        now = time.perf_counter()
        self.seconds[stage] += now - self._last
        self._last = now


def hidden_batches(
    points: Array,
    atoms: LocalAtoms,
    model: LDOSModel,
    numerics: Numerics,
    clock: Clock,
    novelty: torch.Tensor | None = None,
) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
    """Descriptors of points and what the model's last layer sees, batch by batch: (rows, (n, features), (n, width)).

    ``novelty``, (n_points,), is filled on the way. ``numerics`` are those of the model, with the device decided.
    """
    for rows, features in batches(points, atoms, model.descriptor, numerics):
        clock.lap("descriptors")
        # Descriptors come in larger batches than suit the network.
        for part in features.split(model.batch):
            at = slice(rows.start, rows.start + len(part))
            with torch.inference_mode():
                hidden = model.hidden(part, None if novelty is None else novelty[at])
            clock.lap("network")
            yield at, part, hidden
            rows = slice(at.stop, rows.stop)


@in_batches()
def compute_block(block: Block, atoms: LocalAtoms, blob: ModelBlob, work: Work) -> Report:
    """Compute a block and write its fields, then its tally, which is the record that it is done."""
    start, clock, numerics = time.time(), Clock(), work.numerics.here()
    model = worker_model(blob, numerics)
    # On the network's device, so that what comes back to the CPU is a few modes a point and not hundreds of levels.
    reduction = Reduction(model, torch.as_tensor(work.basis, device=numerics.device))
    projections = np.empty((block.n_points, work.basis.shape[1] + int(work.channel)))
    novelty = torch.empty(block.n_points) if work.domain else None
    head, kept = Head.of(model).to(model.dtype), _empty_fields(block.n_points, model, work.keep)
    for rows, features, hidden in hidden_batches(work.grid.points(block), atoms, model, numerics, clock, novelty):
        projections[rows] = reduction.add(hidden).cpu().numpy()
        clock.lap("reductions")
        if "descriptors" in kept:
            kept["descriptors"][rows] = features.cpu().numpy()
        if "ldos" in kept:
            kept["ldos"][rows] = head(hidden)[:, : head.levels].cpu().numpy()
        clock.lap("io")
    dos = reduction.sum.cpu().numpy()
    # One look at the sums shows a NaN at any point.
    if not (np.isfinite(dos).all() and np.isfinite(projections).all()):
        raise FloatingPointError("what the network gives is not finite")
    stores.write_region(work.store, MODES, block.slices, projections.reshape(*block.shape, -1))
    for name, values in kept.items():
        stores.write_region(work.store, name, block.slices, values.reshape(*block.shape, -1))
    outside = Outside()
    if novelty is not None:
        stores.write_region(work.store, NOVELTY, block.slices, novelty.reshape(block.shape).numpy())
        outside = _outside(novelty, block, work.grid)
    clock.lap("io")
    volume, seconds = work.grid.voxel_volume, np.array([clock.seconds[s] for s in STAGES])
    electrons = float(projections[:, work.basis.shape[1] :].sum()) * volume
    tally = Tally(dos * volume, electrons, block.n_points, seconds, outside)
    # Last: a row of the record says that all that the block writes is on the disk.
    stores.write_region(work.store, TALLY, (slice(block.index, block.index + 1),), tally.row()[None])
    return Report(block.index, worker_name(), start, time.time(), peak_memory(), clock.seconds)


def _empty_fields(n_points: int, model: LDOSModel, keep: Sequence[str]) -> dict[str, npt.NDArray[np.float32]]:
    """Memory for the fields to be kept; float32, as the data contract has them."""
    widths = {"ldos": model.energy_grid.levels, "descriptors": model.descriptor.n_features}
    return {name: np.empty((n_points, widths[name]), np.float32) for name in keep}


def _outside(novelty: torch.Tensor, block: Block, grid: Grid) -> Outside:
    of_block = Outside.of(novelty)
    at = np.array(np.unravel_index(of_block.at, block.shape)) + block.start
    return replace(of_block, at=int(np.ravel_multi_index(tuple(at), grid.shape)))


def time_ldos(points: Array, atoms: LocalAtoms, blob: ModelBlob, numerics: Numerics) -> float:
    """Seconds that the sum of the LDOS over points takes here, from descriptors on; nothing is kept."""
    start = time.perf_counter()
    mean_ldos(points, atoms, blob, numerics)
    return time.perf_counter() - start


@in_batches()
def mean_ldos(points: Array, atoms: LocalAtoms, blob: ModelBlob, numerics: Numerics) -> Array:
    """Mean LDOS of points, (levels,) float64: of points drawn at random, what a first μ comes from."""
    here = numerics.here()
    model = worker_model(blob, here)
    none = torch.empty(model.energy_grid.levels, 0, dtype=torch.float64, device=here.device)
    reduction = Reduction(model, none)
    for *_, hidden in hidden_batches(points, atoms, model, here, Clock()):
        reduction.add(hidden)
    return np.asarray((reduction.sum / len(points)).cpu().numpy())


def density_blocks(blocks: Sequence[Block], store: stores.Where, coefficients: Array, temperatures: int) -> Report:
    """n(r) of some blocks from what was kept of their points: one small matrix product each.

    Parameters
    ----------
    coefficients
        Fermi weights in the basis of the modes, and the share of n₀ where the model gives it, (temperatures, modes)
        float64; one row more where n₀ is none of theirs.
    temperatures
        Number of temperatures.
    """
    start, clock = time.time(), Clock()
    modes, density = stores.open_array(store, MODES, "r"), stores.open_array(store, "density")
    for block in blocks:
        projections = np.asarray(modes[block.slices])
        clock.lap("io")
        values = np.moveaxis(projections @ coefficients.T, -1, 0)
        clock.lap("reductions")
        if temperatures > 1:
            density[(slice(None), *block.slices)] = values[:temperatures]
        else:
            density[block.slices] = values[0]
        # n₀ at a temperature of its own: a row more than there are results.
        if len(values) > temperatures:
            stores.write_region(store, REFERENCE, block.slices, values[-1])
        clock.lap("io")
    return Report(blocks[0].index, worker_name(), start, time.time(), peak_memory(), clock.seconds)
