"""`diffraction` on the command line: its table, picture and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import xarray as xr

from tests.cli.conftest import Command, StandIn


def test_lines_become_a_table_a_picture_and_json(tmp_path: Path, command: Command, stand_in: StandIn) -> None:
    lines = {"two_theta": [30.0, 40.0], "intensity": [100.0, 0.01], "multiplicity": [6, 2]}
    variables = {name: (("line",), np.array(values)) for name, values in lines.items()}
    more = {
        "line_miller": (("line", "index"), np.array([[1, 0, 0], [0, 0, 2]])),
        "miller": (("wave", "index"), np.array([[1, 0, 0]])),
        "structure_factor": (("wave",), np.array([1.0 + 2.0j])),
    }
    found = xr.Dataset({**variables, **more}, attrs={"wavelength_A": 1.0, "notes": ["valence"]})
    calls, figures, picture = stand_in("maladist.diffraction", found), tmp_path / "x.json", tmp_path / "x.png"
    words = ("--wavelength", 1, "--angle", 50, "--json", figures, "--plot", picture)
    status, out, err = command("diffraction", "be.zarr", *words)
    assert status == 0 and "note: valence" in err and picture.exists()
    assert calls[0] == ((Path("be.zarr"),), {"wavelength": 1.0, "angle": 50.0})
    assert [line.split() for line in out.splitlines()[1:]] == [["30.000", "1", "0", "0", "6", "100.00"]]
    told = json.loads(figures.read_text())
    assert told["structure_factors"] == {"miller": [[1, 0, 0]], "real": [1.0], "imaginary": [2.0]}


def test_a_store_that_is_none_is_one_line(command: Command) -> None:
    status, _, err = command("diffraction", "no.zarr")
    assert status == 2 and "no.zarr" in err and err.count("\n") == 1
