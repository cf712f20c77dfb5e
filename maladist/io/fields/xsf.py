"""XCrySDen's xsf files with one 3-D grid, slab by slab.

The grid of an xsf file repeats its first plane at the end of each direction, and x runs fastest.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

import ase
import numpy as np
from ase.data import atomic_numbers

from maladist.arrays import Array
from maladist.errors import DataFileError
from maladist.grid import Grid
from maladist.io.fields.header import FieldHeader, Region, header_atoms
from maladist.io.fields.numbers import NumberStream, open_numbers, write_numbers


def read_header(path: Path) -> FieldHeader:
    """Header of an xsf file.

    Raises
    ------
    DataFileError
        A file that is not an xsf file with a 3-D grid, or is cut off in its header.
    """
    with open_numbers(path) as stream:
        return _header(stream, path)


def read_slabs(path: Path, thickness: int) -> Iterator[tuple[Region, Array]]:
    """Values of an xsf file as they are, without the repeated planes, ``thickness`` planes of constant z at a time.

    Raises
    ------
    DataFileError
        A truncated file, more than one grid, or a grid whose last planes do not repeat the first.
    """
    with open_numbers(path) as stream:
        header = _header(stream, path)
        nx, ny, _ = header.shape
        first: Array | None = None
        for planes, region in header.slabs(thickness):
            values = stream.take(planes * (ny + 1) * (nx + 1)).reshape(planes, ny + 1, nx + 1).transpose(2, 1, 0)
            first = values[..., 0] if first is None else first
            # A field that does not repeat its first planes is not periodic, or was written with
            # another convention for its ends.
            _check_repeats(values[0], values[-1], path)
            _check_repeats(values[:, 0], values[:, -1], path)
            yield region, values[:-1, :-1]
        assert first is not None
        _check_repeats(first, stream.take((ny + 1) * (nx + 1)).reshape(ny + 1, nx + 1).T, path)
        stream.end(closed=True)


def _check_repeats(one: Array, other: Array, path: Path) -> None:
    if not np.allclose(one, other, rtol=1e-4, atol=1e-6 * float(np.abs(one).max() + 1e-300)):
        raise DataFileError(str(path), "a grid whose ends differ", "a periodic grid that repeats its first planes")


def _header(stream: NumberStream, path: Path) -> FieldHeader:
    cell: Array = np.empty(0)
    rows: list[list[str]] = []
    try:
        while not (words := stream.line().split()) or not words[0].upper().startswith("BEGIN_DATAGRID_3D"):
            keyword = words[0].upper() if words else ""
            # The field spans the primitive cell where both are given.
            if keyword in ("PRIMVEC", "CONVVEC") and not (keyword == "CONVVEC" and cell.size):
                cell = np.array([stream.line().split() for _ in range(3)], dtype=float)
            elif keyword == "PRIMCOORD":
                rows = [stream.line().split() for _ in range(int(stream.line().split()[0]))]
        shape = [int(w) - 1 for w in stream.line().split()]
        # Fields elsewhere than at the cell's corner are refused below: nothing here could hold them.
        origin = np.array(stream.line().split(), dtype=float)
        span = np.array([stream.line().split() for _ in range(3)], dtype=float)
        numbers = [int(r[0]) if r[0].isdigit() else atomic_numbers[r[0]] for r in rows]
        positions = np.array([r[1:4] for r in rows], dtype=float).reshape(-1, 3)
    except (ValueError, IndexError, KeyError) as error:
        raise DataFileError(str(path), f"a header that cannot be understood ({error})", "an xsf file") from error
    # A field of a part of the cell, or of several cells, has other spans than the cell's vectors.
    if len(shape) != 3 or cell.shape != (3, 3) or span.shape != (3, 3) or not np.abs(cell - span).max() <= 1e-4:
        raise DataFileError(str(path), "a grid that does not span the cell", "a field of the whole cell")
    if origin.shape != (3,) or not np.abs(origin).max() <= 1e-4:
        raise DataFileError(str(path), f"an origin at {origin}", "a field whose first point is the cell's corner")
    n = (shape[0], shape[1], shape[2])
    return FieldHeader(path, header_atoms(path, numbers, positions, span, n), n, 2)


def write_header(stream: IO[str], atoms: ase.Atoms, grid: Grid, title: str) -> None:
    """Write everything before the values."""
    vectors = "".join("".join(f"{x:18.10f}" for x in v) + "\n" for v in grid.cell_array)
    stream.write(f"# maladist {title}\nCRYSTAL\nPRIMVEC\n{vectors}PRIMCOORD\n{len(atoms)} 1\n")
    for symbol, position in zip(atoms.get_chemical_symbols(), atoms.positions, strict=True):
        stream.write(f"{symbol:3s}" + "".join(f"{x:18.10f}" for x in position) + "\n")
    n = " ".join(str(m + 1) for m in grid.shape)
    stream.write("BEGIN_BLOCK_DATAGRID_3D\nmaladist\nBEGIN_DATAGRID_3D_FIELD\n")
    stream.write(f"{n}\n{0:18.10f}{0:18.10f}{0:18.10f}\n{vectors}")


def write_slab(stream: IO[str], values: Array) -> None:
    """Append whole planes of constant z, (nx, ny, planes); the caller repeats the first plane at the end."""
    write_numbers(stream, np.pad(values, ((0, 1), (0, 1), (0, 0)), mode="wrap").transpose(2, 1, 0))


def write_end(stream: IO[str]) -> None:
    """Close the grid."""
    stream.write("END_DATAGRID_3D\nEND_BLOCK_DATAGRID_3D\n")
