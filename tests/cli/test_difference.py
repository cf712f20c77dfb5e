"""`difference` on the command line: what it hands over and prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import xarray as xr

from tests.cli.conftest import Command, StandIn


def test_the_integral_is_printed_and_written(tmp_path: Path, command: Command, stand_in: StandIn) -> None:
    about = {"integral": 1e-7, "moved_electrons": 0.25, "reference": "free atoms", "notes": ["scaled"]}
    calls = stand_in("maladist.difference", xr.Dataset(attrs=about))
    words = ("--pseudopotentials", "upf", "--output", tmp_path / "d.zarr", "--json", tmp_path / "d.json", "-T", 300)
    status, out, err = command("difference", "be.zarr", *words)
    assert status == 0 and "note: scaled" in err
    assert "less that of free atoms" in out and "integral +0.000000 electrons, moved 0.250000" in out
    (source, reference), named = calls[0]
    assert (source, reference, named["pseudopotentials"]) == (Path("be.zarr"), None, Path("upf"))
    assert (named["store"], named["temperature"], named["client"]) == (tmp_path / "d.zarr", 300.0, None)
    assert json.loads((tmp_path / "d.json").read_text()) == about


@pytest.mark.parametrize(("words", "why"), [((), "one of them"), (("--reference", "no.zarr"), "be.zarr")])
def test_what_cannot_be_done_is_one_line(words: tuple[object, ...], why: str, command: Command) -> None:
    status, _, err = command("difference", "be.zarr", *words)
    assert status == 2 and why in err and err.count("\n") == 1
