"""Electrons and D(ε) of atoms: nothing is lost, blocks do not matter, and what is no atom's is nobody's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from ase import Atoms
from distributed import Client

import maladist
from maladist.elements import Element
from maladist.errors import BlockError, InputError, PseudopotentialError
from maladist.grid import Blocks, Grid
from maladist.io import stores
from maladist.parallel.workers import Workers
from maladist.prediction import charges as module
from maladist.prediction.charges import charged_atoms
from maladist.testing import sic_elements
from tests.prediction.common import written

CELL = [[5.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 9.0]]


@pytest.fixture(scope="module")
def snapshot(small_data_set: Path) -> Path:
    """Four atoms of Be with their LDOS, by DFT."""
    return small_data_set / "snapshots" / "test-4-atoms"


def total(found: xr.Dataset, name: str) -> np.ndarray:
    """Sum over the atoms, and over what is no atom's."""
    of_atoms = found["atom_dos" if name == "dos" else name].sum("atom")
    others = found[f"maximum_{name}"].sum("maximum") if f"maximum_{name}" in found else 0.0
    return np.asarray(of_atoms + others)


def salt(path: Path, **more: object) -> Path:
    """Two Gaussians of 7 and 1 electrons, so narrow that they do not meet, 4 and 5 Å apart."""
    grid = Grid(CELL, (20, 20, 36))
    atoms = Atoms("ClNa", positions=[[2.5, 2.5, 2.0], [2.5, 2.5, 6.0]], cell=CELL, pbc=True)
    density = np.zeros(grid.n_points)
    for position, electrons in zip(atoms.positions, (7.0, 1.0), strict=True):
        away = grid.points() - position
        away -= np.round(away / np.diag(CELL)) * np.diag(CELL)
        density += electrons * (2 * np.pi * 0.4**2) ** -1.5 * np.exp(-(away**2).sum(axis=1) / (2 * 0.4**2))
    return written(path, density.reshape(grid.shape), atoms, **more)


@pytest.mark.parametrize("method", ["bader", "voronoi"])
def test_separate_atoms_have_their_own_electrons(method: module.Method, tmp_path: Path) -> None:
    elements = {"Cl": Element("Cl", 7.0), "Na": Element("Na", 1.0)}
    found = maladist.charges(salt(tmp_path / "n.zarr"), method=method, pseudopotentials=elements)
    # Of the tails some 1e-5 is beyond the surface: 2 Å, five widths.
    np.testing.assert_allclose(found["electrons"], [7.0, 1.0], atol=1e-4)
    np.testing.assert_allclose(found["net_charge"], 0.0, atol=1e-4)
    assert float(found["volume"].sum()) == pytest.approx(225.0, rel=1e-12)
    assert method == "voronoi" or not found.sizes["maximum"]
    assert "atom_dos" not in found and "--keep ldos" in found.attrs["notes"][0]


@pytest.mark.parametrize("method", ["bader", "voronoi"])
def test_atoms_and_other_maxima_hold_all_electrons_and_all_levels_in_any_blocks(
    method: module.Method, snapshot: Path, own_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(_: object, grid: Grid, *__: object) -> Blocks:
        return grid.blocks((7, 5, 11))

    files = own_data / "pseudopotentials"
    one = maladist.charges(snapshot, method=method, pseudopotentials=files)
    stored = xr.open_zarr(snapshot, consolidated=False)
    dv = abs(np.linalg.det(np.reshape(stored.attrs["cell"], (3, 3)))) / stored["density"].size
    assert total(one, "electrons") == pytest.approx(float(stored["density"].sum()) * dv, abs=1e-10)
    levels = stored["ldos"].astype(np.float64).sum(("x", "y", "z")).values * dv
    np.testing.assert_allclose(total(one, "dos"), levels, rtol=1e-12, atol=1e-12)
    monkeypatch.setattr(module, "_blocks", cut)
    xr.testing.assert_allclose(maladist.charges(snapshot, method=method, pseudopotentials=files), one, rtol=1e-9)


@pytest.mark.slow
def test_workers_give_what_this_process_gives(snapshot: Path, own_data: Path, client: Client) -> None:
    files = own_data / "pseudopotentials"
    here = maladist.charges(snapshot, pseudopotentials=files)
    xr.testing.assert_identical(maladist.charges(snapshot, pseudopotentials=files, client=client), here)


def test_a_maximum_between_atoms_is_given_to_none_and_a_core_charge_gives_each_atom_its_own(
    snapshot: Path, own_data: Path
) -> None:
    """The pseudo-density of beryllium has holes where its atoms are."""
    bare = maladist.charges(snapshot)
    assert not bare["electrons"].any() and float(bare["maximum_distance"].min()) > 0.6
    assert float(bare["maximum_electrons"].sum()) == pytest.approx(8.0, abs=1e-3)
    first, second = bare.attrs["notes"]
    assert first.startswith("maxima of n that belong to no atom") and "(radius)" in first
    assert "4 of 4 atoms have no maximum of n" in second and "cores of Be" in second
    cored = maladist.charges(snapshot, pseudopotentials=own_data / "pseudopotentials")
    assert float(cored["electrons"].min()) > 1.0 and "atoms have no" not in "".join(cored.attrs["notes"])
    given = maladist.charges(snapshot, radius=3.0)  # for who wants it: each maximum to its nearest atom
    assert float(given["electrons"].sum()) == pytest.approx(8.0, abs=1e-3) and not given.sizes["maximum"]


def test_net_charges_are_valences_less_electrons(temperatures: Path) -> None:
    """Carbon is charged at silicon's cost; without pseudopotentials nothing tells the valences of two elements."""
    snapshot = temperatures / "snapshots" / "sic-300K"
    told = stores.attributes(snapshot)["pseudopotentials"]
    elements = {s: replace(e, sha256=told[s]["sha256"]) for s, e in sic_elements().items()}
    found = maladist.charges(snapshot, method="voronoi", pseudopotentials=elements)
    np.testing.assert_allclose(found["net_charge"], 4 - found["electrons"])
    assert float(found["net_charge"].sum()) == pytest.approx(0.0, abs=1e-4)
    assert float(found["net_charge"][0]) > 1  # of Si
    assert "net_charge" not in maladist.charges(snapshot, method="voronoi")
    with pytest.raises(PseudopotentialError, match="another file for C"):
        maladist.charges(snapshot, pseudopotentials=sic_elements() | {"C": replace(elements["C"], sha256="0" * 64)})
    with pytest.raises(PseudopotentialError, match="none for Si"):
        maladist.charges(snapshot, pseudopotentials={"C": elements["C"]})


def test_what_cannot_be_done_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = salt(tmp_path / "n.zarr")
    with pytest.raises(InputError, match="bader or voronoi"):
        maladist.charges(store, method="hirshfeld")  # type: ignore[arg-type]
    for options in ({"radius": 0.0}, {"radius": 1.0, "method": "voronoi"}):
        with pytest.raises(InputError, match="radius"):
            maladist.charges(store, **options)  # type: ignore[arg-type]
    monkeypatch.setattr(Workers, "room", lambda *_: 1000)
    with pytest.raises(BlockError, match="larger workers"):
        maladist.charges(store)


def test_atoms_for_a_file_have_the_numbers_as_arrays(snapshot: Path) -> None:
    found = maladist.charges(snapshot)
    atoms = charged_atoms(found)
    np.testing.assert_array_equal(atoms.arrays["dos"], found["atom_dos"])
    np.testing.assert_array_equal(atoms.info["dos_energy_eV"], found["energy"])
    assert set(atoms.arrays) >= {"electrons", "volume", "net_charge"}
    assert atoms.info["electrons_of_no_atom"] == pytest.approx(8.0, abs=1e-3) and atoms.info["method"] == "bader"
