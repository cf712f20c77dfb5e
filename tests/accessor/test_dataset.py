"""`.maladist` of a Dataset: the numbers of `observe`, at one temperature."""

from __future__ import annotations

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
