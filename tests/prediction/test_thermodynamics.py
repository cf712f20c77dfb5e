"""Many temperatures from one D(ε): the numbers of `predict` and `observe` at each of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from distributed import Client

import maladist
from maladist import LDOSModel, Prediction
from maladist.errors import EnergyWindowError, InputError
from maladist.testing import sic_elements

pytestmark = pytest.mark.filterwarnings("ignore:broadening correction:UserWarning")
TEMPERATURES = (1000.0, 2000.0, 5000.0)


@pytest.fixture(scope="module")
def result(atoms: Atoms, model: LDOSModel) -> Prediction:
    """At the three temperatures."""
    return maladist.predict(atoms, model, grid=(6, 6, 9), temperature=TEMPERATURES, precision="float64")


def test_a_result_of_one_temperature_tells_what_a_run_at_another_gives(
    atoms: Atoms, model: LDOSModel, result: Prediction
) -> None:
    one = maladist.predict(atoms, model, grid=(6, 6, 9), precision="float64")
    found = one.dataset.maladist.thermodynamics(temperature=[5000.0, 1000.0, 2000.0, 1000.0])
    assert found["temperature"].values.tolist() == list(TEMPERATURES)  # sorted, each once
    for t in TEMPERATURES:
        at, row = result.at(t), found.sel(temperature=t)
        assert float(row["fermi_energy_eV"]) == pytest.approx(at.fermi_energy, abs=1e-9)
        for name in ("band_energy_eV", "entropy_contribution_eV", "total_free_energy_eV"):
            assert float(row[name]) == pytest.approx(float(at.dataset[name]), abs=1e-8), name
    np.testing.assert_allclose(-found["temperature"] * found["entropy_eV_per_K"], found["entropy_contribution_eV"])
    assert found["heat_capacity_eV_per_K"].attrs["units"] == "eV/K" and found.attrs["n_atoms"] == 2
    assert found.attrs["reference_temperature_K"] == 2000.0 and "temperature_K" not in found.attrs


def test_a_result_at_several_temperatures_serves_as_well(result: Prediction) -> None:
    found = maladist.thermodynamics(result, temperature=2000.0)
    assert float(found["total_free_energy_eV"][0]) == pytest.approx(result.at(2000.0).energies.total, abs=1e-9)


@pytest.fixture(scope="module")
def within() -> Iterator[Client]:
    """A cluster within this process: what is tested here is not the cluster."""
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as client:
        yield client


def test_of_a_dft_ldos_a_is_that_of_observe_at_each_temperature(temperatures: Path, within: Client) -> None:
    group, elements = temperatures / "snapshots" / "sic-5000K", sic_elements()
    found = maladist.thermodynamics(group, temperature=[3000.0, 5000.0], pseudopotentials=elements, client=within)
    hot = maladist.observe(group, temperature=3000.0, pseudopotentials=elements, client=within)
    assert float(found["total_free_energy_eV"][0]) == pytest.approx(hot.energies.total, abs=1e-8)
    # Without valence and core charge A is not known, and the rest is.
    bare = maladist.thermodynamics(group, temperature=3000.0, client=within)
    assert np.isnan(bare["total_free_energy_eV"])
    np.testing.assert_allclose(bare["heat_capacity_eV_per_K"][0], found["heat_capacity_eV_per_K"][0], rtol=1e-9)


def test_temperatures_that_are_none_or_beyond_the_levels_are_refused(result: Prediction) -> None:
    for bad in ([], -3.0):
        with pytest.raises(InputError, match="temperature"):
            maladist.thermodynamics(result, temperature=bad)
    with pytest.raises(EnergyWindowError):
        maladist.thermodynamics(result, temperature=[1000.0, 60_000.0])


def test_what_the_user_should_know_is_told_once(result: Prediction) -> None:
    notes = maladist.thermodynamics(result, temperature=[300.0, 600.0, 3000.0]).attrs["notes"]
    assert sum("ripples" in note for note in notes) == 1 and len(notes) == len(set(notes))
