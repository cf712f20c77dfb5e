"""netCDF files, for programs that read no zarr."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import xarray as xr

from maladist.errors import DependencyError
from maladist.io.targets import check_file, whole


def write_netcdf(dataset: xr.Dataset, path: str | Path) -> Path:
    """Write a data set to a netCDF file, whose attributes do not nest: JSON text stands for those that do.

    Raises
    ------
    OutputError
        The file exists, or its folder does not or cannot be written.
    DependencyError
        netCDF4 is not installed.
    """
    if find_spec("netCDF4") is None:
        raise DependencyError("netCDF4", "it is not installed", "it, to write netCDF", "pip install netCDF4")
    path = check_file(path, "path", overwrite=False)
    plain = {k: json.dumps(v) if _nested(v) else v for k, v in dataset.attrs.items()}
    # netCDF has no null.
    known = {k: v for k, v in plain.items() if v is not None}
    with whole([path], "path") as (beside,):
        dataset.drop_attrs(deep=False).assign_attrs(known).to_netcdf(beside, engine="netcdf4")
    return path


def _nested(value: object) -> bool:
    if isinstance(value, list):  # netCDF has numbers in a row: the cell and the energies' parts are read as they are
        return not value or any(isinstance(v, bool) or not isinstance(v, int | float) for v in value)
    return isinstance(value, dict | bool)
