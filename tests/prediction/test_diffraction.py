"""F(G) and the powder pattern of a store, read in slabs: the transform of the density, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

import maladist
from maladist.errors import StoreError
from maladist.io import stores
from maladist.prediction import diffraction as module
from tests.prediction.common import make_store, make_system


@pytest.fixture
def store(atoms: Atoms, tmp_path: Path) -> Path:
    system = make_system(atoms, None, core=False)
    made = make_store(tmp_path / "made.zarr", system)
    atoms_of = {"position": (("atom", "xyz"), system.positions, "Å"), "number": (("atom",), system.numbers, "1")}
    stores.write_values(made, atoms_of)
    stores.set_attributes(made, {"cell": system.grid.cell_array.ravel().tolist(), "n_electrons": 4.0})
    stores.finish(made)
    return tmp_path / "made.zarr"


def test_the_structure_factors_are_the_transform_of_the_density(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SLAB", 1000)  # of 15 planes of 252 points: five slabs
    dataset = module.open_dataset(store).isel(temperature=0)
    found = dataset.maladist.diffraction(angle=80.0)
    density = dataset["density"].values
    whole = np.fft.fftn(density) / density.size * abs(np.linalg.det(np.reshape(dataset.attrs["cell"], (3, 3))))
    np.testing.assert_allclose(found["structure_factor"], whole[tuple(found["miller"].values.T)], atol=1e-12)
    assert float(found["intensity"].max()) == 100.0 and int(found["multiplicity"].sum()) == found.sizes["wave"]
    assert "4 of the 8 electrons" in found.attrs["notes"][0]


def test_several_temperatures_are_refused(store: Path) -> None:
    with pytest.raises(StoreError, match="several temperatures"):
        maladist.diffraction(store)
