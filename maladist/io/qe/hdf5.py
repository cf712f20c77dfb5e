"""Density and wavefunctions of a Quantum ESPRESSO that was built with HDF5: charge-density.hdf5 and wfcN.hdf5.

The layout is that of its Modules/io_base.f90, write_rhog and write_wfc: a complex number is two of float64, one after
the other, and .TRUE. or .FALSE. a text. No pw.x with HDF5 was at hand: what is written was held against that source and
against the other kind of file, not read by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from maladist.arrays import Array, Complex
from maladist.io.foreign import refusing

Miller = npt.NDArray[np.int32]


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    with refusing(path, "a whole HDF5 file of Quantum ESPRESSO"), h5py.File(path, "r") as file:
        yield file


def read_coefficients(path: Path) -> tuple[Complex, Miller, bool]:
    """Coefficients of a density, of both spins, bohr⁻³, their Miller indices, and whether half of them are there."""
    with _opened(path) as file:
        return _complex(file["rhotot_g"][()]), _miller(file), _gamma(file)


def write_coefficients(path: Path, coefficients: Complex, miller: Miller, reciprocal: Array) -> None:
    """Write the coefficients of a density without spin, bohr⁻³, of all of the sphere; lattice as rows, 1/bohr."""
    with h5py.File(path, "w") as file:
        file.attrs["gamma_only"] = np.bytes_(".FALSE.")
        file.attrs["ngm_g"], file.attrs["nspin"] = np.int32(len(miller)), np.int32(1)
        indices = file.create_dataset("MillerIndices", data=miller.astype("<i4"))
        for i, b in enumerate(reciprocal, 1):
            indices.attrs[f"bg{i}"] = b.astype("<f8")
        file.create_dataset("rhotot_g", data=coefficients.astype("<c16").view("<f8"))


def read_bands(path: Path) -> Iterator[tuple[Complex, Miller, bool]]:
    """Bands of one k-point: coefficients (spinors, waves), Miller indices, and whether half of them are there."""
    with _opened(path) as file:
        miller, gamma, spinors = _miller(file), _gamma(file), int(file.attrs["npol"])
        for band in file["evc"]:
            yield _complex(band).reshape(spinors, -1), miller, gamma


def _complex(values: Array) -> Complex:
    return np.ascontiguousarray(values, "<f8").view("<c16")


def _miller(file: h5py.File) -> Miller:
    return np.asarray(file["MillerIndices"][()], np.int32).reshape(-1, 3)


def _gamma(file: h5py.File) -> bool:
    told = file.attrs["gamma_only"]
    return (told.decode() if isinstance(told, bytes) else str(told)).strip().upper() == ".TRUE."
