"""σ beside the results of a calibrated model: in the store, in JSON, in print; anew where its members tell more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import maladist
from maladist import LDOSModel, Prediction
from maladist.errors import ModelError
from maladist.learning.cell_range import CellRange
from maladist.learning.domain import Domain
from maladist.learning.uncertainty import Scale, Uncertainty
from maladist.prediction.setup import setup
from maladist.report.html import report
from maladist.testing import be_atoms, tiny_model

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
GRID = (8, 9, 12)
ALONE = {
    "total_free_energy": Scale(0.003, 0.0, 0.0),
    "band_energy": Scale(0.004, 0.0, 0.0),
    "forces": Scale(0.1, 0.0, 0.0),
    "density": Scale(0.002, 0.0, 0.0),
}


def calibrated(model: LDOSModel, limit: float = 0.8) -> LDOSModel:
    n = model.descriptor.n_features
    domain = Domain(CellRange.of(setup(be_atoms(), model).system), limit, torch.zeros(n, 1), torch.zeros(1), None)
    beside = {q: Scale(s.floor, 2.0, 0.0) for q, s in ALONE.items()}
    return replace(model, domain=domain, uncertainty=Uncertainty(0.5, (2, 2), 5, ALONE, beside))


@pytest.fixture(scope="module")
def ensemble() -> LDOSModel:
    return calibrated(LDOSModel.mean_of([tiny_model(seed) for seed in (0, 1, 2)]))


def growth_of(found: Prediction) -> float:
    squares = found.dataset["novelty"].values.astype(float) ** 2
    return float(np.mean(squares**2 / (1 + squares)))


def test_sigma_is_that_of_the_novelty_map_and_is_told_everywhere(ensemble: LDOSModel, tmp_path: Path) -> None:
    found = maladist.predict(be_atoms(), ensemble, grid=GRID, store=tmp_path / "a.zarr", chunks=(4, 9, 5), forces=True)
    g = growth_of(found) / 0.5
    wanted = {
        "total_free_energy_sigma_eV": 2 * 0.003 * g**1.25,
        "band_energy_sigma_eV": 2 * 0.004 * g**1.25,
        "forces_sigma_eV_per_A": 0.1 * g,
        "density_sigma_per_A3": 0.002 * np.sqrt(g),
    }
    again = Prediction.open(tmp_path / "a.zarr")
    assert again.sigmas == pytest.approx(wanted, rel=1e-6)  # novelty is kept in float32
    assert {k: again.to_dict()[k] for k in wanted} == again.sigmas
    (line,) = (line for line in str(again).splitlines() if line.startswith("total free energy"))
    assert line.endswith(f"± {0.003 * g**1.25:.2g}")
    assert f"density ± {again.sigmas['density_sigma_per_A3']:.2g}" in str(again)
    page = report(again, tmp_path / "a.html").read_text()
    assert f"± {0.003 * g**1.25:.6f}" in page and "calibrated on cells" in page


def test_no_forces_no_sigma_of_them_and_none_at_all_without_a_calibration(ensemble: LDOSModel) -> None:
    assert "forces_sigma_eV_per_A" not in maladist.predict(be_atoms(), ensemble, grid=GRID).sigmas
    plain = maladist.predict(be_atoms(), replace(ensemble, uncertainty=None), grid=GRID)
    assert plain.sigmas == {} and "±" not in str(plain)


def test_an_energy_that_is_not_known_has_no_sigma(ensemble: LDOSModel) -> None:
    """Without a functional there is no A."""
    for spread in (False, True):
        found = maladist.predict(be_atoms(), replace(ensemble, xc=None), grid=GRID, spread=spread)
        assert found.energies.total is None
        assert set(found.sigmas) == {"band_energy_sigma_eV", "density_sigma_per_A3"}


def test_farther_from_the_training_sigma_is_larger(ensemble: LDOSModel) -> None:
    near = maladist.predict(be_atoms(), ensemble, grid=GRID).sigmas
    far = maladist.predict(be_atoms(), calibrated(ensemble, limit=0.1), grid=GRID).sigmas
    assert all(far[name] > 5 * near[name] for name in near)


@pytest.mark.parametrize("temperature", [2000.0, (1000.0, 2000.0)])
def test_with_the_members_sigma_has_their_spread(ensemble: LDOSModel, temperature: float | tuple[float, ...]) -> None:
    found = maladist.predict(be_atoms(), ensemble, grid=GRID, temperature=temperature, spread=True, chunks=(4, 9, 5))
    data, g = found.dataset, growth_of(found) / 0.5
    spread = data["total_free_energy_eV_std"].values / 2
    assert data["total_free_energy_sigma_eV"].values == pytest.approx(
        2 * np.hypot(0.003 * g**1.25, 2 * spread), rel=1e-6
    )
    of_density = np.sqrt((data["density_std"].values ** 2).mean((-3, -2, -1)))
    assert data["density_sigma"].values == pytest.approx(np.hypot(0.002 * np.sqrt(g), 2 * of_density), rel=1e-6)
    assert data["density_sigma"].shape == np.shape(of_density)
    assert set(found.at(1000.0 if isinstance(temperature, tuple) else 2000.0).sigmas) == {
        "total_free_energy_sigma_eV",
        "band_energy_sigma_eV",
        "density_sigma_per_A3",
    }


def test_a_calibration_travels_with_its_model_and_not_with_its_members(ensemble: LDOSModel, tmp_path: Path) -> None:
    again = maladist.load_model(maladist.save_model(ensemble, tmp_path / "a.maladist"))
    assert again.uncertainty == ensemble.uncertainty and again.content_hash == ensemble.content_hash
    assert all(m.uncertainty is None for m in again.members())
    with pytest.raises(ModelError, match="without a domain"):
        replace(tiny_model(), uncertainty=ensemble.uncertainty)
