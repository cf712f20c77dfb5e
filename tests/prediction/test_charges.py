"""Electrons and D(ε) of atoms: nothing is lost, blocks do not matter, and what is no atom's is nobody's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from ase import Atoms
from distributed import Client

import maladist
from maladist.choices import Partitioning
from maladist.elements import Element
from maladist.errors import BlockError, InputError
from maladist.grid import Block, Blocks, Grid
from maladist.parallel.workers import Workers
from maladist.physics import bader
from maladist.prediction import charges as module
from tests.prediction.common import written

CELL = [[5.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 9.0]]


@pytest.fixture(scope="module")
def snapshot(small_data_set: Path) -> Path:
    """Four atoms of Be with their LDOS, by DFT."""
    return small_data_set / "snapshots" / "test-4-atoms"


def total(found: xr.Dataset, name: str) -> np.ndarray:
    """Sum over the atoms, what is no atom's, and the vacuum."""
    of_atoms = found["atom_dos" if name == "dos" else name].sum("atom")
    others = found[f"maximum_{name}"].sum("maximum") if f"maximum_{name}" in found else 0.0
    vacuum = found.get(f"vacuum_{name}", 0.0)
    return np.asarray(of_atoms + others + vacuum)


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
def test_separate_atoms_have_their_own_electrons(method: Partitioning, tmp_path: Path) -> None:
    elements = {"Cl": Element("Cl", 7.0), "Na": Element("Na", 1.0)}
    found = maladist.charges(salt(tmp_path / "n.zarr"), method=method, pseudopotentials=elements)
    # Of the tails some 1e-5 is beyond the surface: 2 Å, five widths.
    np.testing.assert_allclose(found["electrons"], [7.0, 1.0], atol=1e-4)
    np.testing.assert_allclose(found["net_charge"], 0.0, atol=1e-4)
    assert total(found, "electrons") == pytest.approx(8.0, abs=1e-6)
    assert total(found, "volume") == pytest.approx(225.0, rel=1e-12)
    assert method == "voronoi" or not found.sizes["maximum"]
    assert "atom_dos" not in found and "--keep ldos" in found.attrs["notes"][0]


@pytest.mark.parametrize("method", ["bader", "voronoi"])
def test_atoms_and_other_maxima_hold_all_electrons_and_all_levels_in_any_blocks(
    method: Partitioning, snapshot: Path, own_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(grid: Grid, _: object) -> Blocks:
        return grid.blocks((7, 5, 11))  # no whole chunks: each is read more than once

    files = own_data / "pseudopotentials"
    one = maladist.charges(snapshot, method=method, pseudopotentials=files)
    stored = xr.open_zarr(snapshot, consolidated=False)
    dv = abs(np.linalg.det(np.reshape(stored.attrs["cell"], (3, 3)))) / stored["density"].size
    assert total(one, "electrons") == pytest.approx(float(stored["density"].sum()) * dv, abs=1e-10)
    levels = stored["ldos"].astype(np.float64).sum(("x", "y", "z")).values * dv
    np.testing.assert_allclose(total(one, "dos"), levels, rtol=1e-12, atol=1e-12)
    monkeypatch.setattr(module, "_blocks", cut)
    xr.testing.assert_allclose(maladist.charges(snapshot, method=method, pseudopotentials=files), one, rtol=1e-9)


def test_blocks_are_whole_chunks_of_the_ldos_and_a_small_grid_is_one() -> None:
    """Each brick lies in one chunk, and together they are the block, also where that is a half of one."""
    small, large = Grid(np.eye(3).tolist(), (100, 100, 100)), Grid(np.eye(3).tolist(), (200, 130, 100))
    assert len(module._blocks(small, (14, 14, 12))) == 1
    assert module._blocks(large, (14, 51, 90)).block_shape == (56, 51, 90)
    assert module._blocks(large, (1, 1, 1)).block_shape == (64, 64, 64)
    block = Block(0, (5, 0, 14), (30, 7, 28))
    bricks = list(module._bricks(block, (14, 14, 14)))
    assert [b[0] for b in bricks] == [slice(5, 14), slice(14, 28), slice(28, 30)]
    assert all(b[1:] == (slice(0, 7), slice(14, 28)) for b in bricks)


@pytest.mark.slow
def test_workers_give_what_this_process_gives(snapshot: Path, own_data: Path, client: Client) -> None:
    files = own_data / "pseudopotentials"
    here = maladist.charges(snapshot, pseudopotentials=files)
    xr.testing.assert_identical(maladist.charges(snapshot, pseudopotentials=files, client=client), here)


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


def test_a_block_without_room_for_what_is_around_it_is_halved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for half of the cell: the basins reach over less than that from a part of it."""
    store = salt(tmp_path / "n.zarr")
    whole = maladist.charges(store)
    monkeypatch.setattr(bader, "_MARGIN", 0.5)
    monkeypatch.setattr(Workers, "room", lambda *_: 20 * 20 * 30 * bader.WINDOW_BYTES)
    with monkeypatch.context() as context:
        seen: list[Block] = []
        real = module.bader
        context.setattr(
            module, "bader", lambda read, grid, block, most: seen.append(block) or real(read, grid, block, most)
        )
        halved = maladist.charges(store)
    assert len(seen) > 2 and sum(b.n_points for b in seen[1:]) >= 20 * 20 * 36
    xr.testing.assert_allclose(halved, whole, rtol=1e-7)
