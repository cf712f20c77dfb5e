"""The spread of an ensemble's members: what each predicts by itself, and how far they are apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from distributed import Client

from maladist import LDOSModel, evaluate, predict
from maladist.errors import InputError
from maladist.testing import RECUT, be_atoms, tiny_model
from tests.evaluation.common import as_snapshot

GRID = (8, 9, 12)


@pytest.fixture(scope="module")
def ensemble() -> LDOSModel:
    """Three networks with other random weights."""
    return LDOSModel.mean_of([tiny_model(seed) for seed in (0, 1, 2)])


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("temperature", [2000.0, (1000.0, 2000.0)])
def test_the_spread_is_that_of_predictions_one_by_one(
    ensemble: LDOSModel, client: Client, temperature: float | tuple[float, ...]
) -> None:
    def run(model: LDOSModel, **more: object) -> dict[str, np.ndarray]:
        found = predict(
            be_atoms(), model, grid=GRID, temperature=temperature, client=client, precision="float64", **more
        )
        return {str(n): v.values for n, v in found.dataset.data_vars.items()}

    together, mean = run(ensemble, spread=True, chunks=(4, 9, 5)), run(ensemble)
    members = [run(m) for m in ensemble.members()]
    for name in ("density", "dos", "fermi_energy_eV", "band_energy_eV", "xc_eV", "total_free_energy_eV"):
        assert np.allclose(together[name], mean[name], rtol=RECUT), name
        wanted = np.std([m[name] for m in members], axis=0, ddof=1)
        assert wanted.max() > 0
        assert together[f"{name}_std"] == pytest.approx(wanted, rel=1e-5, abs=1e-7), name  # differences of the recut
        assert together[f"{name}_std"].shape == together[name].shape
    assert np.abs(together["ewald_eV_std"]).max() < 1e-9  # the same for all


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_evaluate_gives_the_spread_beside_the_error(ensemble: LDOSModel, client: Client, tmp_path: Path) -> None:
    made = predict(be_atoms(), ensemble, grid=GRID, store=tmp_path / "a.zarr", keep=("ldos",), client=client)
    as_snapshot(made)
    (one,) = evaluate(ensemble, made.store, client=client, spread=True)
    (plain,) = evaluate(ensemble, made.store, client=client)
    spread = predict(be_atoms(), ensemble, grid=GRID, client=client, spread=True).dataset
    assert abs(one.terms["total_free_energy"]) < 1e-6
    assert plain.spread == {}
    assert one.spread["total_free_energy"] == pytest.approx(500 * float(spread["total_free_energy_eV_std"]), rel=1e-6)
    assert one.spread["density"] == pytest.approx(float(spread["density_std"].mean() / spread["density"].mean()))


def test_the_spread_of_a_single_network_is_refused(client: Client) -> None:
    with pytest.raises(InputError, match="an ensemble"):
        predict(be_atoms(), tiny_model(), grid=GRID, client=client, spread=True)
