"""A scalar field in a text file, whatever its format: what its header tells, and its values slab by slab."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import ase
import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from maladist.errors import AtomsError, DataFileError, InputError
from maladist.grid import Grid
from maladist.schema import check_atoms

Array = npt.NDArray[np.float64]
Region = tuple[slice, slice, slice]


@dataclass(frozen=True)
class FieldHeader:
    """What a file says of its field.

    Attributes
    ----------
    path
        File of the field.
    atoms
        Atoms and cell, Å, to the few digits that such files have.
    shape
        Numbers of points along a, b, c.
    slow_axis
        Axis that runs slowest in the file: slabs are cut along it.
    energy, broadening
        Energy and broadening of an LDOS of Quantum ESPRESSO, eV; None where the file does not tell, or where
        asterisks stand in their place.
    """

    path: Path
    atoms: ase.Atoms
    shape: tuple[int, int, int]
    slow_axis: int
    energy: float | None = None
    broadening: float | None = None

    def slabs(self, thickness: int) -> Iterator[tuple[int, Region]]:
        """Cut the field along its slow axis: (number of planes, region)."""
        n = self.shape[self.slow_axis]
        for first in range(0, n, thickness):
            region = [slice(0, m) for m in self.shape]
            region[self.slow_axis] = slice(first, min(first + thickness, n))
            yield region[self.slow_axis].stop - first, (region[0], region[1], region[2])


def header_atoms(
    path: Path, numbers: npt.ArrayLike, positions: npt.ArrayLike, cell: Array, shape: tuple[int, int, int]
) -> ase.Atoms:
    """Atoms of a header, held to what a cell and a grid can be before anybody loops over them.

    Parameters
    ----------
    path
        File of the header, for errors.
    numbers, positions
        Atomic numbers (n,) and Cartesian positions (n, 3), Å.
    cell
        Lattice vectors as rows, Å.
    shape
        Numbers of points along them.

    Raises
    ------
    DataFileError
        There are no such elements, or no cell or grid can be like this.
    """
    z, places = np.asarray(numbers, dtype=float), np.asarray(positions, dtype=float)
    try:
        Grid(cell.tolist(), shape)
        if not np.isin(z, np.arange(1, len(chemical_symbols))).all():
            raise AtomsError("atoms", f"atomic numbers {z[:5].tolist()}", "those of elements")
        atoms = ase.Atoms(z.astype(int), places, cell=cell, pbc=True)
        check_atoms(atoms)
    except InputError as error:
        raise DataFileError(str(path), f"{error.argument} in its header: {error.came}", error.wanted) from error
    return atoms


class FieldFormat(Protocol):
    """A module that reads and writes one format."""

    def read_header(self, path: Path) -> FieldHeader:
        """Only the header."""

    def read_slabs(self, path: Path, thickness: int) -> Iterator[tuple[Region, Array]]:
        """The values, slab by slab, as they are in the file."""


def field_format(path: Path) -> FieldFormat:
    """The reader for a file, by the end of its name.

    Raises
    ------
    DataFileError
        A name that ends in something else.
    """
    from maladist.io.fields import cube, xsf

    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    formats: dict[str, FieldFormat] = {".cube": cube, ".cub": cube, ".xsf": xsf}
    if suffix.lower() not in formats:
        raise DataFileError(str(path), f"the ending {suffix!r}", "a field in .cube or .xsf, plain or .gz")
    return formats[suffix.lower()]


def check_belongs(header: FieldHeader, atoms: ase.Atoms, grid: Grid) -> None:
    """Refuse a field of another cell, of other atoms or on another grid.

    Raises
    ------
    DataFileError
        Naming what differs.
    """
    path = str(header.path)
    if header.shape != grid.shape:
        raise DataFileError(path, f"a grid of {header.shape}", f"{grid.shape}, as the others have")
    difference = np.abs(header.atoms.cell.array - grid.cell_array).max()
    if not difference <= 1e-3:
        remedy = "It belongs to another calculation."
        raise DataFileError(path, f"a cell that differs by {difference:.3g} Å", "the cell of the calculation", remedy)
    if not same_atoms(header.atoms, atoms):
        remedy = "It belongs to another snapshot."
        raise DataFileError(path, "other atoms or other positions", "the atoms of the calculation", remedy)


def same_atoms(one: ase.Atoms, other: ase.Atoms, tolerance: float = 1e-3) -> bool:
    """Whether two lists of atoms are the same up to lattice vectors, to a tolerance in Å."""
    if len(one) != len(other) or not np.array_equal(one.numbers, other.numbers):
        return False
    cell = other.cell.array
    # Programs wrap atoms into the cell or do not, and print few digits.
    apart = (one.positions - other.positions) @ np.linalg.inv(cell)
    return bool(np.abs((apart - np.round(apart)) @ cell).max() < tolerance)
