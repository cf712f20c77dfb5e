"""`charges` on the command line: what it hands over, prints and writes."""

from __future__ import annotations

import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
import xarray as xr

from maladist import schema
from maladist.testing import be_atoms
from tests.cli.conftest import Command, StandIn


def found(n: int = 1) -> xr.Dataset:
    """Charges of n cells of two atoms and a maximum of none."""
    atoms = be_atoms((n, 1, 1))
    variables = {
        "position": (("atom", "xyz"), atoms.positions),
        "number": ("atom", atoms.numbers),
        "electrons": ("atom", np.linspace(1, 2, 2 * n)),
        "net_charge": ("atom", np.linspace(1, 0, 2 * n)),
        "volume": ("atom", np.full(2 * n, 7.0)),
        "atom_dos": (("atom", "energy"), np.ones((2 * n, 3))),
        "maximum_electrons": ("maximum", [0.5]),
    }
    about = {"cell": atoms.cell.array.ravel().tolist(), "method": "bader", "notes": ["a maximum"]}
    return xr.Dataset(variables, {"energy": [0.0, 1.0, 2.0]}, {**about, "schema_version": schema.SCHEMA_VERSION})


def test_each_of_few_atoms_is_printed_and_the_atoms_are_written(
    tmp_path: Path, command: Command, stand_in: StandIn
) -> None:
    calls = stand_in("maladist.charges", found())
    words = ("--pseudopotentials", "upf", "--output", tmp_path / "c.extxyz", "--json", tmp_path / "c.json", "-T", 300)
    status, out, err = command("charges", "be.zarr", *words, "--plot", tmp_path / "c.png", "--radius", 0.8)
    assert status == 0 and "note: a maximum" in err
    assert "0  Be" in out and "1.0000" in out and "together 3.500000 electrons, 0.500000 of them in 1 basins" in out
    (source,), named = calls[0]
    assert (source, named["pseudopotentials"], named["radius"]) == (Path("be.zarr"), Path("upf"), 0.8)
    assert (named["method"], named["temperature"], named["client"]) == ("bader", 300.0, None)
    assert json.loads((tmp_path / "c.json").read_text())["maximum_electrons"] == [0.5]
    back = ase.io.read(tmp_path / "c.extxyz")
    assert back.arrays["dos"].shape == (2, 3) and back.info["electrons_of_no_atom"] == 0.5
    np.testing.assert_allclose(back.arrays["electrons"], [1.0, 2.0])
    assert (tmp_path / "c.png").stat().st_size > 1000


def test_of_many_atoms_the_elements_are_printed_with_their_range(command: Command, stand_in: StandIn) -> None:
    stand_in("maladist.charges", found(20))
    status, out, _ = command("charges", "be.zarr", "--method", "voronoi")
    assert status == 0 and "40" in out and "1.500 (1.000 to 2.000)" in out


def test_a_models_elements_are_handed_over(folder: Path, command: Command, stand_in: StandIn) -> None:
    calls = stand_in("maladist.charges", found())
    assert command("charges", "be.zarr", "--model", folder / "model.maladist").status == 0
    assert calls[0].named["pseudopotentials"]["Be"].valence == 2.0
    status, _, err = command("charges", "be.zarr", "--model", folder / "model.maladist", "--pseudopotentials", "upf")
    assert status == 2 and "beside --model" in err


@pytest.mark.parametrize(("words", "why"), [(("--output", "c.xyz"), "extxyz"), (("--method", "hirshfeld"), "method")])
def test_what_cannot_be_done_is_said_before_anything_is_read(
    words: tuple[object, ...], why: str, command: Command
) -> None:
    status, _, err = command("charges", "be.zarr", *words)
    assert status == 2 and why in err.lower()
