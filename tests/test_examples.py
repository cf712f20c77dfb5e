"""Examples that come with the package: there, typed as they say, unpacked whole, and without the repository."""

from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from ase import Atoms

from maladist import examples, metadata
from maladist.errors import InputError, ModelError, OutputError
from maladist.io.qe.upf import read_pseudopotentials
from maladist.io.shipped import DATA, shipped_models


def test_their_own_examples_print_what_they_say() -> None:
    found = doctest.testmod(examples)
    assert found.attempted >= 6 and not found.failed


def test_beryllium_is_that_of_the_shipped_models_data() -> None:
    two, eight = examples.beryllium(), examples.beryllium(2, 2, 1)
    assert two.cell.cellpar() == pytest.approx([2.2866, 2.2866, 3.5833, 90, 90, 120])
    assert len(two) == 2 and len(eight) == 8 and two.pbc.all()


@pytest.mark.parametrize("repeat", [(2,), (2, 2), (2, 2, 0)])
def test_repeats_that_are_not_three_positive_numbers_are_refused(repeat: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="three positive numbers"):
        examples.beryllium(*repeat)


@pytest.mark.parametrize("name", sorted(shipped_models()))
def test_each_shipped_model_has_a_cell_with_what_dft_says(name: str) -> None:
    cell = examples.held_out(name)
    assert cell.arrays["dft_forces"].shape == (len(cell), 3) and cell.info["dft_total_free_energy_eV"] < 0


def test_a_model_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(ModelError, match=r"'be'.*al-933K, be-1000K, be-1000K-2"):
        examples.held_out("be")


def test_the_data_set_is_unpacked_once_and_whole(tmp_path: Path) -> None:
    store = examples.small_data_set(tmp_path / "new")
    names = {p.name for p in (store / "snapshots").iterdir() if p.is_dir()}
    assert names == {"train-0", "train-1", "train-2", "valid-0", "test-4-atoms"}
    mark = store / "mark"
    mark.touch()
    assert examples.small_data_set(tmp_path / "new") == store and mark.exists()
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["be_small.zarr"]
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file is a file"):
        examples.small_data_set(tmp_path / "file")


def test_the_slab_tells_what_images_of_it_need(tmp_path: Path) -> None:
    found = xr.open_zarr(examples.slab(tmp_path), consolidated=False)
    atoms, energies = metadata.atoms_of(found), metadata.energy_grid_of(found)
    np.testing.assert_allclose(energies.values, found.energy, atol=1e-9)
    assert metadata.grid_of(found).shape == found.density.shape == found.ldos.shape[:3]
    electrons = float(found.density.sum()) * metadata.grid_of(found).voxel_volume
    assert electrons == pytest.approx(2 * len(atoms), abs=1e-6)
    # Both sides are alike: another order of the axes, or other atoms, would not be.
    mu = found.attrs["fermi_energy_eV"]
    top, bottom = (float(found.maladist.stm(-0.8, height=2.0, mu=mu, side=s).mean()) for s in ("top", "bottom"))
    assert top == pytest.approx(bottom, rel=0.01)


def test_pseudopotentials_are_those_of_the_data() -> None:
    assert set(read_pseudopotentials(examples.pseudopotentials())) == {"Al", "Be"}


def test_forces_of_the_cells_sum_to_zero_and_have_the_vacancys_mirror() -> None:
    cells = examples.dft_cells()
    assert [len(cells[n]) for n in ("crystal", "displaced", "vacancy")] == [16, 16, 15]
    for cell in cells.values():
        assert np.abs(cell.get_forces().sum(0)).max() < 0.02  # eV/Å: what the grid leaves

    def mirrored(cell: Atoms) -> np.ndarray:
        """Forces of a cell, each atom's taken from the one that the mirror z → −z through an atom puts there."""
        there = cell.positions * [1, 1, -1]
        places = np.linalg.solve(cell.cell[:].T, (there[:, None] - cell.positions[None]).reshape(-1, 3).T).T
        off = np.abs(places - np.round(places)).max(1).reshape(len(cell), len(cell))
        assert off.min(1).max() < 1e-6
        return np.asarray(cell.get_forces()[off.argmin(1)] * [1, 1, -1])

    # The plane through the vacancy is a mirror: forces that belonged to other atoms would not follow it.
    np.testing.assert_allclose(mirrored(cells["vacancy"]), cells["vacancy"].get_forces(), atol=0.01)


def test_small_they_are() -> None:
    assert sum(p.stat().st_size for p in (DATA / "examples").iterdir()) < 2_500_000
