"""Gaussian cube files, plain or gzip, slab by slab. Quantum ESPRESSO's tell an LDOS' energy in their second line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import ase
import numpy as np

from maladist.arrays import Array
from maladist.errors import DataFileError
from maladist.grid import Grid
from maladist.io.fields.header import FieldHeader, Region, header_atoms
from maladist.io.fields.numbers import NumberStream, open_numbers, write_numbers
from maladist.units import BOHR

_LEVEL = re.compile(r"Energy\s*=\s*(\S+)\s*eV\s*,\s*broadening\s*=\s*(\S+)\s*eV", re.IGNORECASE)


def read_header(path: Path) -> FieldHeader:
    """Header of a cube file.

    Raises
    ------
    DataFileError
        A file that is not a cube file, or is cut off in its header.
    """
    with open_numbers(path) as stream:
        return _header(stream, path)


def read_slabs(path: Path, thickness: int) -> Iterator[tuple[Region, Array]]:
    """Values of a cube file as they are, ``thickness`` planes of constant x at a time.

    Yields
    ------
    tuple
        Region of the grid and its values.

    Raises
    ------
    DataFileError
        A truncated file, or one of more numbers than its grid has points.
    """
    with open_numbers(path) as stream:
        header = _header(stream, path)
        _, ny, nz = header.shape
        for planes, region in header.slabs(thickness):
            yield region, stream.take(planes * ny * nz).reshape(planes, ny, nz)
        stream.end()


def _header(stream: NumberStream, path: Path) -> FieldHeader:
    title = [stream.line(), stream.line()]
    try:
        count, *origin = stream.line().split()
        # A fourth number beside the origin is the number of values a point; a negative number of atoms means orbitals.
        n_atoms, values = int(count), int(origin.pop()) if len(origin) > 3 else 1  # NVAL, of Gaussian
        axes = [stream.line().split() for _ in range(3)]
        shape = [int(n) for n, *_ in axes]
        steps = np.array([[float(x) for x in step] for _, *step in axes])
        corner = np.array([float(x) for x in origin])
        rows = np.array([[float(x) for x in stream.line().split()] for _ in range(n_atoms)]).reshape(-1, 5)
    except (ValueError, IndexError) as error:
        raise DataFileError(str(path), f"a header that cannot be understood ({error})", "a cube file") from error
    if n_atoms < 1 or values != 1:
        came = f"{n_atoms} atoms, {values} values a point" if n_atoms > 0 else "orbitals (a negative number of atoms)"
        raise DataFileError(str(path), came, "a cube file of one field, one value a point")
    if corner.shape != (3,) or steps.shape != (3, 3) or not np.abs(corner).max() <= 1e-4:
        raise DataFileError(str(path), f"an origin at {origin}", "a field whose first point is the cell's corner")
    unit = BOHR if shape[0] > 0 else 1.0  # negative numbers of points stand for Å
    n = (abs(shape[0]), abs(shape[1]), abs(shape[2]))
    atoms = header_atoms(path, rows[:, 0], rows[:, 2:] * unit, steps * np.array(n)[:, None] * unit, n)
    # Whichever of the two lines of the title tells it.
    level = _LEVEL.search(" ".join(title))
    energy, width = (_readable(level[1]), _readable(level[2])) if level else (None, None)
    return FieldHeader(path, atoms, n, 0, energy, width)


def _readable(word: str) -> float | None:
    """A number of a title; None for asterisks, which Fortran writes where a number is too long for its place."""
    try:
        value = float(word)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def write_header(stream: IO[str], atoms: ase.Atoms, grid: Grid, title: str) -> None:
    """Write everything before the values; lengths in bohr, as every program expects."""
    stream.write(f" maladist\n {title}\n{len(atoms):5d}{0:18.10f}{0:18.10f}{0:18.10f}\n")
    for n, vector in zip(grid.shape, grid.cell_array, strict=True):
        stream.write(f"{n:5d}" + "".join(f"{x:18.10f}" for x in vector / n / BOHR) + "\n")
    for z, position in zip(atoms.numbers, atoms.positions / BOHR, strict=True):
        stream.write(f"{z:5d}{float(z):18.10f}" + "".join(f"{x:18.10f}" for x in position) + "\n")


def write_slab(stream: IO[str], values: Array) -> None:
    """Append whole planes of constant x, (planes, ny, nz)."""
    # A new line after each row along z, as the format has it: six numbers a line do not run on into the next row.
    for row in values.reshape(-1, values.shape[-1]):
        write_numbers(stream, row)


def write_end(stream: IO[str]) -> None:
    """Nothing: a cube file ends with its last value."""


def level_title(energy: float, width: float) -> str:
    """Second line of an LDOS' cube, as Quantum ESPRESSO has it."""
    return f" Energy = {energy:.10g} eV, broadening = {width:.10g} eV"
