"""Where a model is trained: its domain, from the points that were chosen for training and validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch

from maladist.datasets.snapshots import Snapshot
from maladist.learning.cell_range import CellRange
from maladist.learning.domain import Domain, fit_domain
from maladist.learning.scaling import Scaler
from maladist.parallel.progress import Observer
from maladist.training.samples import Chunk

_POINTS: Final = 100_000  # that the statistics are taken of, in float64


def find_domain(
    train: Sequence[Snapshot],
    chunks: Sequence[Chunk],
    held_out: Sequence[Chunk],
    inputs: Scaler,
    observer: Observer,
) -> Domain:
    """Domain of a training on these snapshots.

    Parameters
    ----------
    train
        Snapshots of the training.
    chunks, held_out
        Chosen points of training and validation. Without a validation the limit is that of the training's own points.
    inputs
        Input scaler of the model.
    observer
        Observer that is told where that is so.
    """
    rows = _rows(chunks)
    if not held_out:
        observer.note("no data.validation: the limit of the model's domain is made from its own training")
    # Of the training only: a cell of the validation is one that the network has not learnt.
    cells = CellRange.of_all([snapshot.system for snapshot in train])
    return fit_domain(cells, rows, _rows(held_out) if held_out else rows, inputs)


def _rows(chunks: Sequence[Chunk]) -> torch.Tensor:
    """Descriptors of evenly spaced rows of all chunks, at most about _POINTS of them."""
    # Every so many rows of all chunks, so that each snapshot counts as much as it does in the training.
    every = max(1, sum(chunk.rows for chunk in chunks) // _POINTS)
    return torch.from_numpy(np.concatenate([chunk.read()[0][::every] for chunk in chunks]))
