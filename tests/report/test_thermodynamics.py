"""The pictures of the electrons' thermodynamics: an atom's numbers, and A only where it is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from maladist.report.thermodynamics import energy_axes, entropy_axes, write_plot
from maladist.units import BOLTZMANN


@pytest.fixture
def found() -> xr.Dataset:
    t = np.array([100.0, 200.0, 300.0])
    energies = ("fermi_energy_eV", "band_energy_eV", "entropy_contribution_eV", "total_free_energy_eV")
    values = dict.fromkeys(energies, ("temperature", t / 100))
    values |= dict.fromkeys(("entropy_eV_per_K", "heat_capacity_eV_per_K"), ("temperature", BOLTZMANN * t))
    return xr.Dataset(values, {"temperature": t}, {"n_atoms": 2})


def test_the_numbers_are_those_of_an_atom(found: xr.Dataset, tmp_path: Path) -> None:
    ax = Figure().subplots()
    entropy_axes(ax, found)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [50.0, 100.0, 150.0])
    ax = Figure().subplots()
    energy_axes(ax, found)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [0.0, 500.0, 1000.0])
    assert write_plot(found, tmp_path / "t.png").stat().st_size > 1000


def test_a_is_left_out_where_it_is_not_known(found: xr.Dataset) -> None:
    ax = Figure().subplots()
    energy_axes(ax, found.assign(total_free_energy_eV=found["total_free_energy_eV"] * np.nan))
    assert [line.get_label() for line in ax.lines] == ["$E_b$", "$-TS$"]
