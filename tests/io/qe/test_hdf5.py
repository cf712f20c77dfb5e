"""Files of a Quantum ESPRESSO with HDF5: the layout of its source, and the fields of the other kind of file."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from maladist.errors import DataFileError
from maladist.io.qe.wavefunctions import DENSITY, DENSITY_HDF5, read_density, read_states, write_density
from maladist.units import BOHR
from tests.io.qe.test_wavefunctions import CELL, SHAPE, density, phase, states_file


def states_of(path: Path, miller: list[list[int]], bands: list[list[complex]], gamma: bool, spinors: int = 1) -> None:
    """As write_wfc of QE's io_base.f90 writes them: dimensions of Fortran, of which the first is the last here."""
    with h5py.File(path, "w") as file:
        file.attrs["gamma_only"] = np.bytes_(".TRUE." if gamma else ".FALSE.")
        file.attrs["npol"], file.attrs["nbnd"] = np.int32(spinors), np.int32(len(bands))
        file["MillerIndices"] = np.array(miller, np.int32)
        file["evc"] = np.array(bands, np.complex128).view(np.float64)


def test_a_density_has_the_layout_of_the_source_and_the_field_of_the_other_file(tmp_path: Path) -> None:
    shape = (8, 7, 9)
    folders = {}
    for name in (DENSITY, DENSITY_HDF5):
        folders[name] = tmp_path / name
        folders[name].mkdir()
        write_density(folders[name] / name, density(shape, [[1, 0, 0], [-2, 1, 3]]), CELL, 120.0, 3.0)
    np.testing.assert_array_equal(*(read_density(folder, shape) for folder in folders.values()))
    with h5py.File(folders[DENSITY_HDF5] / DENSITY_HDF5) as file:
        n = int(file.attrs["ngm_g"])
        assert file.attrs["gamma_only"] == b".FALSE." and file.attrs["nspin"] == 1
        assert file["MillerIndices"].shape == (n, 3) and file["MillerIndices"].dtype == "<i4"
        assert file["rhotot_g"].shape == (2 * n,) and file["rhotot_g"].dtype == "<f8"
        assert file["rhotot_g"][0] * np.linalg.det(CELL) / BOHR**3 == pytest.approx(3.0)  # G = 0: the mean, bohr⁻³
        lattice = np.array([file["MillerIndices"].attrs[f"bg{i}"] for i in (1, 2, 3)])
    np.testing.assert_allclose(lattice @ CELL.T / BOHR, 2 * np.pi * np.eye(3), atol=1e-12)


def test_of_the_half_of_a_sphere_the_other_half_is_added(tmp_path: Path) -> None:
    with h5py.File(tmp_path / DENSITY_HDF5, "w") as file:
        file.attrs["gamma_only"] = ".TRUE."  # a text of any length, as other writers have it
        file["MillerIndices"] = np.array([[0, 0, 0], [1, 0, 1]], np.int32)
        file["rhotot_g"] = np.array([0.5, 0.0, 0.1, 0.2])
    wanted = 0.5 + 0.2 * np.cos(phase(1, 0, 1)) - 0.4 * np.sin(phase(1, 0, 1))
    np.testing.assert_allclose(read_density(tmp_path, SHAPE), wanted / BOHR**3, atol=1e-12)


@pytest.mark.parametrize(("spinors", "bands"), [(1, [[1, 0], [0.6, 0.8j]]), (2, [[0.6, 0, 0, 0.8]])])
def test_states_are_those_of_the_other_file(spinors: int, bands: list[list[complex]], tmp_path: Path) -> None:
    miller = [[0, 0, 0], [0, 1, 0]]
    (tmp_path / "wfc1.dat").write_bytes(states_file(miller, bands, False, spinors))
    states_of(tmp_path / "wfc1.hdf5", miller, bands, False, spinors)
    found = [list(read_states(tmp_path / f"wfc1.{end}", SHAPE)) for end in ("dat", "hdf5")]
    np.testing.assert_array_equal(*found)


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    write_density(path := tmp_path / DENSITY_HDF5, density((4, 4, 4), [[1, 0, 0]]), CELL, 120.0, 3.0)
    whole = path.read_bytes()
    for content in (whole[:700], b"", b"text"):
        path.write_bytes(content)
        with pytest.raises(DataFileError, match="a whole HDF5 file of Quantum ESPRESSO"):
            read_density(tmp_path, (4, 4, 4))
    path.write_bytes(whole)
    with h5py.File(path, "a") as file:
        del file["rhotot_g"]
    with pytest.raises(DataFileError, match="cannot be read"):
        read_density(tmp_path, (4, 4, 4))
