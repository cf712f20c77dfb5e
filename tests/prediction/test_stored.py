"""Parts of a density in a store: boxes that cross the ends of the cell, one temperature of several."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from maladist.errors import InputError
from maladist.io import stores
from maladist.prediction.stored import StoredDensity, stored_density
from tests.prediction.common import GRID, two_temperatures, written


@pytest.fixture
def path(atoms: Atoms, tmp_path: Path) -> Path:
    return two_temperatures(tmp_path / "two.zarr", atoms)


@pytest.mark.parametrize(("first", "size"), [((2, 3, 4), (5, 5, 5)), ((-3, 12, -20), (7, 9, 40)), ((0, 0, 0), GRID)])
def test_a_box_goes_on_with_the_next_cell(first: tuple[int, ...], size: tuple[int, ...], path: Path) -> None:
    whole = stores.read_region(path, "density")[1]
    at = (np.arange(a, a + m) % n for a, m, n in zip(first, size, GRID, strict=True))
    found = StoredDensity(str(path), 1).box(np.array(first), np.array(size), GRID)
    np.testing.assert_array_equal(found, whole[np.ix_(*at)])


def test_one_temperature_is_chosen(path: Path) -> None:
    dataset, density = stored_density(path, 1000.0, "source")
    assert density.temperature == 1 and dataset.sizes["temperature"] == 2
    np.testing.assert_array_equal(density.slab(2, 4), stores.read_region(path, "density")[1, 2:4])
    with pytest.raises(InputError, match="300, 1000 K"):
        stored_density(path, None, "source")


def test_a_temperature_that_a_store_of_one_has_not_is_refused(atoms: Atoms, tmp_path: Path) -> None:
    one = written(tmp_path / "one.zarr", np.ones(GRID), atoms, temperature_K=1000.0)
    assert stored_density(one, 1000.0, "source")[1].temperature is None
    with pytest.raises(InputError, match="77 K for a density at 1000 K"):
        stored_density(one, 77.0, "source")
    none = written(tmp_path / "none.zarr", np.ones(GRID), atoms)
    with pytest.raises(InputError, match="no temperature that is told"):
        stored_density(none, 1000.0, "source")
