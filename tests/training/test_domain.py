"""Domain of a training: the points that its statistics are of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from maladist.datasets.snapshots import find_snapshots
from maladist.learning.scaling import Moments, Scaler
from maladist.testing import Listener
from maladist.training import domain as module
from maladist.training.domain import _rows, find_domain
from tests.training.test_batches import chunks_of


def test_rows_are_spaced_evenly_over_every_chunk_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POINTS", 50)
    chunks = chunks_of(tmp_path, [[100, 100], [300]])
    rows = _rows(chunks)[:, 0].numpy()
    by_chunk = [((rows >= a) & (rows < b)).sum() for a, b in ((0, 100), (100, 200), (1000, 1300))]
    assert by_chunk == [10, 10, 30]  # as they weigh in the training
    assert set(np.diff(rows[:10])) == {10.0}


def test_without_a_validation_the_limit_is_the_trainings_own_and_that_is_told(
    small_data_set: Path, tmp_path: Path
) -> None:
    train, chunks, listener = find_snapshots([str(small_data_set)], "data"), chunks_of(tmp_path, [[60]]), Listener()
    rows = _rows(chunks)
    inputs = Scaler.fit(Moments.of(rows), "standard", feature_wise=True)
    alone = find_domain(train, chunks, (), inputs, listener)
    assert len(listener.notes) == 1 and "no data.validation" in listener.notes[0]
    beside = find_domain(train, chunks, chunks, inputs, listener)
    assert len(listener.notes) == 1
    for name, value in vars(alone).items():
        other = getattr(beside, name)
        if isinstance(value, Scaler):
            assert all(torch.equal(getattr(value, n), getattr(other, n)) for n in ("shift", "scale", "rotation"))
        else:
            assert torch.equal(value, other) if isinstance(value, torch.Tensor) else value == other, name
