"""`stm` and `potential` on the command line: what they hand over, write and print."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from ase import Atoms
from ase.io import write

from tests.cli.conftest import Command, StandIn

ATTRIBUTES = {"cell": [3.0, 0, 0, 0, 3.0, 0, 0, 0, 15.0], "grid": [4, 4, 20], "units": "1/Å^3", "long_name": "integral"}
IMAGE = xr.DataArray(
    np.arange(16.0).reshape(4, 4) + 1,
    dims=("x", "y"),
    name="stm",
    attrs={
        **ATTRIBUTES,
        "bias_V": -0.5,
        "fermi_energy_eV": 1.25,
        "axis": "c",
        "side": "top",
        "outermost_A": 5.0,
        "height_A": 3.0,
    },
)


@pytest.fixture
def slab(tmp_path: Path) -> Path:
    path = tmp_path / "slab.extxyz"
    write(path, Atoms("Be", positions=[[1, 1, 5]], cell=[3, 3, 15], pbc=True))
    return path


def test_a_model_is_asked_lazily_and_the_image_is_written_drawn_and_told(
    slab: Path, tmp_path: Path, command: Command, stand_in: StandIn
) -> None:
    predicted, calls = stand_in("maladist.ldos", "lazy"), stand_in("maladist.stm", IMAGE)
    made = {name: tmp_path / f"stm.{name}" for name in ("nc", "png", "json")}
    words = ("--output", made["nc"], "--plot", made["png"], "--json", made["json"], "--mu", 1.25, "--grid", 4, 4, 20)
    status, out, err = command("stm", slab, "--model", "be-1000K", "--bias", -0.5, "--height", 3, *words)
    assert status == 0, err
    assert predicted[0].named == {"grid": (4, 4, 20)} and str(predicted[0].positional[1]) == "be-1000K"
    (ldos, atoms), named = calls[0]
    assert ldos == "lazy" and len(atoms) == 1 and named["client"] is None
    assert (named["bias"], named["height"], named["current"], named["mu"]) == (-0.5, 3.0, None, 1.25)
    assert "3 Å above the outermost atoms" in out and "1 to 16, mean 8.5 1/Å^3" in out
    told = json.loads(made["json"].read_text())
    assert (told["height_A"], told["min"], told["max"], told["fermi_energy_eV"]) == (3.0, 1.0, 16.0, 1.25)
    with xr.open_dataset(made["nc"]) as kept:
        np.testing.assert_array_equal(kept["stm"], IMAGE)
    assert made["png"].stat().st_size > 5000


def test_options_that_would_do_nothing_are_refused(slab: Path, command: Command, no_cluster: None) -> None:
    common = ("--bias", 1, "--height", 3)
    status, _, err = command("stm", "some.zarr", *common, "--grid", 4, 4, 20)
    assert status == 2 and "without --model" in err
    status, _, err = command("stm", slab, *common, "--model", "be-1000K", "--atoms", slab)
    assert status == 2 and "beside --model" in err


def test_averages_and_work_functions_of_a_potential_are_told(
    tmp_path: Path, command: Command, stand_in: StandIn
) -> None:
    z = np.arange(30) / 30 * 15
    planar = np.where(np.abs(z - 5) < 3, -12.0, 3.0)
    attrs = {"cell": [3.0, 0, 0, 0, 3.0, 0, 0, 0, 15.0], "grid": [2, 2, 30]}
    found = xr.Dataset({"potential": (("x", "y", "z"), np.broadcast_to(planar, (2, 2, 30)))}, attrs=attrs)
    found["position"] = ("atom", "xyz"), np.array([[1.0, 1.0, 4.0], [1.0, 1.0, 6.0]])
    found["number"] = "atom", np.array([4, 4], np.int16)
    calls = stand_in("maladist.potential", found)
    words = (
        "--output",
        tmp_path / "v.zarr",
        "--pseudopotentials",
        "upf",
        "--period",
        2,
        "--xc",
        "--work-function",
        "--mu",
        -1.5,
    )
    made = {name: tmp_path / f"v.{name}" for name in ("png", "json")}
    status, out, err = command("potential", "n.zarr", *words, "--plot", made["png"], "--json", made["json"])
    assert status == 0, err
    assert calls[0].positional == (Path("n.zarr"), None)
    assert calls[0].named["pseudopotentials"] == Path("upf") and calls[0].named["store"] == tmp_path / "v.zarr"
    assert calls[0].named["xc"] is True
    assert "work function, top: 4.5000 eV" in out and "work function, bottom: 4.5000 eV" in out
    told = json.loads(made["json"].read_text())
    assert told["planar_average_eV"] == planar.tolist() and told["work_function_top_eV"] == 4.5
    assert len(told["macroscopic_average_eV"]) == 30 and made["png"].stat().st_size > 5000


def test_pseudopotentials_come_from_one_place(command: Command, no_cluster: None) -> None:
    for words in ((), ("--pseudopotentials", "upf", "--model", "be-1000K")):
        status, _, err = command("potential", "n.zarr", "--output", "v.zarr", *words)
        assert status == 2 and "--pseudopotentials FOLDER or --model FILE" in err
