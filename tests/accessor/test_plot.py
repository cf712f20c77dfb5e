"""`.maladist.plot`: pictures of the field, of no block more than is looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

import maladist
from maladist.report.figures import in_plane

pytestmark = pytest.mark.filterwarnings("ignore:broadening correction")


def test_a_picture_of_a_plane_computes_only_its_blocks(
    field: xr.DataArray, result: maladist.Prediction, computed: list[int]
) -> None:
    density = field.maladist.density(result.fermi_energy)
    axes = density.maladist.plot.slice("c", 3 / 20, ax=Figure().subplots())
    assert len(computed) == 12
    drawn = axes.collections[0].get_array()
    exact = in_plane(result.density.isel(z=3).values, *result.grid.cell_array[:2])[2]
    np.testing.assert_allclose(np.ma.filled(drawn, np.nan).reshape(exact.shape), exact, rtol=1e-9)
    assert axes.get_aspect() == 1.0 and "0.15 c" in axes.get_title()
    computed.clear()
    levels = field.sel(energy=1.0, method="nearest")
    assert levels.isel(y=0).maladist.plot.slice(ax=Figure().subplots()).get_xlabel() == "along a (Å)"
    assert len(computed) == 9


def test_the_colours_of_a_signed_field_are_symmetric_about_zero(result: maladist.Prediction) -> None:
    field = result.density.copy(data=result.density.values - float(result.density.mean()))
    mesh = field.maladist.plot.slice("c", ax=Figure().subplots(), signed=True).collections[0]
    low, high = mesh.get_clim()
    assert low == -high < 0 and mesh.get_cmap().name == "RdBu_r"


def test_an_isosurface_shows_itself(result: maladist.Prediction, tmp_path: Path) -> None:
    surface = result.density.maladist.plot.isosurface(atoms=result.atoms)
    assert "<iframe srcdoc=" in surface._repr_html_() and surface._repr_png_().startswith(b"\x89PNG")
    assert '"name": "n"' in surface.save(tmp_path / "n.html").read_text()
    assert result.dataset.maladist.plot.isosurface().data == surface.data
