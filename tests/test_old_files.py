"""Files of the first edition (2026-11-23) open, and say what they said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import maladist
from maladist.prediction.result import Prediction
from tests.conftest import unpacked


@pytest.fixture(scope="module")
def old(own_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Prediction:
    return Prediction.open(unpacked(own_data / "first_edition" / "tiny.zarr.zip", tmp_path_factory.mktemp("old")))


@pytest.mark.filterwarnings("ignore:the model does not know where it has been trained")
def test_an_old_model_predicts_what_it_did(old: Prediction, own_data: Path) -> None:
    model = maladist.load_model(own_data / "first_edition" / "tiny.maladist")
    found = maladist.predict(old.atoms, model, grid=old.grid.shape)
    before = dict(old.energies)
    for name, value in found.energies:
        assert value == pytest.approx(before[name], abs=1e-5), name  # eV; the network's sums are in another order
    np.testing.assert_allclose(found.density, old.density, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.dos, old.dos, rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Failed to open Zarr store with consolidated metadata")
def test_an_old_result_opens_and_what_came_later_takes_it(old: Prediction) -> None:
    assert isinstance(old.store, Path)
    with xr.open_zarr(old.store) as dataset:
        assert dataset.sizes == old.dataset.sizes
    assert old.energies.total == pytest.approx(-156.502386, abs=1e-6)
    assert float(maladist.charges(old, method="voronoi").electrons.sum()) == pytest.approx(4.0)
    assert maladist.thermodynamics(old, temperature=[2000.0]).sizes == {"temperature": 1}
    assert maladist.diffraction(old).sizes["line"] > 0
