"""The data contract and the checks of atoms."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st

from maladist import schema
from maladist.errors import AtomsError, GridError, StoreError
from maladist.grid import Grid
from maladist.physics.system import System, wrapped
from maladist.testing import be_atoms


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


def test_grids_come_back_from_a_data_set() -> None:
    schema.validate(dataset(), ("ldos", "energy", "cell"))
    assert schema.grid_of(dataset()).shape == (2, 3, 4)
    assert schema.energy_grid_of(dataset()).kernel == "gaussian"


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


def test_a_cell_of_six_numbers_and_an_unknown_kernel_are_refused() -> None:
    with pytest.raises(StoreError, match="nine numbers"):
        schema.grid_of(dataset().assign_attrs(cell=[1.0] * 6))
    with pytest.raises(GridError, match="broadening_kernel"):
        schema.energy_grid_of(dataset().assign_attrs(broadening_kernel="boxcar"))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.0, 0.2))
def test_coincident_atoms_are_found_across_every_face_and_others_are_not(seed: int, distance: float) -> None:
    rng = np.random.default_rng(seed)
    cell = np.diag([5.0, 6.0, 7.0]) + rng.uniform(-1, 1, (3, 3))
    corner = rng.choice([0.0, 0.5, 1.0], 3) @ cell
    direction = rng.standard_normal(3)
    second = corner + distance * direction / np.linalg.norm(direction) + rng.integers(-2, 3, 3) @ cell
    atoms = Atoms("Be2", positions=[corner, second], cell=cell, pbc=True)
    if distance < 0.0999:
        with pytest.raises(AtomsError, match="atoms 0 and 1"):
            schema.check_atoms(atoms)
    elif distance > 0.1001:
        schema.check_atoms(atoms)


@pytest.mark.parametrize(
    ("cell", "positions", "numbers", "words"),
    [
        (np.eye(3), [[0, 0, 0]], [4], "placeholder"),
        (np.eye(3) * 1e10, [[0, 0, 0]], [4], "lattice vectors"),
        (np.diag([3, 3, np.inf]), [[0, 0, 0]], [4], "lattice vectors"),
        (np.diag([3, 3, np.nan]), [[0, 0, 0]], [4], "lattice vectors"),
        (np.diag([3.0, 3.0, 0.0]), [[0, 0, 0]], [4], "linearly independent"),
        (np.eye(3) * 1.1, np.random.default_rng(0).random((20, 3)), [4] * 20, "units"),
        (np.eye(3) * 3, [[0, 0, 1e300]], [4], "beyond"),
        (np.eye(3) * 3, [[0, 0, np.nan]], [4], "not finite"),
        (np.eye(3) * 3, [[0, 0, 0]], [0], "atomic number 0"),
        (np.eye(3) * 3, [[0, 0, 0]], [119], "atomic number 119"),
    ],
)
def test_cells_and_atoms_that_cannot_be(cell: np.ndarray, positions: object, numbers: list[int], words: str) -> None:
    with pytest.raises(AtomsError, match=words):
        schema.check_atoms(Atoms(numbers=numbers, positions=positions, cell=cell, pbc=True))


def test_unusual_cells_that_can_be_pass() -> None:
    schema.check_atoms(Atoms("H", cell=[1.0, 1.0, 1.1], pbc=True))  # dense hydrogen
    schema.check_atoms(Atoms("Be", [[5e5, 0, 0]], cell=[3, 3, 3], pbc=True))  # drifted, unwrapped
    schema.check_atoms(Atoms("Be2", [[0, 0, 0], [0, 0, 2]], cell=[3, 3, 5e4], pbc=True))  # a wire


def test_what_is_not_atoms_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AtomsError, match="a str"):
        schema.check_atoms("be.xyz")  # type: ignore[arg-type]
    with pytest.raises(AtomsError, match="no atoms"):
        schema.check_atoms(Atoms(cell=[1, 1, 1], pbc=True))


def test_a_system_comes_back_from_the_attributes_that_were_written() -> None:
    grid = Grid(be_atoms().cell.array.tolist(), (3, 4, 5))
    numbers = np.array([4, 4], np.int16)
    for temperatures in ((), (300.0,), (300.0, 1000.0)):
        written = System(grid, wrapped(be_atoms(), grid), numbers, {}, "pbe", 250.0, 4.0, temperatures, True)
        stored = xr.Dataset(
            {
                "density": (("x", "y", "z"), np.zeros(grid.shape)),
                "position": (("atom", "xyz"), written.positions),
                "number": (("atom",), numbers),
            },
            attrs=json.loads(json.dumps(schema.system_attributes(written))),
        )
        back = schema.read_system(stored, {})
        for name in ("grid", "xc", "density_cutoff", "n_electrons", "temperatures", "correction"):
            assert getattr(back, name) == getattr(written, name), name
        np.testing.assert_array_equal(back.positions, written.positions)


def test_a_system_of_data_that_tell_nothing_says_so() -> None:
    bare = dataset().assign(position=(("atom", "xyz"), np.zeros((1, 3))), number=(("atom",), np.array([4])))
    known = schema.read_system(bare, {})
    assert (known.xc, known.density_cutoff, known.n_electrons, known.temperatures) == (None, None, None, ())


def test_the_density_of_the_double_counting_is_that_of_its_temperature_only() -> None:
    n = xr.DataArray(np.arange(24.0).reshape(2, 3, 4), dims=("x", "y", "z"))
    dft = xr.Dataset({"density": n}, attrs={"temperature_K": 300.0})
    two = xr.concat([n, n + 1], xr.DataArray([300.0, 1000.0], dims="temperature", name="temperature"))
    result = xr.Dataset({"density": two}, attrs={"temperature_K": [300.0, 1000.0], "reference_temperature_K": 1000.0})
    found = [schema.reference_density(d) for d in (dft, result, dft.assign_attrs(reference_temperature_K=300.000001))]
    assert [None if f is None else float(f[0, 0, 0]) for f in found] == [0.0, 1.0, 0.0]
    for other in (dft.assign_attrs(reference_temperature_K=500.0), dft.drop_vars("density")):
        assert schema.reference_density(other) is None
    assert schema.reference_density(result.assign_attrs(reference_temperature_K=500.0)) is None
