"""A density less another: the free atoms' sum from real space, no electrons in all, and slabs that fit together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

import maladist
from maladist.errors import InputError, PseudopotentialError, StoreError
from maladist.grid import Grid
from maladist.io.qe.upf import read_free_atom
from maladist.prediction import difference as module
from maladist.testing import be_atoms
from tests.prediction.common import two_temperatures, written

BE = "Be.own-pbe-nc-nlcc.UPF"
GRID = Grid(be_atoms().cell.array.tolist(), (20, 20, 32))


def free_atoms(atoms: Atoms, path: Path) -> np.ndarray:
    """Their density in real space, from the file's own radii and all images that reach the cell."""
    atom = read_free_atom(path)
    r, rho = atom.core_radii, atom.core_density
    assert r is not None and rho is not None
    points = np.stack(np.meshgrid(*(np.arange(n) / n for n in GRID.shape), indexing="ij"), axis=-1) @ GRID.cell_array
    total = np.zeros(GRID.shape)
    for shift in np.stack(np.meshgrid(*(np.arange(-4, 5),) * 3, indexing="ij"), axis=-1).reshape(-1, 3):
        for position in atoms.get_positions(wrap=True) + shift @ GRID.cell_array:
            distance = np.linalg.norm(points - position, axis=-1)
            total += np.interp(distance, r[1:], rho[1:], right=0.0) * (distance < 10 * 0.529177)
    return total


@pytest.fixture(scope="module")
def superposed(own_data: Path) -> np.ndarray:
    return free_atoms(be_atoms(), own_data / "pseudopotentials" / BE)


def test_the_free_atoms_are_those_of_the_file_in_real_space(
    superposed: np.ndarray, own_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bump = np.random.default_rng(0).standard_normal(GRID.shape)
    bump -= bump.mean()
    store = written(tmp_path / "n.zarr", superposed + 0.01 * bump, be_atoms())
    folder = own_data / "pseudopotentials"
    found = maladist.difference(store, pseudopotentials=folder, store=tmp_path / "d.zarr")
    # The atoms' tails beyond 10 bohr and linear interpolation between radii: 1e-3 of a density of 0.25.
    np.testing.assert_allclose(found["density_difference"], 0.01 * bump, atol=1e-3)
    assert found.attrs["integral"] == pytest.approx(float(superposed.sum() * GRID.voxel_volume) - 4.0, abs=1e-8)
    assert found.attrs["reference"] == "free atoms" and found.attrs["notes"] == []
    monkeypatch.setattr(module.Slabs, "ranges", lambda _, axis, grid, reals=0: ranges(grid.shape[axis]))
    thin = maladist.difference(store, pseudopotentials=folder, store=tmp_path / "thin.zarr")
    np.testing.assert_allclose(thin["density_difference"], found["density_difference"], rtol=0, atol=1e-14)
    assert not (tmp_path / "d.zarr" / "work").exists()


def ranges(n: int) -> list[tuple[int, int]]:
    return [(a, min(a + 3, n)) for a in range(0, n, 3)]


def test_another_store_is_taken_away_and_the_moved_electrons_are_half_of_what_differs(tmp_path: Path) -> None:
    wave = 0.1 * np.cos(2 * np.pi * np.arange(20) / 20)[:, None, None] * np.ones(GRID.shape)
    one, other = (written(tmp_path / f"{i}.zarr", 0.3 + i * wave, be_atoms()) for i in (2, 1))
    found = maladist.difference(one, other)
    np.testing.assert_allclose(found["density_difference"], wave, atol=1e-15)
    assert found.attrs["integral"] == pytest.approx(0.0, abs=1e-12) and found.attrs["reference"] == "1.zarr"
    assert found.attrs["moved_electrons"] == pytest.approx(np.abs(wave).mean() * GRID.volume / 2)


def test_what_cannot_be_compared_is_refused(atoms: Atoms, own_data: Path, tmp_path: Path) -> None:
    one = written(tmp_path / "one.zarr", np.full(GRID.shape, 0.3), atoms)
    small = written(tmp_path / "small.zarr", np.full((20, 20, 30), 0.3), atoms)
    for options in ({}, {"reference": one, "pseudopotentials": own_data / "pseudopotentials"}):
        with pytest.raises(InputError, match="one of them"):
            maladist.difference(one, **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="20×20×30"):
        maladist.difference(one, small)
    with pytest.raises(StoreError, match="holds the density"):
        maladist.difference(one, small, store=one, overwrite=True)
    with pytest.raises(InputError, match="none for Be"):
        maladist.difference(one, pseudopotentials=own_data / "pseudopotentials" / "Al.own-pbe-nc-nlcc.UPF")
    text = (own_data / "pseudopotentials" / BE).read_text()
    (tmp_path / "Be.UPF").write_text(text.replace("PP_RHOATOM", "PP_NOTHING"))
    with pytest.raises(PseudopotentialError, match="PP_RHOATOM"):
        maladist.difference(one, pseudopotentials=tmp_path / "Be.UPF")
    made_with = {"Be": {"file": "Be.other", "sha256": "0" * 64}}
    other = written(tmp_path / "other.zarr", np.full(GRID.shape, 0.3), atoms, pseudopotentials=made_with)
    with pytest.raises(InputError, match=r"Be\.other"):
        maladist.difference(other, pseudopotentials=own_data / "pseudopotentials")


def test_of_several_temperatures_one_is_chosen(atoms: Atoms, tmp_path: Path) -> None:
    two_temperatures(tmp_path / "two.zarr", atoms)
    found = maladist.difference(tmp_path / "two.zarr", tmp_path / "two.zarr", temperature=1000.0)
    assert found.attrs["moved_electrons"] == 0.0
    with pytest.raises(InputError, match="300, 1000"):
        maladist.difference(tmp_path / "two.zarr", tmp_path / "two.zarr")
