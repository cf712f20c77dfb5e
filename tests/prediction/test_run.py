"""A run that was left is resumed to the same bits by its own input only; no store is lost; a window left is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from distributed import Client

import maladist
from maladist import LDOSModel, Prediction
from maladist.errors import OutputError, StoreError
from maladist.io import stores
from maladist.schema import ENERGY_TERMS
from maladist.testing import assert_same, tiny_model
from tests.prediction.conftest import DOUBLE

pytestmark = pytest.mark.filterwarnings("ignore:broadening correction")


def test_a_fermi_level_outside_of_the_window_is_announced_and_still_right(
    whole: Prediction, atoms: Atoms, model: LDOSModel, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []

    class Notes(maladist.parallel.progress.Silent):
        def note(self, text: str) -> None:
            notes.append(text)

    monkeypatch.setattr("maladist.prediction.pilot.window", lambda *_: (-4.0, -3.9))
    far = maladist.predict(atoms, model, client=client, chunks=(6, 7, 9), observer=Notes(), **DOUBLE)
    assert any("second time" in text for text in notes)
    assert_same(far, whole)


def test_a_resumed_run_computes_only_what_is_missing_and_gives_the_same_bits(
    atoms: Atoms, model: LDOSModel, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = (6, 7, 9)
    straight = maladist.predict(atoms, model, client=client, chunks=chunks, store=tmp_path / "a.zarr")
    with monkeypatch.context() as broken:
        broken.setattr("maladist.prediction.run.make_density", _dies)
        with pytest.raises(RuntimeError, match="power"):
            maladist.predict(atoms, model, client=client, chunks=chunks, store=tmp_path / "b.zarr")
    with pytest.raises(StoreError, match="unfinished"):
        Prediction.open(tmp_path / "b.zarr")
    # Three blocks are lost; their rows of the record go with them.
    record = stores.open_array(tmp_path / "b.zarr", "work/tally")
    record[1:4] = np.nan
    computed: list[Any] = []

    class Count(maladist.parallel.progress.Silent):
        stage_name = ""

        def stage(self, name: str, total: int, done: int = 0) -> None:
            self.stage_name = name

        def advance(self, report: Any) -> None:
            if self.stage_name == "blocks":
                computed.append(report.block)

    again = maladist.predict(atoms, model, client=client, store=tmp_path / "b.zarr", resume=True, observer=Count())
    assert sorted(computed) == [1, 2, 3]
    np.testing.assert_array_equal(again.density.values, straight.density.values)
    np.testing.assert_array_equal(again.dos.values, straight.dos.values)
    for term in ENERGY_TERMS:
        assert float(again.dataset[term]) == float(straight.dataset[term])


def _dies(*_: Any) -> None:
    raise RuntimeError("power cut")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"grid": (12, 12, 20)}, "grid"),
        ({"temperature": 777.0}, "temperature"),
        ({"precision": "float64"}, "precision"),
        ({"broadening_correction": "off"}, "broadening_correction"),
        ({"keep": ("ldos",)}, "keep"),
        ({"density_cutoff": 500.0}, "density_cutoff"),
    ],
)
def test_resuming_with_other_input_is_refused_by_name(
    change: dict[str, Any], named: str, atoms: Atoms, model: LDOSModel, client: Client, unfinished: Path
) -> None:
    with pytest.raises(StoreError, match=f"another {named}"):
        maladist.predict(atoms, model, client=client, store=unfinished, resume=True, **change)


@pytest.fixture(scope="module")
def unfinished(atoms: Atoms, model: LDOSModel, client: Client, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("unfinished") / "run.zarr"
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr("maladist.prediction.run.make_density", _dies)
        with pytest.raises(RuntimeError):
            maladist.predict(atoms, model, client=client, store=path)
    return path


def test_resuming_with_other_chunks_is_refused(
    atoms: Atoms, model: LDOSModel, client: Client, unfinished: Path
) -> None:
    with pytest.raises(StoreError, match="chunks"):
        maladist.predict(atoms, model, client=client, store=unfinished, resume=True, chunks=(3, 3, 3))


def test_resuming_other_atoms_or_another_model_is_refused(
    atoms: Atoms, model: LDOSModel, client: Client, unfinished: Path
) -> None:
    moved = atoms.copy()
    moved.positions[0, 0] += 0.01
    with pytest.raises(StoreError, match="another atoms"):
        maladist.predict(moved, model, client=client, store=unfinished, resume=True)
    with pytest.raises(StoreError, match="another model"):
        maladist.predict(atoms, tiny_model(seed=1), client=client, store=unfinished, resume=True)


def test_a_store_that_exists_is_kept_unless_it_may_be_replaced(
    atoms: Atoms, model: LDOSModel, client: Client, tmp_path: Path
) -> None:
    store = tmp_path / "a.zarr"
    maladist.predict(atoms, model, client=client, store=store)
    with pytest.raises(StoreError, match="exists"):
        maladist.predict(atoms, model, client=client, store=store)
    maladist.predict(atoms, model, client=client, store=store, overwrite=True)
    other = tmp_path / "folder"
    other.mkdir()
    (other / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match="not a zarr store"):
        maladist.predict(atoms, model, client=client, store=other, overwrite=True)
    assert (other / "thesis.tex").exists()


def test_resuming_what_is_not_there_checks_its_folder_first(
    atoms: Atoms, model: LDOSModel, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maladist.prediction.predict.execute", _dies)
    with pytest.raises(OutputError, match="is not a folder"):
        maladist.predict(atoms, model, client=client, store=tmp_path / "no" / "run.zarr", resume=True)
