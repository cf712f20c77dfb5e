"""One trial: the points of measures without training, and what becomes of values that do not work."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from maladist.errors import InputError, OutputError
from maladist.tuning import trial as module
from maladist.tuning.trial import MEASURES, measure, run_trial, some_rows
from tests.training.test_batches import chunks_of
from tests.training.test_prepare import prepared_of


def test_points_are_drawn_once_each_from_all_chunks_alike(tmp_path: Path) -> None:
    chunks = chunks_of(tmp_path, [[400, 100], [500]])
    features, targets = some_rows(chunks, 300, seed=1)
    rows = features[:, 0]
    assert len(set(rows.tolist())) == 300
    np.testing.assert_array_equal(targets, 2 * features)  # each beside its own LDOS
    counts = Counter(int(r) // 1000 for r in rows)
    assert abs(counts[0] - 150) < 40  # of 300 draws, 5 σ are 38
    np.testing.assert_array_equal(some_rows(chunks, 300, seed=1)[0], features)
    assert not np.array_equal(some_rows(chunks, 300, seed=2)[0], features)
    assert len(some_rows(chunks, 10_000, seed=1)[0]) == 1000


@pytest.mark.parametrize("objective", MEASURES)
def test_a_measure_leaves_torchs_random_numbers_alone_and_repeats_itself(
    objective: str, small_data_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, prepared = prepared_of(small_data_set)
    random, n = np.random.default_rng(0), prepared.data.spec.n_features
    features = random.standard_normal((60, n)).astype(np.float32)
    ldos = np.abs(features @ random.standard_normal((n, prepared.data.train[0].energies.levels))).astype(np.float32)
    monkeypatch.setattr(module, "some_rows", lambda *_: (features, ldos))
    before = torch.get_rng_state()
    values = [measure(config, prepared, objective, 60, seed=3) for _ in range(2)]
    assert values[0] == values[1] and np.isfinite(values[0])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture
def trial(small_data_set: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a trial whose measure is a function that is given."""
    monkeypatch.setattr(module, "get_worker", lambda: SimpleNamespace(state=SimpleNamespace(nthreads=1)))
    config, prepared = prepared_of(small_data_set)

    def run(function: Any) -> Any:
        monkeypatch.setattr(module, "measure", function)
        return run_trial(config, prepared, "acsd", None, "topic", 10, 0)  # type: ignore[arg-type]

    return run


@pytest.mark.parametrize(
    "error", [InputError("a", "b", "c"), RuntimeError("out of memory"), np.linalg.LinAlgError("x")]
)
def test_values_that_do_not_work_fail_their_trial_alone(trial: Any, error: Exception) -> None:
    def fails(*_: Any) -> float:
        raise error

    outcome = trial(fails)
    assert outcome.value is None and not outcome.stopped
    assert outcome.reason == f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_no_number_is_no_result(trial: Any, value: float) -> None:
    outcome = trial(lambda *_: value)
    assert outcome.value is None and "acsd is not a finite number" in outcome.reason


def test_a_full_disk_and_a_mistake_of_our_own_end_the_search(trial: Any) -> None:
    """They say nothing of the trial's values: counted as failures they would mislead the sampler."""
    for error in (OutputError("a", "no room", "room"), KeyError("a mistake")):

        def fails(*_: Any, error: Exception = error) -> float:
            raise error

        with pytest.raises(type(error)):
            trial(fails)
