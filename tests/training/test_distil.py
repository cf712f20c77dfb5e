"""One network in place of an ensemble: near its mean where it has not learnt, the members kept, gone on to the bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest
import torch

from maladist import LDOSModel, Prediction, describe, distil, load_model, predict
from maladist.errors import InputError, ModelError
from maladist.learning.about import HELD_OUT
from maladist.learning.ensemble import EnsembleNetwork
from maladist.parallel.progress import Silent
from maladist.testing import Listener, be_atoms, tiny_model, with_density_channel
from maladist.training.distil import DistilReport
from maladist.training.train import CHECKPOINT, MODEL

COARSE: dict[str, Any] = {"grid": (12, 12, 18), "observer": Silent()}  # what is noted of random networks is no matter
QUICK: dict[str, Any] = {"epochs": 6, "points": 150, "learning_rate": 1e-2}


@pytest.fixture(scope="module")
def ensemble() -> LDOSModel:
    """Two networks with density channels that differ far more than members that were trained."""
    members = [replace(with_density_channel(tiny_model(seed, twojmax=2)), restrict="none") for seed in (0, 1)]
    return replace(LDOSModel.mean_of(members), provenance={"from": "a test", HELD_OUT: {"errors": {}}})


def cells(count: int = 40) -> list[ase.Atoms]:
    random, made = np.random.default_rng(3), []
    for _ in range(count):
        atoms = be_atoms()
        atoms.positions += random.normal(0, 0.1, atoms.positions.shape)
        made.append(atoms)
    return made


def band(found: Prediction) -> float:
    return float(found.dataset["band_energy_eV"])


@pytest.fixture(scope="module")
def student(ensemble: LDOSModel, tmp_path_factory: pytest.TempPathFactory) -> tuple[LDOSModel, Listener, Path]:
    folder, listener = tmp_path_factory.mktemp("distil") / "out", Listener()
    return distil(ensemble, cells(), folder, observer=listener, **QUICK), listener, folder


def test_a_student_is_nearer_to_the_mean_than_the_member_it_began_as(
    student: tuple[LDOSModel, Listener, Path], ensemble: LDOSModel
) -> None:
    # Of a cell that was not learnt.
    x = torch.from_numpy(np.asarray(describe(be_atoms(), ensemble.descriptor, (6, 6, 9))).reshape(324, -1))

    def apart(model: LDOSModel) -> float:
        return float((model.ldos(x) - ensemble.ldos(x)).square().mean().sqrt())

    # Members of random weights are too unlike for one network of their size to be their mean.
    assert apart(student[0]) < 0.5 * apart(ensemble.members()[0])


def test_a_student_answers_alone_and_the_members_stay_for_the_spread(
    student: tuple[LDOSModel, Listener, Path], ensemble: LDOSModel
) -> None:
    model = student[0]
    assert isinstance(model.network, EnsembleNetwork) and model.network.student is not None
    alone = replace(model, network=model.network.student)
    x = 60 * torch.rand(20, model.descriptor.n_features, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model.ldos(x), alone.ldos(x))
    for its, theirs in zip(model.members(), ensemble.members(), strict=True):
        assert torch.equal(its.ldos(x), theirs.ldos(x))
    found = predict(be_atoms(), model, spread=True, **COARSE)
    assert found.dataset["band_energy_eV_std"] > 0
    assert band(found) == band(predict(be_atoms(), alone, **COARSE))


def test_the_file_tells_how_it_was_made_and_not_the_errors_of_the_ensemble(
    student: tuple[LDOSModel, Listener, Path], ensemble: LDOSModel
) -> None:
    model, _, folder = student
    again = load_model(folder / MODEL)
    assert again.content_hash == model.content_hash
    assert again.provenance["from"] == "a test" and HELD_OUT not in again.provenance
    assert again.provenance["distilled"] == {"cells": 40, "seed": 0, **QUICK}
    layers = f"{ensemble.descriptor.n_features}-16-42"
    assert f"network {layers} for 2 × {layers}," in str(again)


def test_what_is_told_of_cells_kept_aside_is_what_a_prediction_of_them_differs_by(
    student: tuple[LDOSModel, Listener, Path], ensemble: LDOSModel
) -> None:
    model, listener, _ = student
    told = [task for task in listener.tasks if isinstance(task, DistilReport)]
    assert [task.epoch for task in told] == [1, 2, 3, 4, 5, 6]
    assert told[-1].aside.slopes < told[0].aside.slopes
    # The first of twenty is kept aside. Of first order, and a sum over 150 points: a few meV/atom of the eV that random
    # members differ by are told to a factor of two.
    apart = []
    for atoms in cells()[::20]:
        one, other = (predict(atoms, m, **COARSE) for m in (model, ensemble))
        apart.append(abs(band(one) - band(other)) / len(atoms) * 1000)
    assert 0.5 < told[-1].aside.band / np.mean(apart) < 2


def test_an_interrupted_distillation_goes_on_to_the_same_bits(
    student: tuple[LDOSModel, Listener, Path], ensemble: LDOSModel, tmp_path: Path
) -> None:
    class Stops(Listener):
        def advance(self, task: Any) -> None:
            super().advance(task)
            if isinstance(task, DistilReport) and task.epoch == 4:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distil(ensemble, cells(), tmp_path / "out", observer=Stops(), **QUICK)
    listener = Listener()
    again = distil(ensemble, cells(), tmp_path / "out", resume=True, observer=listener, **QUICK)
    assert ("epochs", 6, 3) in listener.stages
    assert again.content_hash == student[0].content_hash


def test_a_checkpoint_of_other_cells_is_not_gone_on_with(
    student: tuple[LDOSModel, Listener, Path], ensemble: LDOSModel
) -> None:
    before = (student[2] / CHECKPOINT).read_bytes()
    with pytest.raises(InputError, match="of other cells"):
        distil(ensemble, cells()[1:], student[2], resume=True, **QUICK)
    assert (student[2] / CHECKPOINT).read_bytes() == before


REFUSED: dict[str, tuple[Callable[[LDOSModel], LDOSModel], int, dict[str, Any], str]] = {
    "one network": (lambda m: m.members()[0], 40, {}, "wanted an ensemble"),
    "few cells": (lambda m: m, 20, {}, "28 or more"),
    "few points": (lambda m: m, 40, {"points": 100}, "128 or more"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_distilled_is_refused_before_a_folder_is_made(
    ensemble: LDOSModel, tmp_path: Path, what: str
) -> None:
    of, count, more, told = REFUSED[what]
    with pytest.raises((InputError, ModelError), match=told):
        distil(of(ensemble), cells(count), tmp_path / "out", **{**QUICK, **more})
    assert not (tmp_path / "out").exists()


def test_the_weights_that_were_nearest_are_kept_and_a_bad_rate_leaves_the_nearest_member(
    ensemble: LDOSModel, tmp_path: Path
) -> None:
    listener = Listener()
    far, near = ensemble.members()
    three = LDOSModel.mean_of([far, near, near])  # a third of the way from one to the other
    model = distil(three, cells(), tmp_path / "out", observer=listener, **{**QUICK, "learning_rate": 8.0})
    told = [task.aside.loss for task in listener.tasks if isinstance(task, DistilReport)]
    first = float(next(n for n in listener.notes if "the nearest member" in n).split("loss ")[1].split(",")[0])
    assert min(told) > first  # every epoch was worse: this rate is far too large
    x = 60 * torch.rand(20, model.descriptor.n_features, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model.ldos(x), near.ldos(x))
