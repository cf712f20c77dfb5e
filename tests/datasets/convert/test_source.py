"""Sources: what a DFT run, its levels and their energies may be; what does not belong is refused in one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase import Atoms

from maladist.datasets.convert.source import Source, prepare
from maladist.errors import DataFileError, DFTError, InputError, PhysicsError
from maladist.io.fields import cube, openpmd
from maladist.io.qe.run import DFTRun
from tests.datasets.convert.conftest import GRID, run_of, write_text


def test_adios_files_are_refused_with_the_way_around(tmp_path: Path, crystal: Atoms) -> None:
    (tmp_path / "s.out.bp").mkdir()
    with pytest.raises(DataFileError, match=r"openpmd-pipe --infile IN\.bp"):
        prepare(Source(run_of(crystal), [tmp_path / "s.out.bp"], energies=(-1.0, 0.5)))


def test_openpmd_of_another_program_is_turned_from_si(tmp_path: Path, ldos: np.ndarray) -> None:
    path = tmp_path / "a.h5"
    openpmd.write_field(path, ldos, "ldos")
    with h5py.File(path, "r+") as file:
        file.attrs["is_mala_data"] = 0
        for component in file["data/0/meshes/LDOS"].values():
            component.attrs["unitSI"] *= 2
    assert np.allclose(openpmd.read_region(path, GRID.whole.slices, "ldos"), 2 * ldos, rtol=1e-6)


def test_a_cube_of_another_cell_or_snapshot_is_refused(tmp_path: Path, crystal: Atoms, ldos: np.ndarray) -> None:
    paths = write_text(tmp_path, crystal, ldos, "cube")
    moved = crystal.copy()
    moved.positions[0] += 0.05
    with pytest.raises(DataFileError, match="another snapshot"):
        prepare(Source(run_of(moved), paths))
    larger = crystal.copy()
    larger.set_cell(1.01 * larger.cell, scale_atoms=True)
    with pytest.raises(DataFileError, match="another calculation"):
        prepare(Source(run_of(larger), paths))


def test_atoms_moved_by_a_lattice_vector_are_the_same(tmp_path: Path, crystal: Atoms, ldos: np.ndarray) -> None:
    paths = write_text(tmp_path, crystal, ldos, "cube")
    moved = crystal.copy()
    moved.positions[0] += GRID.cell_array[1]
    assert prepare(Source(run_of(moved), paths)).energies.levels == 4


def test_a_three_digit_exponent_without_its_letter_is_read(tmp_path: Path, crystal: Atoms, ldos: np.ndarray) -> None:
    (path,) = write_text(tmp_path, crystal, ldos[..., :1], "cube")
    lines = path.read_text().splitlines()
    lines[8] = "0.12345-101 " + " ".join(lines[8].split()[1:])
    path.write_text("\n".join(lines) + "\n")
    _, values = next(cube.read_slabs(path, 1))
    assert values[0, 0, 0] == 0.12345e-101


def test_unconverged_is_refused(tmp_path: Path, crystal: Atoms, ldos: np.ndarray) -> None:
    np.save(tmp_path / "out.npy", ldos)
    run = DFTRun(Path("pw.out"), crystal, GRID.shape, converged=False)
    with pytest.raises(DFTError, match=r"pw.out: the self-consistency did not converge"):
        prepare(Source(run, [tmp_path / "out.npy"], energies=(-1, 0.5)))


def test_a_charged_cell_or_another_valence_is_refused(
    tmp_path: Path, crystal: Atoms, ldos: np.ndarray, own_data: Path
) -> None:
    """0.4 electrons too few pass every check of energies at 5000 K."""
    np.save(tmp_path / "out.npy", ldos)
    run = DFTRun(Path("s.info.json"), crystal, GRID.shape, n_electrons=3.6)
    files = own_data / "pseudopotentials"
    with pytest.raises(PhysicsError, match=r"3\.6 electrons where the valences add up to 4.*tot_charge"):
        prepare(Source(run, [tmp_path / "out.npy"], energies=(-1, 0.5), pseudopotentials=files))


def test_another_temperature_than_the_calculations_is_refused(tmp_path: Path, crystal: Atoms, ldos: np.ndarray) -> None:
    paths, run = write_text(tmp_path, crystal, ldos, "cube"), replace(run_of(crystal), temperature=1000.0)
    assert prepare(Source(run, paths, temperature=1007.9)).run.temperature == 1007.9  # the exact one of a rounded
    with pytest.raises(InputError, match="300 K for a calculation at 1000 K"):
        prepare(Source(run, paths, temperature=300.0))


@pytest.mark.parametrize("temperature", [0.0, -1.0, 1e-300, 1e300, float("nan"), float("inf")])
def test_temperatures_that_cannot_be(temperature: float, tmp_path: Path, crystal: Atoms, ldos: np.ndarray) -> None:
    paths = write_text(tmp_path, crystal, ldos, "cube")
    with pytest.raises(InputError, match="a positive temperature in K"):
        prepare(Source(run_of(crystal), paths, temperature=temperature))
