"""netCDF of a result as xarray opens it."""

from __future__ import annotations

from pathlib import Path

import pytest
import xarray as xr

from maladist import metadata
from maladist.errors import OutputError
from tests.io.test_conventions import ALONG, made


def test_what_open_zarr_gives_is_written_whole(tmp_path: Path) -> None:
    dataset = made(tmp_path / "a.zarr", ALONG).assign_attrs(seconds={"wall": 1.5}, notes=["one"], model=None)
    assert dataset.maladist.to_netcdf(tmp_path / "a.nc") == tmp_path / "a.nc"
    with xr.open_dataset(tmp_path / "a.nc") as back:
        assert set(back.variables) == set(dataset.variables) and set(back.coords) == set(dataset.coords)
        assert back.attrs["seconds"] == '{"wall": 1.5}' and "model" not in back.attrs
        assert back["density"].maladist.grid == ALONG
        # The data set too is read as it is: its cell is numbers, no text.
        assert metadata.grid_of(back) == ALONG
    with pytest.raises(OutputError, match="exists"):
        dataset.maladist.to_netcdf(tmp_path / "a.nc")
