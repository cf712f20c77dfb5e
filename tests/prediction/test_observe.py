"""What `observe` refuses, and what it must leave alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import xarray as xr
from ase import Atoms
from distributed import Client

import maladist
from maladist import LDOSModel
from maladist.errors import StoreError

pytestmark = pytest.mark.filterwarnings("ignore:broadening correction:UserWarning")


@pytest.mark.parametrize("how", ["path", "dataset"])
def test_the_result_does_not_replace_the_ldos_that_it_is_computed_from(
    how: str, atoms: Atoms, model: LDOSModel, client: Client, tmp_path: Path
) -> None:
    store = tmp_path / "kept.zarr"
    kept = maladist.predict(atoms, model, grid=(6, 6, 9), client=client, store=store, keep=("ldos",))
    ldos = store if how == "path" else xr.open_zarr(store, chunks={}, consolidated=False)
    with pytest.raises(StoreError, match="holds the LDOS that is read"):
        maladist.observe(ldos, client=client, store=store, overwrite=True)
    assert maladist.observe(store, client=client).fermi_energy == pytest.approx(kept.fermi_energy, abs=1e-6)
