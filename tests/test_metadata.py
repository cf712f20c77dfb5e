"""Grid, energies and system come back from the attributes that tell them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from ase import Atoms
from ase.build import bulk

from maladist import metadata
from maladist.errors import GridError, InputError, StoreError
from maladist.grid import Grid
from maladist.physics.system import System, wrapped
from maladist.testing import be_atoms
from tests.test_schema import dataset


def test_grids_come_back_from_a_data_set() -> None:
    assert metadata.grid_of(dataset()).shape == (2, 3, 4)
    assert metadata.energy_grid_of(dataset()).kernel == "gaussian"


def test_a_cell_of_six_numbers_and_an_unknown_kernel_are_refused() -> None:
    with pytest.raises(StoreError, match="nine numbers"):
        metadata.grid_of(dataset().assign_attrs(cell=[1.0] * 6))
    with pytest.raises(GridError, match="broadening_kernel"):
        metadata.energy_grid_of(dataset().assign_attrs(broadening_kernel="boxcar"))


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
            attrs=json.loads(json.dumps(metadata.system_attributes(written))),
        )
        back = metadata.read_system(stored, {})
        for name in ("grid", "xc", "density_cutoff", "n_electrons", "temperatures", "correction"):
            assert getattr(back, name) == getattr(written, name), name
        np.testing.assert_array_equal(back.positions, written.positions)


def test_a_system_of_data_that_tell_nothing_says_so() -> None:
    bare = dataset().assign(position=(("atom", "xyz"), np.zeros((1, 3))), number=(("atom",), np.array([4])))
    known = metadata.read_system(bare, {})
    assert (known.xc, known.density_cutoff, known.n_electrons, known.temperatures) == (None, None, None, ())


def test_the_density_of_the_double_counting_is_that_of_its_temperature_only() -> None:
    n = xr.DataArray(np.arange(24.0).reshape(2, 3, 4), dims=("x", "y", "z"))
    dft = xr.Dataset({"density": n}, attrs={"temperature_K": 300.0})
    two = xr.concat([n, n + 1], xr.DataArray([300.0, 1000.0], dims="temperature", name="temperature"))
    result = xr.Dataset({"density": two}, attrs={"temperature_K": [300.0, 1000.0], "reference_temperature_K": 1000.0})
    found = [metadata.reference_density(d) for d in (dft, result, dft.assign_attrs(reference_temperature_K=300.000001))]
    assert [None if f is None else float(f[0, 0, 0]) for f in found] == [0.0, 1.0, 0.0]
    for other in (dft.assign_attrs(reference_temperature_K=500.0), dft.drop_vars("density")):
        assert metadata.reference_density(other) is None
    assert metadata.reference_density(result.assign_attrs(reference_temperature_K=500.0)) is None


def data_of(atoms: Atoms) -> xr.Dataset:
    variables = {"position": (("atom", "xyz"), atoms.positions), "number": (("atom",), atoms.numbers)}
    grid = {"density": (("x", "y", "z"), np.ones((4, 5, 6)))}
    return xr.Dataset(variables | grid, attrs={"cell": atoms.cell.array.ravel().tolist()})


def test_atoms_given_beside_those_of_the_data_must_be_the_same() -> None:
    """In their place, without a word, others gave energies and potentials of a crystal that is not there."""
    atoms = bulk("AlAs", "zincblende", a=5.6)
    data, same = data_of(atoms), atoms.copy()
    same.positions += [0.001, 0.0, 0.0] + atoms.cell.array[1]  # rounding of a file, and another image
    assert metadata.known_atoms(data, same, "LDOS") is same
    assert metadata.known_atoms(data, None, "LDOS") == atoms
    moved, swapped, strained = atoms.copy(), atoms.copy(), atoms.copy()
    moved.positions[1, 2] += 0.37
    swapped.symbols = ["As", "Al"]
    strained.set_cell(1.01 * atoms.cell.array, scale_atoms=True)
    for given, said in (
        (moved, "atom 1 .As. 0.37 Å from where it is"),
        (swapped, "AsAl in the order of the file, not AlAs"),
        (atoms * (1, 1, 1) + Atoms("H", [[1.0, 1.0, 1.0]]), "AlAsH in the order of the file, not AlAs"),
        (strained, "a cell that is not that of the LDOS"),
    ):
        with pytest.raises(InputError, match=said):
            metadata.known_atoms(data, given, "LDOS")


def test_data_without_atoms_take_those_that_are_given() -> None:
    atoms = bulk("AlAs", "zincblende", a=5.6)
    bare = data_of(atoms).drop_vars(["position", "number"])
    assert metadata.known_atoms(bare, atoms, "density") is atoms
    with pytest.raises(StoreError, match="no atoms"):
        metadata.known_atoms(bare, None, "density")
