"""What runs on a worker for one block: points -> descriptors -> network -> LDOS -> what the reductions still need.

The stages are fused in one task, in batches that suit the device and not the block. Of the LDOS a block keeps its sum,
which is its part of D(ε), and its projections on the span of the Fermi weights over a window of μ (modes), from which
n(r) follows when μ is known (npj Comput. Mater. 9, 115 (2023) for the method; physics of the one pass: `window_modes`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from maladist.descriptors.dispatch import BATCH, evaluate
from maladist.grid import Block, Grid
from maladist.io import stores
from maladist.learning.model import LDOSModel
from maladist.neighbors import LocalAtoms
from maladist.parallel.workers import peak_memory, worker_name
from maladist.prediction.tally import STAGES, Tally

Array = npt.NDArray[np.float64]


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
        Path of the result store.
    grid
        The whole grid.
    backend, device, dtype
        Of descriptors and network; device 'auto' is decided by each worker.
    basis
        Span of the Fermi weights over the window of μ, (levels, modes) float64.
    keep
        Fields to be kept in the store: any of 'ldos', 'descriptors'.
    """

    store: str
    grid: Grid
    backend: str
    device: str
    dtype: str
    basis: Array
    keep: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """What a block tells the client: numbers only, no field."""

    block: int
    worker: str
    start: float
    stop: float
    peak_memory: int
    seconds: dict[str, float] = field(default_factory=dict)


def choose_device(device: str) -> str:
    """The device that 'auto' means here: the first GPU where there is one."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


@lru_cache(maxsize=4)
def worker_model(blob: ModelBlob, device: str, dtype: str) -> LDOSModel:
    """The model on a device, decoded once a process."""
    return LDOSModel.from_bytes(blob.data).to(device, getattr(torch, dtype))


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


def ldos_batches(
    points: Array, atoms: LocalAtoms, model: LDOSModel, backend: str, device: str, dtype: str, clock: Clock
) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
    """Descriptors and LDOS of points, batch by batch: (rows, (n, features), (n, levels))."""
    torch.set_num_threads(1)  # a Dask worker runs as many tasks as it has threads
    for first in range(0, len(points), BATCH):
        rows = slice(first, min(first + BATCH, len(points)))
        features = evaluate(
            points[rows],
            atoms,
            model.descriptor,
            backend=backend,
            device=device,
            dtype=getattr(torch, dtype),
            threads=1,
        )
        clock.lap("descriptors")
        ldos = model.ldos(features)
        clock.lap("network")
        yield rows, features, ldos


def compute_block(block: Block, atoms: LocalAtoms, blob: ModelBlob, work: Work) -> Report:
    """Compute a block and write its fields, then its tally, which is the record that it is done."""
    start, clock = time.time(), Clock()
    device = choose_device(work.device)
    model = worker_model(blob, device, work.dtype)
    basis = torch.as_tensor(work.basis, device=device)
    modes = np.empty((block.n_points, basis.shape[1]))
    dos = torch.zeros(basis.shape[0], dtype=torch.float64, device=device)
    kept: dict[str, npt.NDArray[np.float32]] = {}
    points = work.grid.points(block)
    for rows, features, ldos in ldos_batches(points, atoms, model, work.backend, device, work.dtype, clock):
        wide = ldos.double()
        dos += wide.sum(0)
        modes[rows] = (wide @ basis).cpu().numpy()
        clock.lap("reductions")
        for name, values in (("ldos", ldos), ("descriptors", features)):
            if name in work.keep:
                whole = kept.setdefault(name, np.empty((block.n_points, values.shape[1]), np.float32))
                whole[rows] = values.float().cpu().numpy()
    if not bool(torch.isfinite(dos).all()):
        raise FloatingPointError("the network's LDOS is not finite")
    fields: dict[str, npt.NDArray[Any]] = {"work/modes": modes, **kept}
    for name, field_values in fields.items():
        stores.write_region(work.store, name, block.slices, field_values.reshape(*block.shape, -1))
    clock.lap("io")
    tally = Tally(
        (dos * work.grid.voxel_volume).cpu().numpy(), block.n_points, np.array([clock.seconds[s] for s in STAGES])
    )
    stores.write_region(work.store, "work/tally", (slice(block.index, block.index + 1),), tally.row()[None])
    return Report(block.index, worker_name(), start, time.time(), peak_memory(), clock.seconds)


def time_block(
    grid: Grid, block: Block, atoms: LocalAtoms, blob: ModelBlob, backend: str, device: str, dtype: str
) -> float:
    """Seconds that a block's descriptors and LDOS take here; nothing is kept."""
    start, device = time.perf_counter(), choose_device(device)
    for _ in ldos_batches(
        grid.points(block), atoms, worker_model(blob, device, dtype), backend, device, dtype, Clock()
    ):
        pass
    return time.perf_counter() - start


def density_blocks(blocks: Sequence[Block], store: str, coefficients: Array) -> Report:
    """n(r) of some blocks from their modes: one small matrix product each.

    Parameters
    ----------
    coefficients
        Fermi weights in the basis of the modes, (temperatures, modes) float64.
    """
    start, clock = time.time(), Clock()
    modes, density = stores.open_array(store, "work/modes", "r"), stores.open_array(store, "density")
    for block in blocks:
        projections = np.asarray(modes[block.slices])
        clock.lap("io")
        values = np.moveaxis(projections @ coefficients.T, -1, 0)
        clock.lap("reductions")
        if len(coefficients) > 1:
            density[(slice(None), *block.slices)] = values
        else:
            density[block.slices] = values[0]
        clock.lap("io")
    return Report(blocks[0].index, worker_name(), start, time.time(), peak_memory(), clock.seconds)


def pilot_batch(
    index: int, points: Array, atoms: LocalAtoms, blob: ModelBlob, backend: str, device: str, dtype: str
) -> tuple[int, Array]:
    """Mean LDOS of points drawn at random, (levels,) float64: what a first μ comes from; with the batch's number."""
    device = choose_device(device)
    model = worker_model(blob, device, dtype)
    total: Any = 0.0
    for _, _, ldos in ldos_batches(points, atoms, model, backend, device, dtype, Clock()):
        total = total + ldos.double().sum(0)
    return index, np.asarray((total / len(points)).cpu().numpy())
