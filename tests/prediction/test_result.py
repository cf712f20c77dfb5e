"""A prediction goes to netCDF whole, its nested attributes as JSON text; an older store is read too."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from distributed import Client

from maladist import Prediction, observe, predict
from maladist.errors import OutputError
from maladist.testing import be_atoms, tiny_model


def test_netcdf_has_every_variable_and_attribute(
    small_data_set: Path, own_data: Path, tmp_path: Path, client: Client
) -> None:
    group = small_data_set / "snapshots/train-0"
    found = observe(group, pseudopotentials=own_data / "pseudopotentials", client=client)
    found.to_netcdf(tmp_path / "a.nc")
    with xr.open_dataset(tmp_path / "a.nc") as back:
        assert set(back.variables) == set(found.dataset.variables)
        for name, values in found.dataset.variables.items():
            np.testing.assert_array_equal(back[name].values, values.values)
        assert json.loads(back.attrs["pseudopotentials"]) == found.dataset.attrs["pseudopotentials"]
        assert set(back.attrs) == {k for k, v in found.dataset.attrs.items() if v is not None}
    with pytest.raises(OutputError, match="exists"):
        found.to_netcdf(tmp_path / "a.nc")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_prediction_with_forces_says_how_large_they_are() -> None:
    temperatures = [1000.0, 2000.0]
    found = predict(be_atoms(), tiny_model(), grid=(8, 8, 12), forces=True, temperature=temperatures)
    told = [line for line in str(found).splitlines() if "force" in line]
    for t, line in zip(temperatures, told, strict=True):
        forces = found.at(t).forces
        assert forces is not None
        largest, net = (float(n) for n in re.findall(r"force (\S+) eV/Å", line))
        assert largest == pytest.approx(max(np.hypot.reduce(forces, axis=1)), abs=1e-4)
        assert net == pytest.approx(np.hypot.reduce(forces.sum(axis=0)), rel=0.06)  # one decimal
    assert "force" not in str(predict(be_atoms(), tiny_model(), grid=(8, 8, 12)))


def test_a_term_that_an_older_store_lacks_is_none_and_the_others_are_read(tmp_path: Path) -> None:
    dataset = xr.Dataset(
        {"band_energy_eV": 1.5, "hartree_eV": np.nan, "number": (("atom",), np.array([4, 4]))},
        attrs={"temperature_K": 300.0},
    )
    energies = Prediction(dataset, tmp_path).energies
    assert (energies.band, energies.hartree, energies.ewald, energies.total) == (1.5, None, None, None)
