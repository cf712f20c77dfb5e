"""What `xarray.open_zarr` shows of a finished store: no warning, the contract's order, coordinates, fields that know"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from maladist import metadata
from maladist.energy_grid import EnergyGrid
from maladist.errors import StoreError
from maladist.grid import Grid
from maladist.io import stores
from maladist.io.memory import Memory
from maladist.io.opening import open_dataset
from maladist.io.stores import field_template

ENERGIES = EnergyGrid(-2.0, 0.5, 4, "gaussian", 0.2)
ALONG = Grid([[3.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 5.0]], (6, 4, 5))
OBLIQUE = Grid([[3.0, 0.0, 0.0], [1.0, 4.0, 0.0], [0.0, 0.0, 5.0]], (6, 4, 5))


def made(path: stores.Where, grid: Grid) -> xr.Dataset:
    """A finished store with an LDOS, a density and small variables, written in no order; as xarray opens it."""
    shape = grid.shape
    ldos = stores.ArrayTemplate((*shape, 4), (3, 4, 5, 4), ("x", "y", "z", "energy"), "float32", "1/(eV Å^3)")
    work = stores.ArrayTemplate((4,), (1,), ("block",))
    arrays = {"ldos": ldos, "work/x": work, "density": field_template("density", shape, shape)}
    store = stores.create(path, arrays, metadata.grid_attributes(grid))
    stores.write_region(store, "ldos", (), np.ones((*shape, 4), np.float32))
    stores.write_region(store, "density", (), np.ones(shape))
    values: dict[str, tuple[tuple[str, ...], np.ndarray, str]] = {
        "total_free_energy_eV": ((), np.float64(-1.0), "eV"),
        "run/start": (("task",), np.zeros(2), "s"),
        "dos": (("energy",), np.ones(4), "1/eV"),
        "energy": (("energy",), ENERGIES.values, "eV"),
        "number": (("atom",), np.array([4], np.int16), "1"),
        "position": (("atom", "xyz"), np.zeros((1, 3)), "Å"),
    }
    stores.write_values(store, values)
    # As `convert` learns the broadening: after the arrays have been made.
    more = {"broadening_correction": True, "n_electrons": 4.0, "temperature_K": 1000.0, "xc": None}
    stores.set_attributes(store, {**metadata.energy_attributes(ENERGIES), **more})
    stores.finish(store)
    return store.dataset() if isinstance(store, Memory) else xr.open_zarr(path)


def test_it_opens_without_a_warning_and_in_the_order_of_the_contract(tmp_path: Path) -> None:
    dataset = made(tmp_path / "a.zarr", OBLIQUE)  # warnings are errors
    assert list(dataset) == ["ldos", "density", "dos", "position", "number", "total_free_energy_eV"]
    assert list(dataset.coords) == ["x", "y", "z", "energy"]
    assert list(xr.open_zarr(tmp_path / "a.zarr", group="run")) == ["start"]
    assert dataset.attrs["complete"] is True


def test_coordinates_are_fractions_and_angstroms_where_the_cell_lies_along_the_axes(tmp_path: Path) -> None:
    along, oblique = made(tmp_path / "a.zarr", ALONG), made(tmp_path / "o.zarr", OBLIQUE)
    for dataset in (along, oblique):
        assert np.array_equal(dataset["y"], [0.0, 0.25, 0.5, 0.75]) and dataset["y"].attrs["units"] == "1"
        assert float(dataset["density"].sel(x=0.51, method="nearest").x) == 0.5
    assert set(along.coords) == {"x", "y", "z", "x_A", "y_A", "z_A", "energy"}
    assert set(along["density"].coords) == {"x", "y", "z", "x_A", "y_A", "z_A"}
    assert np.allclose(along["z_A"], [0.0, 1.0, 2.0, 3.0, 4.0]) and along["z_A"].attrs["units"] == "Å"
    assert set(oblique.coords) == {"x", "y", "z", "energy"}


@pytest.mark.parametrize("grid", [ALONG, OBLIQUE])
def test_a_field_taken_from_the_store_knows_what_its_accessor_needs(grid: Grid, tmp_path: Path) -> None:
    dataset = made(tmp_path / "a.zarr", grid)
    assert dataset["density"].maladist.grid == dataset["ldos"].maladist.grid == grid
    assert dataset["density"].attrs["long_name"] == "electron density"
    assert dataset["dos"].maladist.energy_grid == ENERGIES and "energy_levels" not in dataset["energy"].attrs
    known = made(Memory(), grid)["ldos"]
    for ldos in (dataset["ldos"], known):
        assert ldos.maladist.energy_grid == ENERGIES
        assert ldos.maladist._correction(ENERGIES) is True and ldos.maladist._temperature(None) == 1000.0


def test_a_store_in_memory_looks_the_same(tmp_path: Path) -> None:
    xr.testing.assert_identical(
        made(Memory(), ALONG).drop_attrs(deep=False).load(),
        made(tmp_path / "a.zarr", ALONG).drop_attrs(deep=False).load(),
    )


def test_what_stands_together_is_for_other_readers_and_told_where_it_is_not_what_the_files_say(tmp_path: Path) -> None:
    made(tmp_path / "a.zarr", ALONG)
    file = tmp_path / "a.zarr" / "zarr.json"
    facts = json.loads(file.read_text())
    together = facts["consolidated_metadata"]["metadata"]
    assert "run/start" in together and not any({"digests", "work"} & {*name.split("/")} for name in together)
    together["density"]["shape"] = [1, 1, 1]
    file.write_text(json.dumps(facts))
    with pytest.raises(StoreError, match="the metadata of its density are changed"):
        open_dataset(tmp_path / "a.zarr")
    assert stores.read_region(tmp_path / "a.zarr", "density").shape == (6, 4, 5)


def test_a_store_of_an_earlier_version_has_none_of_it_and_opens(tmp_path: Path) -> None:
    made(tmp_path / "a.zarr", ALONG)
    file = tmp_path / "a.zarr" / "zarr.json"
    facts = json.loads(file.read_text())
    del facts["consolidated_metadata"], facts["attributes"]["grid"]
    file.write_text(json.dumps(facts))
    for name in ("x", "y", "z", "x_A", "y_A", "z_A"):
        stores.remove(tmp_path / "a.zarr" / name)
    stores.seal(tmp_path / "a.zarr")
    dataset = open_dataset(tmp_path / "a.zarr")
    assert set(dataset.coords) == {"energy"} and metadata.grid_of(dataset) == ALONG
