"""What the header of a text file with a scalar field tells, whatever its format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ase
import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from maladist.arrays import Array
from maladist.atoms import check_atoms
from maladist.errors import AtomsError, DataFileError, InputError
from maladist.grid import Grid

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
