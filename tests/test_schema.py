"""The data contract and the checks of atoms."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from maladist import schema
from maladist.errors import StoreError


def dataset() -> xr.Dataset:
    return xr.Dataset(
        {"ldos": (("x", "y", "z", "energy"), np.zeros((2, 3, 4, 5), np.float32))},
        coords={"energy": np.arange(5.0)},
        attrs={
            "cell": np.diag([2.0, 3.0, 4.0]).ravel().tolist(),
            "broadening_kernel": "gaussian",
            "broadening_width_eV": 0.1,
        },
    )


def test_a_data_set_of_the_contract_is_taken() -> None:
    schema.validate(dataset(), ("ldos", "energy", "cell"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.drop_vars("ldos"), "no 'ldos'"),
        (lambda d: d.rename(x="u"), "dims"),
        (lambda d: d.assign_attrs(schema_version=99), "schema_version"),
        (lambda d: d.assign(ldos=d["ldos"].astype(int)), "dtype"),
    ],
)
def test_broken_contracts_are_named(change, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(StoreError, match=words):
        schema.validate(change(dataset()), ("ldos", "energy"), "data.zarr")
