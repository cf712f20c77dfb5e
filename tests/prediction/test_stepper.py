"""One cell after another: what stays warm, and that a step is never wrong for it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from distributed import Client

import maladist
from maladist import LDOSModel
from maladist.errors import InputError
from maladist.io.memory import Memory
from maladist.io.model_file import save_model
from maladist.parallel.here import InProcess
from maladist.prediction import place
from maladist.prediction.options import Options
from maladist.prediction.result import Prediction
from maladist.prediction.stepper import Stepper
from maladist.testing import Listener, assert_identical, be_atoms, tiny_model, with_density_channel

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
# In float64: the projections of float32 on other modes are others by its rounding.
OPTIONS: Options = {"grid": (8, 8, 12), "chunks": (4, 8, 12), "forces": True, "stress": True, "precision": "float64"}


@pytest.fixture
def stepper(model: LDOSModel) -> Iterator[Stepper]:
    made = Stepper(model)
    yield made
    made.close()
    assert made.client is None


def blocks_computed(step: Prediction) -> int:
    assert isinstance(step.store, Memory)
    return len(step.store.array("run/block"))


def moved(by: float) -> Atoms:
    atoms = be_atoms()
    atoms.positions[0, 0] += by
    return atoms


def close(step: Prediction, whole: Prediction) -> bool:
    """Whether they agree but for the rounding of other modes, which hold the weights to a billionth."""
    assert step.forces is not None and step.stress is not None
    terms = zip(step.energies, whole.energies, strict=True)
    return bool(
        all(abs(a - b) < 1e-7 for (_, a), (_, b) in terms if a is not None and b is not None)
        and np.abs(step.forces - whole.forces).max() < 1e-7
        and np.abs(step.stress - whole.stress).max() < 1e-7
        and np.abs(step.density - whole.density).max() < 1e-8
    )


def test_steps_have_the_numbers_of_predict_without_a_store_or_a_pilot(stepper: Stepper, model: LDOSModel) -> None:
    first = stepper.predict(moved(0.0), **OPTIONS)
    assert_identical(first, maladist.predict(moved(0.0), model, **OPTIONS))
    threads = stepper.client
    assert isinstance(threads, InProcess)
    for by in (0.02, 0.04):
        step = stepper.predict(moved(by), **OPTIONS)
        assert blocks_computed(step) == 2 and stepper.client is threads
        assert close(step, maladist.predict(moved(by), model, **OPTIONS))


def test_with_a_density_channel_every_step_has_the_bits_of_predict(model: LDOSModel) -> None:
    known = with_density_channel(model)
    steps = Stepper(known)
    for by in (0.0, 0.03):
        assert_identical(steps.predict(moved(by), **OPTIONS), maladist.predict(moved(by), known, **OPTIONS))
    steps.close()


def test_a_step_whose_fermi_level_left_the_window_is_right_and_the_next_has_its_own(
    stepper: Stepper, model: LDOSModel
) -> None:
    stepper.predict(moved(0.0), **OPTIONS)
    wide = be_atoms()
    wide.set_cell(1.12 * wide.cell.array, scale_atoms=True)
    step, whole = stepper.predict(wide, **OPTIONS), maladist.predict(wide, model, **OPTIONS)
    assert blocks_computed(step) == 4  # two blocks, each a second time
    assert close(step, whole)
    again = stepper.predict(wide, **OPTIONS)
    assert blocks_computed(again) == 2
    assert_identical(again, whole)  # by a pilot of its own


def test_a_window_that_served_energies_is_not_taken_to_serve_forces_unseen(stepper: Stepper, model: LDOSModel) -> None:
    energies: Options = {**OPTIONS, "forces": False, "stress": False}
    stepper.predict(moved(0.0), **energies)
    assert close(stepper.predict(moved(0.01), **OPTIONS), maladist.predict(moved(0.01), model, **OPTIONS))


def test_a_cell_that_has_grown_large_takes_a_cluster_that_stays(
    stepper: Stepper, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def threads(_: Client | None) -> Iterator[Client]:
        with maladist.cluster({"kind": "local", "processes": False}, workers=1) as client:
            yield client

    monkeypatch.setattr(place, "client_or_local", threads)
    stepper.predict(moved(0.0), **OPTIONS)
    monkeypatch.setattr(place, "SMALL_POINTS", 1)
    large = stepper.predict(moved(0.01), **OPTIONS)
    client = stepper.client
    assert isinstance(client, Client) and isinstance(large.store, Path) and large.store.exists()
    stepper.predict(moved(0.02), **OPTIONS)
    assert stepper.client is client
    large.close()
    assert not large.store.exists()
    stepper.close()
    assert client.status == "closed"


def test_files_are_read_once_and_not_at_every_step(own_data: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(own_data / "pseudopotentials", tmp_path / "upf")
    model = save_model(replace(tiny_model(), elements={}), tmp_path / "be.maladist")
    steps = Stepper(model)
    first = steps.predict(moved(0.0), pseudopotentials=folder, **OPTIONS)
    shutil.rmtree(folder)
    model.unlink()
    again = steps.predict(moved(0.0), pseudopotentials=folder, **OPTIONS)
    assert again.energies.total == pytest.approx(first.energies.total, abs=1e-7)
    with pytest.raises(InputError, match="others: cannot be read"):
        steps.predict(moved(0.0), pseudopotentials=tmp_path / "others", **OPTIONS)
    steps.close()


@pytest.mark.filterwarnings("always::UserWarning")
def test_what_every_step_has_to_say_is_told_once_whatever_its_figures(
    model: LDOSModel, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    found = iter([["holds 15.9 electrons, not 16: scaled"], ["holds 16.1 electrons, not 16: scaled", "another"]] * 2)
    monkeypatch.setattr("maladist.prediction.stepper.later_notes", lambda *_: next(found))
    once = ["holds 15.9 electrons, not 16: scaled", "another"]
    observer = Listener()
    for told in (observer, None):
        recwarn.clear()
        steps = Stepper(model, observer=told)
        for by in (0.0, 0.01):
            steps.predict(moved(by), **OPTIONS)
        steps.close()
        notes = [str(w.message) for w in recwarn] if told is None else observer.notes
        assert len(set(notes)) == len(notes) and notes[-2:] == once
        assert told is None or not recwarn.list
