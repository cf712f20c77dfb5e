"""`thermodynamics` on the command line: what it hands over, and prints an atom."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from ase import Atoms

from maladist.units import BOLTZMANN
from tests.cli.conftest import Command, StandIn


@pytest.fixture
def found() -> xr.Dataset:
    t = np.array([100.0, 200.0])
    names = ("fermi_energy_eV", "band_energy_eV", "entropy_contribution_eV", "total_free_energy_eV")
    values = {name: ("temperature", np.array([1.0, 3.0])) for name in names}
    values |= {
        "entropy_eV_per_K": ("temperature", BOLTZMANN * t),
        "heat_capacity_eV_per_K": ("temperature", t * np.nan),
    }
    return xr.Dataset(values, {"temperature": t}, {"n_atoms": 2, "notes": ["cold"]})


def test_a_range_of_temperatures_becomes_a_table_a_picture_and_json(
    found: xr.Dataset, tmp_path: Path, command: Command, stand_in: StandIn
) -> None:
    calls, figures, picture = stand_in("maladist.thermodynamics", found), tmp_path / "t.json", tmp_path / "t.png"
    words = ("--range", 100, 200, "--count", 3, "-T", 50, "--json", figures, "--plot", picture, "--xc", "pz")
    status, out, err = command("thermodynamics", "be.zarr", *words)
    assert status == 0 and "note: cold" in err and picture.exists()
    (source, model), named = calls[0]
    assert (source, model, named["xc"]) == ("be.zarr", None, "pz") and "grid" not in named
    assert named["temperature"] == [50.0, 100.0, 150.0, 200.0]
    assert out.splitlines()[2].split() == ["100", "1.0000", "0.500000", "0.500000", "0.500000", "50.000000", "–"]
    told = json.loads(figures.read_text())
    assert told["temperature_K"] == [100.0, 200.0] and told["heat_capacity_eV_per_K"] == [None, None]


def test_with_a_model_the_first_word_is_a_file_of_atoms(
    found: xr.Dataset, folder: Path, command: Command, stand_in: StandIn
) -> None:
    calls = stand_in("maladist.thermodynamics", found)
    words = ("--model", folder / "model.maladist", "-T", 100, "--grid", 6, 6, 9)
    assert command("thermodynamics", folder / "be.extxyz", *words).status == 0
    (source, model), named = calls[0]
    assert isinstance(source, Atoms) and model == folder / "model.maladist" and named["grid"] == (6, 6, 9)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "temperature"),
        (("--count", 3), "--range"),
        (("--range", 100, 200, "--count", 1), "count"),
        (("-T", 100, "--plot", "nowhere/x.png"), "nowhere"),
    ],
)
def test_what_cannot_be_done_is_one_line(words: tuple[object, ...], why: str, command: Command) -> None:
    status, _, err = command("thermodynamics", "no.zarr", *words)
    assert status == 2 and why in err and err.count("\n") == 1
