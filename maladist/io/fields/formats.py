"""A scalar field in a text file, whatever its format: what its header tells, and its values slab by slab."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import ase
import numpy as np

from maladist.arrays import Array
from maladist.errors import DataFileError
from maladist.grid import Grid
from maladist.io.fields import cube, xsf
from maladist.io.fields.header import FieldHeader, Region


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
    # x.cube.gz is a cube.
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
