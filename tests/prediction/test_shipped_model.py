"""The model that comes with the package, on a cell that it was not trained on, against DFT."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import ase.io
import pytest
from ase import Atoms
from distributed import Client

import maladist
import maladist.testing

CARD = Path(str(files("maladist"))) / "data" / "be_1000K"


@pytest.fixture(scope="module")
def held_out() -> Atoms:
    """Eight atoms, with the DFT's energies in ``info``."""
    return ase.io.read(CARD / "held-out.extxyz")


def test_it_is_found_by_name_and_says_what_it_is_for() -> None:
    model = maladist.load_model("be-1000K")
    assert set(model.elements) == {"Be"}
    assert model.temperature == pytest.approx(1000.0)
    assert model.elements["Be"].has_pseudopotential  # so that A is complete
    assert (CARD / "be-1000K.maladist").stat().st_size < 3e6


def test_it_meets_dft_on_a_cell_that_it_has_never_seen(held_out: Atoms, client: Client) -> None:
    found = maladist.predict(held_out, "be-1000K", client=client)
    errors = {
        name: 1e3 * (value - held_out.info[f"dft_{name}"]) / len(held_out)
        for name, value in found.energies
        if value is not None
    }
    assert abs(errors["ewald_eV"]) < 0.01  # exact: positions and charges
    # Twice the mean error over all held-out cells of this size, which the card tells.
    assert abs(errors["band_energy_eV"]) < 15
    assert abs(errors["total_free_energy_eV"]) < 15


def test_a_file_of_its_name_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    maladist.save_model(maladist.testing.tiny_model(), "be-1000K")
    assert maladist.load_model("be-1000K").energy_zero == {}
