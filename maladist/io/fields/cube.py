"""Gaussian cube files, plain or gzip, slab by slab. Quantum ESPRESSO's tell an LDOS' energy in their second line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import ase
import numpy as np

from maladist.errors import DataFileError
from maladist.grid import Grid
from maladist.io.fields.formats import Array, FieldHeader, Region
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
        A truncated file.
    """
    with open_numbers(path) as stream:
        header = _header(stream, path)
        _, ny, nz = header.shape
        for planes, region in header.slabs(thickness):
            yield region, stream.take(planes * ny * nz).reshape(planes, ny, nz)


def _header(stream: NumberStream, path: Path) -> FieldHeader:
    title = [stream.line(), stream.line()]
    try:
        n_atoms, *origin = (float(w) for w in stream.line().split()[:4])
        axes = [stream.line().split() for _ in range(3)]
        shape = [int(w[0]) for w in axes]
        steps = np.array([[float(x) for x in w[1:4]] for w in axes])
        rows = [[float(x) for x in stream.line().split()] for _ in range(int(n_atoms))]
        table = np.array(rows).reshape(-1, 5)
    except (ValueError, IndexError) as error:
        raise DataFileError(str(path), f"a header that cannot be understood ({error})", "a cube file") from error
    if n_atoms < 1 or len(origin) != 3 or steps.shape != (3, 3) or 0 in shape:
        raise DataFileError(str(path), f"{n_atoms:g} atoms, grid {shape}", "a cube file of one periodic field")
    if np.abs(origin).max() > 1e-4:
        raise DataFileError(str(path), f"an origin at {origin}", "a field whose first point is the cell's corner")
    unit = BOHR if shape[0] > 0 else 1.0  # negative numbers of points: Å
    n = np.abs(shape)
    atoms = ase.Atoms(table[:, 0].astype(int), table[:, 2:] * unit, cell=steps * n[:, None] * unit, pbc=True)
    level = _LEVEL.search(" ".join(title))
    energy, width = (float(level[1]), float(level[2])) if level else (None, None)
    return FieldHeader(path, atoms, (int(n[0]), int(n[1]), int(n[2])), 0, energy, width)


def write_header(stream: IO[str], atoms: ase.Atoms, grid: Grid, title: str) -> None:
    """Write everything before the values; lengths in bohr, as every program expects."""
    stream.write(f" maladist\n {title}\n{len(atoms):5d}{0:18.10f}{0:18.10f}{0:18.10f}\n")
    for n, vector in zip(grid.shape, grid.cell_array, strict=True):
        stream.write(f"{n:5d}" + "".join(f"{x:18.10f}" for x in vector / n / BOHR) + "\n")
    for z, position in zip(atoms.numbers, atoms.positions / BOHR, strict=True):
        stream.write(f"{z:5d}{float(z):18.10f}" + "".join(f"{x:18.10f}" for x in position) + "\n")


def write_slab(stream: IO[str], values: Array) -> None:
    """Append whole planes of constant x, (planes, ny, nz)."""
    for row in values.reshape(-1, values.shape[-1]):
        write_numbers(stream, row)


def write_end(stream: IO[str]) -> None:
    """Nothing: a cube file ends with its last value."""


def level_title(energy: float, width: float) -> str:
    """Second line of an LDOS' cube, as Quantum ESPRESSO has it."""
    return f" Energy = {energy:.10g} eV, broadening = {width:.10g} eV"
