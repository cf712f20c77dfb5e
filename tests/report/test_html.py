"""The report: one file that asks nothing of a network, holds every number of the store, and says what is missing."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from ase import Atoms
from distributed import Client

import maladist
from maladist.errors import InputError
from maladist.grid import Grid
from maladist.learning.domain import CellRange, Domain
from maladist.report.charts import lanes
from maladist.report.html import report
from maladist.report.volume import coarse_shape, coarsen, volume_json
from maladist.testing import be_atoms, tiny_model

pytestmark = pytest.mark.filterwarnings("ignore:broadening correction")


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """One process with two threads: blocks of one worker overlap in time."""
    with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as client:
        yield client


@pytest.fixture(scope="module")
def result(client: Client, tmp_path_factory: pytest.TempPathFactory) -> maladist.Prediction:
    """Two atoms in a triclinic cell, in eight blocks."""
    path = tmp_path_factory.mktemp("report") / "one.zarr"
    return maladist.predict(be_atoms(), tiny_model(), client=client, store=path, chunks=(7, 7, 10))


def test_holds_every_term_and_who_made_it(result: maladist.Prediction, tmp_path: Path) -> None:
    text = report(result.store, tmp_path / "report.html").read_text()
    for name, value in result.energies.per_atom():
        assert value is not None and f"{value:.6f}".replace("-", "−") in text, name
    for known in (result.dataset.attrs["model_hash"], f"maladist {maladist.__version__}", "torch 2.", "pytest"):
        assert known in text, known
    assert "Blocks by worker and by time" in text
    assert f"{result.fermi_energy:.4f} eV".replace("-", "−") in text


@pytest.mark.filterwarnings("ignore:outside of the model's training")
def test_shows_where_the_cell_is_outside_of_the_models_training(client: Client, tmp_path: Path) -> None:
    model = tiny_model()
    nothing = torch.zeros(model.descriptor.n_features, 1)
    domain = Domain(CellRange((8.0, 9.0)), 0.8, nothing, nothing[0], None)
    found = maladist.predict(be_atoms(), replace(model, domain=domain), grid=(9, 9, 12), client=client)
    text = report(found, tmp_path / "report.html").read_text()
    assert "Where the model was trained" in text and 'aria-label="novelty in planes across c, b and a"' in text
    assert f"{found.to_dict()['outside']['points']:,} points (" in text


def test_names_nothing_outside_of_the_file(result: maladist.Prediction, tmp_path: Path) -> None:
    text = report(result, tmp_path / "report.html").read_text()
    without_names = re.sub(r'xmlns(:\w+)?="[^"]*"|<(cc:Work|dc:type)[^>]*>', "", text)
    assert not re.search(r'(src|href)="(?!#|data:)', without_names)
    assert not re.search(r"@import|url\((?!#|data:)|fetch\(|XMLHttpRequest", without_names)
    assert "default-src 'none'" in text


def test_no_word_of_a_store_becomes_markup(result: maladist.Prediction, tmp_path: Path) -> None:
    """A store is somebody else's file, and the page may run scripts of its own."""
    bad = "<img src=x onerror=alert(1)>"
    told = ("model_hash", "finished", "xc", "command", "model", "source", "host")
    attributes = dict.fromkeys(told, bad) | {"versions": {bad: bad}, "notes": [bad, bad]}
    attributes |= {"pseudopotentials": {bad: {"file": bad}}}
    store = tmp_path / "theirs.zarr"
    result.dataset.assign_attrs(attributes).to_zarr(store, consolidated=False)
    text = report(store).read_text()
    assert bad not in text and text.count("&lt;img src=x") >= 10


def test_goes_beside_the_store_unless_told(result: maladist.Prediction) -> None:
    assert report(result.store) == result.store.with_suffix(".html")


def test_several_temperatures_each_have_their_energies(client: Client, tmp_path: Path) -> None:
    store = tmp_path / "two.zarr"
    found = maladist.predict(
        be_atoms(), tiny_model(), temperature=[1000.0, 4000.0], client=client, store=store, grid=(9, 9, 12)
    )
    text = report(store).read_text()
    for t in found.temperatures:
        total = found.at(t).energies.total
        assert total is not None and f"{total:.4f}".replace("-", "−") in text
        assert f"{t:.5g} K, eV" in text


def test_what_a_store_does_not_hold_is_said(result: maladist.Prediction, tmp_path: Path) -> None:
    bare = tmp_path / "bare.zarr"
    result.dataset.drop_vars("density").to_zarr(bare, consolidated=False)
    text = report(bare).read_text()
    assert "holds no density" in text and 'id="volume"' not in text


def test_an_unfinished_or_foreign_store_is_refused_in_one_line(result: maladist.Prediction, tmp_path: Path) -> None:
    unfinished, foreign = tmp_path / "unfinished.zarr", tmp_path / "foreign.zarr"
    result.dataset.drop_vars("density").assign_attrs(complete=False).to_zarr(unfinished, consolidated=False)
    xr.Dataset({"a": ("i", [1, 2])}).to_zarr(foreign, consolidated=False)
    for path, why in ((unfinished, "unfinished"), (foreign, "neither density nor DOS"), (tmp_path / "no", "not exist")):
        with pytest.raises(InputError, match=why) as caught:
            report(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="is not a folder"):
        report(result, tmp_path / "nowhere" / "a.html")


def test_coarse_samples_are_means_and_keep_the_electrons() -> None:
    rng = np.random.default_rng(0)
    field = xr.DataArray(rng.random((24, 18, 35)), dims=("x", "y", "z"))
    coarse = coarsen(field, (12, 6, 7))
    np.testing.assert_allclose(coarse, field.values.reshape(12, 2, 6, 3, 7, 5).mean(axis=(1, 3, 5)), rtol=1e-13)
    ragged = coarsen(field, (7, 18, 35))  # bricks of three and of four points
    np.testing.assert_allclose(ragged[0], field.values[:3].mean(axis=0), rtol=1e-13)


def test_samples_and_atoms_stay_together(result: maladist.Prediction) -> None:
    """A Gaussian around an atom has its largest sample where the viewer draws the atom."""
    grid = Grid(be_atoms().cell.array.tolist(), (48, 48, 64))
    centre = np.array([0.30, 0.70, 0.25])
    f = grid.points() @ np.linalg.inv(grid.cell_array) - centre
    r2 = (((f + 0.5) % 1 - 0.5) @ grid.cell_array) ** 2
    field = xr.DataArray(np.exp(-r2.sum(axis=1) / 0.18).reshape(grid.shape), dims=("x", "y", "z"))
    said = json.loads(volume_json(field, grid, Atoms("H", [centre @ grid.cell_array]), most=20**3))
    samples = np.frombuffer(base64.b64decode(said["samples"]), "<u2").reshape(said["shape"])
    top = np.array(np.unravel_index(samples.argmax(), samples.shape)) / samples.shape
    off = np.abs((top - said["atoms"][0][0] + 0.5) % 1 - 0.5) * said["shape"]
    assert off.max() <= 0.5 + 1e-3  # no farther than half a sample: the maximum is the nearest one


def test_few_samples_of_any_grid() -> None:
    long = Grid([[90.0, 0, 0], [0, 5.0, 0], [0, 0, 5.0]], (720, 40, 40))
    shape = coarse_shape(long, 20**3)
    assert np.prod(shape) <= 1.1 * 20**3 and shape[0] / shape[1] == pytest.approx(18, rel=0.1)
    assert coarse_shape(Grid(np.eye(3).tolist(), (8, 8, 8))) == (8, 8, 8)


def test_tasks_that_overlap_get_lanes_of_their_own() -> None:
    assert lanes([0, 1, 2, 3.5], [2, 3, 4, 5]).tolist() == [0, 1, 0, 1]
