"""`.maladist` of a Dataset: the numbers of `observe`, at one temperature."""

from __future__ import annotations

from pathlib import Path

import pytest
import xarray as xr
from distributed import Client

import maladist
from maladist.errors import StoreError
from maladist.testing import RECUT, RECUT_ENERGY, be_atoms, tiny_model
from tests.accessor.common import off

pytestmark = pytest.mark.filterwarnings("ignore:broadening correction")


def test_a_stored_ldos_has_those_of_observe_at_any_temperature(result: maladist.Prediction, client: Client) -> None:
    kept = maladist.Prediction.open(result.store).dataset
    hot = maladist.observe(result.store, temperature=9000.0, client=client)
    only = kept.drop_vars("dos")  # so that D(ε) is made of the LDOS
    of = only.maladist
    assert abs(of.fermi_energy(temperature=9000.0) - hot.fermi_energy) <= RECUT_ENERGY
    assert off(of.density(temperature=9000.0), hot.density) <= RECUT
    assert off(of.dos(), hot.dos) <= RECUT
    assert kept.maladist.fermi_energy() == pytest.approx(result.fermi_energy, abs=RECUT_ENERGY)
    xr.testing.assert_equal(kept.maladist.density(), result.density)


def test_several_temperatures_ask_for_one(client: Client) -> None:
    two = maladist.predict(be_atoms(), tiny_model(), temperature=[900.0, 5000.0], grid=(9, 9, 12), client=client)
    with pytest.raises(StoreError, match=r"sel\(temperature"):
        two.dataset.maladist.density()
    hot = two.dataset.sel(temperature=5000.0).maladist
    assert hot.fermi_energy() == pytest.approx(two.at(5000.0).fermi_energy, abs=RECUT_ENERGY)
    two.close()


def test_verbs_of_a_result_are_those_of_its_store(result: maladist.Prediction, own_data: Path) -> None:
    dataset, files = result.dataset, own_data / "pseudopotentials"
    xr.testing.assert_identical(
        dataset.maladist.thermodynamics(temperature=[1000]), maladist.thermodynamics(result.store, temperature=[1000])
    )
    xr.testing.assert_identical(dataset.maladist.structure(), maladist.structure(result.atoms))
    found, known = (
        dataset.maladist.difference(pseudopotentials=files),
        maladist.difference(result, pseudopotentials=files),
    )
    xr.testing.assert_identical(found, known)
    xr.testing.assert_identical(dataset.maladist.charges(method="voronoi"), maladist.charges(result, method="voronoi"))


def test_a_difference_is_never_that_of_a_store_whose_density_is_another(result: maladist.Prediction) -> None:
    with pytest.raises(StoreError, match="another density than its store's"):
        (result.dataset * 2).maladist.difference(result)
    with pytest.raises(StoreError, match="another density than its store's"):
        (result.dataset * 2).maladist.charges()
    with pytest.raises(StoreError, match="one of no store"):
        xr.Dataset(dict(result.dataset.variables)).maladist.difference(result)
