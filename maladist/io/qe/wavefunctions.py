"""Density and wavefunctions of Quantum ESPRESSO's own binary files: Fortran records of little-endian numbers, or HDF5.

For norm-conserving pseudopotentials d(ε, r) = Σ_k w_k Σ_n K((ε − ε_nk)/δ)/δ · |ψ_nk(r)|²/Ω, on the FFT grid of the
density, with any kernel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final

import numpy as np
import numpy.typing as npt
import torch

from maladist.arrays import AnyArray, Array, Complex
from maladist.energy_grid import EnergyGrid
from maladist.errors import DataFileError
from maladist.grid import Grid
from maladist.io.qe import hdf5
from maladist.io.qe.hdf5 import Miller
from maladist.io.qe.run import DFTRun
from maladist.physics.broadening import kernel
from maladist.units import BOHR, RYDBERG_BOHR2

_GAMMA: Final = 32
"""Where in the first record it stands whether half of the sphere is stored: after k and its numbers."""

DENSITY: Final = "charge-density.dat"
"""File of the density in a folder PREFIX.save, where pw.x was built without HDF5."""

DENSITY_HDF5: Final = "charge-density.hdf5"
"""The same where it was built with HDF5."""

_SAME_LENGTH: Final = 1e-8
"""Difference of |G|², (2π/|a₁|)², below which pw.x takes two plane waves for equally long."""


class _Records:
    """Fortran records of a file, one after another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._data = self._read()

    def _read(self) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as stream:
                while head := stream.read(4):
                    size = int.from_bytes(head, "little", signed=True)
                    data = stream.read(size) if size >= 0 else b""
                    # A record has its length before and behind it: a file that was cut off or is big-endian shows here.
                    if size < 0 or len(data) != size or stream.read(4) != head:
                        raise self.error()
                    yield data
        except OSError as error:
            raise DataFileError(
                str(self.path), f"cannot be read ({error})", "a file of the folder PREFIX.save"
            ) from error

    def error(self) -> DataFileError:
        return _damaged(self.path)

    def __iter__(self) -> Iterator[bytes]:
        return self._data

    def take(self, dtype: str, shape: tuple[int, ...] = (-1,), start: int = 0) -> AnyArray:
        """The next record as numbers; it must hold at least one."""
        data = next(self._data, b"")[start:]
        try:
            values = np.frombuffer(data, dtype).reshape(shape)
        except ValueError:
            raise self.error() from None
        if not values.size:
            raise self.error()
        return values


def _damaged(path: Path) -> DataFileError:
    return DataFileError(str(path), "is truncated or of another kind", "a whole file of Quantum ESPRESSO")


def _on_grid(path: Path, coefficients: Complex, miller: Miller, shape: tuple[int, int, int], gamma: bool) -> Complex:
    """Σ_G c_G exp(iG·r) on the grid, (Nx, Ny, Nz)."""
    if len(coefficients) != len(miller):
        raise _damaged(path)
    box = np.zeros(shape, np.complex128)
    # Negative Miller indices count from the end, as the FFT orders them.
    box[tuple(miller.T % np.array(shape)[:, None])] = coefficients
    if gamma:  # half of the sphere is stored: c(−G) = c(G)*
        box[tuple(-miller.T % np.array(shape)[:, None])] = coefficients.conj()
    return np.asarray(np.fft.ifftn(box, norm="forward"))


def read_density(save: Path, shape: tuple[int, int, int]) -> Array:
    """n(r) from charge-density.dat of a folder PREFIX.save, or charge-density.hdf5, (Nx, Ny, Nz), 1/Å³.

    Raises
    ------
    DataFileError
        A file that is missing, truncated or of another kind.
    """
    if not (save / DENSITY).exists() and (path := save / DENSITY_HDF5).exists():
        coefficients, miller, gamma = hdf5.read_coefficients(path)
        return _on_grid(path, coefficients, miller, shape, gamma).real / BOHR**3
    records = _Records(save / DENSITY)
    gamma = bool(records.take("<i4")[0])
    # Each record must be taken, whether it is of use or not.
    records.take("<f8")  # reciprocal lattice
    miller = records.take("<i4", (-1, 3))
    return _on_grid(records.path, records.take("<c16"), miller, shape, gamma).real / BOHR**3


def write_density(path: Path, density: Array, cell: Array, cutoff: float, n_electrons: float) -> None:
    """Write n(r) as pw.x reads it with ``startingpot = 'file'``: the inverse of :func:`read_density`.

    A grid other than that of pw.x changes nothing, since the file has the plane waves of n(r); those that the grid does
    not tell are zero.

    Parameters
    ----------
    path
        File to write: `DENSITY` in the folder PREFIX.save, or `DENSITY_HDF5`, as its name says.
    density
        n(r) on the grid of the cell, (Nx, Ny, Nz), 1/Å³.
    cell
        Lattice vectors as rows, Å: those of the input of pw.x, in its order, since plane waves are told by them.
    cutoff
        Sphere of the plane waves, ecutrho, eV. A run with another one reads it too: waves that it lacks are zero.
    n_electrons
        Electrons to which the density is scaled.
    """
    miller, reciprocal = plane_waves(cell, cutoff), 2 * np.pi * np.linalg.inv(cell).T
    # Waves at the end of an even axis stand for +G and −G at once: they are not told, as those beyond are not.
    told = (np.abs(miller) <= (np.array(density.shape) - 1) // 2).all(axis=1)
    coefficients = np.zeros(len(miller), np.complex128)
    box = np.fft.fftn(density, norm="forward")
    coefficients[told] = box[tuple(miller[told].T % np.array(density.shape)[:, None])]
    # The first wave is G = 0, whose coefficient is the mean.
    coefficients *= n_electrons / (coefficients[0].real * abs(np.linalg.det(cell)))
    if path.suffix == ".hdf5":
        hdf5.write_coefficients(path, coefficients * BOHR**3, miller, np.asarray(reciprocal * BOHR, np.float64))
        return
    whole_sphere, components = 0, 1
    with path.open("wb") as stream:
        _write_record(stream, np.array([whole_sphere, len(miller), components], "<i4"))
        _write_record(stream, (reciprocal * BOHR).astype("<f8"))
        _write_record(stream, miller.astype("<i4"))
        _write_record(stream, (coefficients * BOHR**3).astype("<c16"))


def _write_record(stream: IO[bytes], values: AnyArray) -> None:
    # Signed: a length beyond 2 GiB would be another sign to Fortran, and must fail here.
    size = values.nbytes.to_bytes(4, "little", signed=True)
    stream.write(size + values.tobytes() + size)


def plane_waves(cell: Array, cutoff: float) -> Miller:
    """Miller indices of the plane waves in a sphere, (n, 3), in the order of pw.x, which reads densities by it.

    The order is by |G|, and that of the indices among waves of one length, such as ±G.

    Parameters
    ----------
    cell
        Lattice vectors as rows, Å.
    cutoff
        Kinetic energy ħ²G²/2m of the longest, eV.
    """
    first = np.linalg.norm(cell[0])
    reciprocal = np.linalg.inv(cell).T * first  # pw.x' own unit, 2π/|a₁|: in it stands what it takes for equal
    largest = cutoff / RYDBERG_BOHR2 * (first / (2 * np.pi)) ** 2
    # No index along b_i exceeds |G| |a_i| / 2π.
    ends = (np.sqrt(largest) * np.linalg.norm(cell, axis=1) / first).astype(int)
    miller = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in ends), indexing="ij"), axis=-1).reshape(-1, 3)
    squared = ((miller @ reciprocal) ** 2).sum(axis=1)
    miller, squared = miller[squared <= largest], squared[squared <= largest]
    by_length = np.argsort(squared, kind="stable")
    shell = np.cumsum(np.diff(squared[by_length], prepend=0.0) >= _SAME_LENGTH)
    return np.asarray(miller[by_length[np.lexsort((by_length, shell))]], np.int32)


def read_states(path: Path, shape: tuple[int, int, int]) -> Iterator[Array]:
    """|ψ_nk(r)|² of one k-point's file, band by band, with a mean of one over the grid.

    Raises
    ------
    DataFileError
        A file that is missing, truncated or of another kind.
    """
    if path.suffix == ".hdf5":
        for components, indices, half in hdf5.read_bands(path):
            yield _square(path, components, indices, shape, half)
        return
    records = _Records(path)
    gamma = bool(records.take("<i4", start=_GAMMA)[0])
    counts = records.take("<i4")
    # The third number is npol: 2 for spinors, whose components follow one another in a band.
    if len(counts) < 3 or counts[2] not in (1, 2):
        raise records.error()
    records.take("<f8")
    miller = records.take("<i4", (-1, 3))
    for data in records:
        try:
            parts = np.frombuffer(data, "<c16").reshape(counts[2], -1)
        except ValueError:
            raise records.error() from None
        yield _square(path, parts, miller, shape, gamma)


def _square(path: Path, components: Complex, miller: Miller, shape: tuple[int, int, int], gamma: bool) -> Array:
    # Of spinors the densities of both components, which have no phase between them.
    return sum(np.abs(_on_grid(path, c, miller, shape, gamma)) ** 2 for c in components)  # type: ignore[return-value]


def ldos_of_states(save: Path, run: DFTRun, energies: EnergyGrid) -> npt.NDArray[np.float32]:
    """LDOS on the FFT grid from the wavefunctions, (Nx, Ny, Nz, levels) float32, 1/(eV Å³).

    Parameters
    ----------
    save
        Folder PREFIX.save with wfc*.dat, or wfc*.hdf5, of every k-point; the run must have been made without symmetry
        (nosym).
    run
        Its data-file-schema.xml.
    energies
        Energies, kernel and width that are wanted.

    Raises
    ------
    DataFileError
        Files that are missing or truncated.
    """
    end = "hdf5" if (save / "wfc1.hdf5").exists() and not (save / "wfc1.dat").exists() else "dat"
    paths = (save / f"wfc{k}.{end}" for k in range(1, len(run.weights) + 1))
    return sum_of_states((_states_of(path, run) for path in paths), run, energies)


def _states_of(path: Path, run: DFTRun) -> Array:
    assert run.shape is not None
    states, wanted = np.stack([s.ravel() for s in read_states(path, run.shape)]), run.eigenvalues.shape[1]
    # Fewer bands than eigenvalues: the file is of another run than the XML.
    if len(states) != wanted:
        raise DataFileError(str(path), f"{len(states)} bands", f"{wanted}")
    return states


def sum_of_states(states: Iterable[AnyArray], run: DFTRun, energies: EnergyGrid) -> npt.NDArray[np.float32]:
    """LDOS from |ψ_nk(r)|², the formula of the module's head, (Nx, Ny, Nz, levels) float32, 1/(eV Å³).

    Parameters
    ----------
    states
        |ψ_nk(r)|² of one k-point after another, (bands, points), with a mean of one over the grid.
    run
        Eigenvalues and weights of the same k-points: all of a mesh, or one for k and −k, whose |ψ|² are equal.
    energies
        Energies, kernel and width that are wanted.
    """
    assert run.shape is not None
    grid = Grid(run.atoms.cell.array.tolist(), run.shape)
    levels = torch.as_tensor(energies.values)
    total = torch.zeros((grid.n_points, energies.levels), dtype=torch.float64)
    for row, weight, of_k in zip(run.eigenvalues, run.weights, states, strict=True):
        spread = kernel((levels[None] - torch.from_numpy(row)[:, None]) / energies.width, energies.kernel)
        factors = weight / energies.width / grid.volume * spread
        total.addmm_(torch.from_numpy(np.asarray(of_k, np.float64)).T, factors)
    return total.to(torch.float32).numpy().reshape(*run.shape, -1)
