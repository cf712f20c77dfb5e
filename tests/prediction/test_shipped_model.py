"""Every model that comes with the package, on a cell that it was not trained on, against DFT, and against its card."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from distributed import Client

import maladist
import maladist.testing
from maladist.io.shipped import shipped_models

NAMES = sorted(shipped_models())
LARGEST = 3e6  # bytes: a wheel holds it


def test_there_is_a_model_to_begin_with() -> None:
    assert "be-1000K" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_is_found_by_name_and_is_what_its_card_says(name: str) -> None:
    model, shipped = maladist.load_model(name), shipped_models()[name]
    assert set(model.elements) == set(shipped.card.elements)
    assert model.temperature == pytest.approx(shipped.card.temperature)
    assert all(element.has_pseudopotential for element in model.elements.values())  # so that A is complete
    assert shipped.file.stat().st_size < LARGEST


@pytest.mark.parametrize("name", NAMES)
def test_it_meets_dft_on_a_cell_that_it_has_never_seen(name: str, client: Client) -> None:
    shipped = shipped_models()[name]
    held_out = ase.io.read(shipped.folder / "held-out.extxyz")  # with the DFT's energies in its info
    allowed, forces = shipped.card.errors, shipped.card.forces
    predicted = maladist.predict(held_out, name, client=client, forces=forces is not None)
    found = dict(predicted.energies)
    assert {"total_free_energy_eV", "band_energy_eV"} <= set(allowed)
    for term, most in allowed.items():
        value = found[term]
        assert value is not None and 1e3 * abs(value - held_out.info[f"dft_{term}"]) / len(held_out) < most, term
    if forces is not None:
        dft = held_out.arrays["dft_forces"]
        assert np.sqrt(np.mean((predicted.forces - dft) ** 2)) < forces * np.sqrt(np.mean(dft**2))


def test_a_file_of_its_name_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    maladist.save_model(maladist.testing.tiny_model(), NAMES[0])
    assert maladist.load_model(NAMES[0]).energy_zero == {}
