"""The picture of an STM image: its values, cells side by side, the outermost atoms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from ase import Atoms
from matplotlib.figure import Figure

from maladist.report.stm import stm_axes, write_plot


@pytest.mark.parametrize(
    ("constant", "title"),
    [({"height_A": 3.0}, "-0.5 V, 3 Å above the atoms"), ({"current": 1e-4}, "-0.5 V, $I$ = 0.0001 1/Å$^3$")],
)
def test_a_small_cell_is_drawn_several_times_with_its_outermost_atoms(
    constant: dict[str, float], title: str, tmp_path: Path
) -> None:
    atoms = Atoms("Be2", positions=[[1, 1, 4], [2, 3, 5]], cell=[3, 5, 15], pbc=True)
    about = {"cell": atoms.cell.array.ravel(), "grid": [6, 10, 30], "axis": "c", "outermost_A": 5.0, "bias_V": -0.5}
    image = xr.DataArray(np.arange(60.0).reshape(6, 10), dims=("x", "y"), attrs={**about, **constant})
    axes = Figure().subplots()
    stm_axes(axes, image, atoms)
    assert axes.get_title() == title
    drawn = np.ma.filled(axes.collections[0].get_array(), np.nan)
    assert np.nanmin(drawn) == 0 and np.nanmax(drawn) == 59
    # Three cells by two, and in each of them one atom of the outermost layer.
    circles = sorted(map(tuple, axes.collections[1].get_offsets().tolist()))
    np.testing.assert_allclose(circles, [(x, y) for x in (2.0, 5.0, 8.0) for y in (3.0, 8.0)])
    assert write_plot(image, tmp_path / "stm.png", atoms).stat().st_size > 5000
