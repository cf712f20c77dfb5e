"""The report: one file that asks nothing of a network, holds every number of the store, and says what is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import xarray as xr
from ase.units import GPa
from distributed import Client

import maladist
from maladist.errors import InputError
from maladist.learning.cell_range import CellRange
from maladist.learning.domain import Domain
from maladist.report.html import report
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


@pytest.mark.slow
def test_shows_forces_and_stress_where_there_are_any(
    result: maladist.Prediction, client: Client, tmp_path: Path
) -> None:
    without = report(result, tmp_path / "without.html").read_text()
    assert "Forces" not in without and "Stress" not in without and "arrows" not in without
    # Of two temperatures, which the page shows the first of.
    options = {"client": client, "grid": (9, 9, 12), "temperature": [1500.0, 6000.0]}
    found = maladist.predict(be_atoms(), tiny_model(), forces=True, stress=True, **options)
    text = report(found, tmp_path / "with.html").read_text()
    for label in ("Forces as arrows on the atoms, across c", "Histogram of the sizes of the forces"):
        assert f'aria-label="{label}"' in text
    assert "standard deviation" not in text, "of a model without a calibrated σ"
    known = {"forces_sigma": 0.0456, "density_sigma": 0.00123}
    calibrated = maladist.Prediction(found.dataset.assign(known), found.store)
    text = report(calibrated, tmp_path / "sigma.html").read_text()
    assert "± 0.046 eV/Å" in text and "± 0.0012 1/Å³" in text
    stress = found.at(1500.0).stress
    assert stress is not None
    cells = re.findall(r"<td>([^<]*)</td>", text[text.index("<th>eV/Å³</th>") : text.index(" GPa")])
    xx, yy, zz, yz, xz, xy = (f"{x:.5f}".replace("-", "−") for x in stress)
    assert cells == ["x", xx, xy, xz, "y", xy, yy, yz, "z", xz, yz, zz]
    pressure = -stress[:3].mean() / GPa
    assert f"a pressure of\n{pressure:.2f} GPa".replace("-", "−") in text


@pytest.mark.filterwarnings("ignore:outside of the model's training")
def test_shows_where_the_cell_is_outside_of_the_models_training(client: Client, tmp_path: Path) -> None:
    model = tiny_model()
    nothing = torch.zeros(model.descriptor.n_features, 1)
    domain = Domain(CellRange((8.0, 9.0)), 0.8, nothing, nothing[0], None)
    found = maladist.predict(be_atoms(), replace(model, domain=domain), grid=(9, 9, 12), client=client)
    text = report(found, tmp_path / "report.html").read_text()
    assert "Where the model was trained" in text and 'aria-label="novelty in the plane across c"' in text
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
