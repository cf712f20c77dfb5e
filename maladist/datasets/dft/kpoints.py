"""Meshes of k-points for cells of different sizes of one crystal: the same points, folded, or denser ones.

Energies an atom of different cells agree only where their k-points do: eight atoms of Be with 4×4×6 and sixteen with
4×4×3 do to 0.08 meV/atom, with 4×4×5 they differ by 4.6.
"""

from __future__ import annotations

import math
from typing import Annotated, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from maladist.arrays import Array

Points = Annotated[int, Field(ge=1)]
Mesh = tuple[Points, Points, Points]


AUTO: Final = 0.3
"""Spacing that ``kpoints: auto`` stands for, 1/Å: 2 meV/atom of noise in A of Be at 1000 K, displaced by 0.1 Å."""

_STRAIN: Final = 0.04  # by which strained cells of a crystal may differ


def _reciprocal(cell: npt.ArrayLike) -> Array:
    return np.asarray(2 * np.pi * np.linalg.inv(np.asarray(cell, dtype=float)).T)


def spaced(cell: npt.ArrayLike, spacing: float) -> Mesh:
    """Smallest mesh of a cell (rows, Å) with at most this spacing along its reciprocal vectors, 1/Å with their 2π."""
    a, b, c = (max(1, math.ceil(n / spacing - 1e-6)) for n in np.linalg.norm(_reciprocal(cell), axis=1))
    return a, b, c


def nested(mesh: Mesh, cell: npt.ArrayLike, other: npt.ArrayLike) -> tuple[Mesh, bool]:
    """Mesh of another cell of a crystal that samples it as a given mesh does, or denser.

    Parameters
    ----------
    mesh, cell
        A mesh and its cell (rows, Å).
    other
        The other cell, which may be strained a little.

    Returns
    -------
    mesh
        Where the vectors of one cell are multiples of the other's, in any order, the folded one, rounded up; else one
        with the smallest of the given spacings in all directions.
    same
        Whether both sample the same points.
    """
    b, theirs = _reciprocal(cell), _reciprocal(other)
    shares = np.abs(theirs @ np.linalg.inv(b))  # b'_i in units of b_j
    along = shares.argmax(axis=1)
    rest = shares.copy()
    np.put_along_axis(rest, along[:, None], 0.0, axis=1)
    # Each vector of one cell follows another one of the other: only then do their meshes fold.
    parallel = len(set(along.tolist())) == 3 and bool((rest.max(axis=1) < 0.15 * shares.max(axis=1)).all())
    if parallel:
        wanted = shares.max(axis=1) * np.asarray(mesh)[along]
    else:
        wanted = np.linalg.norm(theirs, axis=1) / (np.linalg.norm(b, axis=1) / mesh).min()
    # A strained cell must not get one more k-point than its unstrained like.
    n1, n2, n3 = (max(1, math.ceil(n * (1 - _STRAIN))) for n in wanted)
    return (n1, n2, n3), parallel and bool((np.abs(wanted / (n1, n2, n3) - 1) < _STRAIN).all())


def as_dense(mesh: Mesh, n_atoms: int, other: npt.ArrayLike, n_others: int) -> Mesh:
    """Mesh of a cell of ``n_others`` atoms with as many k-points times atoms as one of ``n_atoms``, or more."""
    b = np.linalg.norm(_reciprocal(other), axis=1)
    points = math.prod(mesh) * n_atoms / n_others
    return spaced(other, float((b.prod() / points) ** (1 / 3)))


def named(mesh: Mesh) -> str:
    """The mesh as it is printed."""
    return "×".join(map(str, mesh))
