"""What changes while a network is trained: written down whole, gone on from exactly, refused where it is another's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from maladist.errors import InputError
from maladist.learning.loss import TERMS
from maladist.training.state import Rank, TrainingState, _names
from maladist.training.validation import SnapshotErrors, Validated
from tests.training.test_prepare import prepared_of

FULL: dict[str, Any] = {
    "network": {"hidden": [6], "dropout": 0.2},
    "optimiser": {"name": "AdamW", "lr": 1e-2, "clip": 1.0},
    "average": 0.9,
    "epochs": 4,
}


def state_of(store: Path, folder: Path, rank: Rank | None = None, **more: Any) -> TrainingState:
    config, prepared = prepared_of(store, **{**FULL, **more})
    return TrainingState(config, prepared, folder, rank or Rank(), steps=3)


def learn(state: TrainingState, steps: int, seed: int = 0) -> None:
    """Steps down a made-up loss."""
    torch.manual_seed(seed)
    state.network.train()
    for _ in range(steps):
        x = torch.randn(10, state.prepared.data.spec.n_features)
        state.step((state.network(x) ** 2).mean())


def weights(state: TrainingState) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in state.averaged.state_dict().items()}


def test_a_state_that_is_loaded_goes_on_to_the_same_bits(small_data_set: Path, tmp_path: Path) -> None:
    whole, cut = state_of(small_data_set, tmp_path), state_of(small_data_set, tmp_path)
    learn(whole, 3)
    learn(cut, 3)
    torch.save(cut.state(), tmp_path / "c.pt")
    again = state_of(small_data_set, tmp_path)
    again.load(torch.load(tmp_path / "c.pt", weights_only=True))
    for state in (whole, again):
        learn(state, 3, seed=1)
    assert again.optimiser.param_groups[0]["lr"] == whole.optimiser.param_groups[0]["lr"]
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(again)[name]), name


def test_the_average_is_what_is_kept_and_lags_behind_the_network(small_data_set: Path, tmp_path: Path) -> None:
    state = state_of(small_data_set, tmp_path)
    learn(state, 3)
    assert state.averaged is not state.network
    kept, last = (float(next(iter(n.parameters())).detach().sum()) for n in (state.averaged, state.network))
    assert kept != last
    alone = state_of(small_data_set, tmp_path, average=None)
    assert alone.averaged is alone.network


def test_a_state_of_another_configuration_or_of_other_data_is_refused(small_data_set: Path, tmp_path: Path) -> None:
    saved = state_of(small_data_set, tmp_path).state()
    with pytest.raises(InputError, match=r"network\.hidden: \[7\], where the training began with"):
        state_of(small_data_set, tmp_path, network={"hidden": [7]}).load(saved)
    with pytest.raises(InputError, match=r"data\.train: snapshots that are not those"):
        state_of(small_data_set, tmp_path).load({**saved, "data": ["another hash"]})
    state_of(small_data_set, tmp_path, checkpoint_every=2).load(saved)  # changes nothing that is learnt


def test_a_state_of_another_default_of_the_descriptor_is_refused(small_data_set: Path, tmp_path: Path) -> None:
    """The same configuration and targets, but other features: the network would go on with what it never saw."""
    filled_in = {"descriptor": {"family": "bispectrum", "twojmax": 2, "cutoff": 3.0, "resolve": "elements"}}
    state = state_of(small_data_set, tmp_path, **filled_in)
    saved = state.state()
    other = {**saved["descriptor"], "weights": {"Be": 4.0}}
    for begun in ({**saved, "descriptor": other}, {k: v for k, v in saved.items() if k != "descriptor"}):
        with pytest.raises(InputError, match=r"descriptor: \{.*'weights': \{'Be': 1.0\}"):
            state.load(begun)
    state.load(saved)
    given = state_of(small_data_set, tmp_path)
    # Of an earlier version: nothing was left to a default, so that it cannot have been another.
    given.load({k: v for k, v in given.state().items() if k != "descriptor"})


def test_more_epochs_may_follow_only_where_the_schedule_does_not_know_its_end(
    small_data_set: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="epochs: 9"):
        state_of(small_data_set, tmp_path, epochs=9).load(state_of(small_data_set, tmp_path).state())
    saved = state_of(small_data_set, tmp_path, schedule=None).state()
    state_of(small_data_set, tmp_path, schedule=None, epochs=9).load(saved)


def test_a_rank_other_than_the_first_neither_validates_nor_writes(small_data_set: Path, tmp_path: Path) -> None:
    state = state_of(small_data_set, tmp_path, Rank(1, 2))
    assert state.validation is None and state.metrics is None
    state.write_metrics()
    assert not (tmp_path / "metrics.csv").exists()


def test_every_rank_stops_where_the_first_has_waited_long_enough(small_data_set: Path, tmp_path: Path) -> None:
    """Rank 1 sees no errors: it must take rank 0's word, or it would wait for a rank that has ended."""
    stopping = {"early_stopping": {"metric": "loss", "patience": 2}}
    where = {"train": str(small_data_set / "snapshots/train-*"), "points": 100}
    data = {**where, "validation": str(small_data_set / "snapshots/valid-0")}
    said: list[float] = []

    def tell(value: float) -> float:
        said.append(value)
        return value

    first = state_of(small_data_set, tmp_path, Rank(0, 2, share=tell), data=data, **stopping)
    losses = iter([1.0, 0.5, 0.7, 0.6])
    first.validation = lambda _: Validated(next(losses), (SnapshotErrors("a"),))  # type: ignore[assignment]
    answers = iter([0.0, 0.0, 0.0, 1.0])
    other = state_of(small_data_set, tmp_path, Rank(1, 2, share=lambda _: next(answers)), data=data, **stopping)
    for epoch in range(4):
        for state in (first, other):
            state.config = state.config.model_copy(update={"validate_every": 1})
            state.end_epoch(torch.zeros(len(TERMS) + 1), 0.0)
            assert state.stopped == (epoch == 3)
    assert said == [0.0, 0.0, 0.0, 1.0]
    assert first.best["epoch"] == 2 and first.best["value"] == 0.5
    assert first.model().provenance["epochs"] == 2


def test_snapshots_are_named_by_their_paths_only_where_names_are_alike(small_data_set: Path) -> None:
    _, prepared = prepared_of(small_data_set)
    one, two, *_ = prepared.data.train
    assert _names([one, two]) == [one.name, two.name]
    twin = replace(one, path=f"/elsewhere/{one.name}")
    assert _names([one, two, twin]) == [one.path, two.name, twin.path]


def test_a_model_does_not_tell_where_its_data_were(small_data_set: Path, tmp_path: Path) -> None:
    told = str(state_of(small_data_set, tmp_path).model().provenance)
    assert str(small_data_set) not in told and "train-0" in told
