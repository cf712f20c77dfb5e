"""Every model that comes with the package, on a cell that it was not trained on, against DFT, and against its card."""

from __future__ import annotations

import math
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
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


# The first edition of be takes as long as the two others, for its bispectrum.
@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if n == "be-1000K" else []) for n in NAMES])
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


def _far_from_hcp() -> dict[str, Atoms]:
    """Twice the volume, a slab of four layers beside as much vacuum, and bcc at hcp's volume, displaced by 0.1 Å."""
    hcp = bulk("Be", "hcp", a=2.2866, c=3.5833)
    wide = hcp * (2, 2, 1)
    wide.set_cell(wide.cell * 2 ** (1 / 3), scale_atoms=True)
    slab = hcp * (2, 2, 2)
    slab.set_cell(slab.cell.array * [[1], [1], [2]])
    bcc = bulk("Be", "bcc", a=(2 * 8.11) ** (1 / 3), cubic=True) * (2, 2, 2)
    cells = {"volume": wide, "vacuum": slab, "bcc": bcc}
    for atoms in cells.values():
        atoms.rattle(0.1, seed=0)
    return cells


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_it_does_not_know_has_five_times_the_sigma() -> None:
    """Of A and E_b, that of cells of its size like the training's; the density's true errors grow by less."""
    model = maladist.load_model("be-1000K")
    known = model.uncertainty
    assert known is not None
    for name, atoms in _far_from_hcp().items():
        far = maladist.predict(atoms, model).sigmas
        for energy in ("total_free_energy", "band_energy"):
            like = known.sigma(energy, len(atoms), known.growth)
            assert like is not None and far[f"{energy}_sigma_eV"] / len(atoms) > 5 * like, name
        # Of bcc the DFT tells twice the error.
        assert far["density_sigma_per_A3"] > 1.8 * (known.sigma("density", len(atoms), known.growth) or math.inf)


def test_a_file_of_its_name_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    maladist.save_model(maladist.testing.tiny_model(), NAMES[0])
    assert maladist.load_model(NAMES[0]).energy_zero == {}
