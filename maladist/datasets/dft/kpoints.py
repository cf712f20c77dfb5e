"""Meshes of k-points for cells of different sizes of one crystal: the same points, folded, or denser ones.

Energies an atom of different cells agree only where their k-points do: eight atoms of Be with 4×4×6 and sixteen with
4×4×3 do to 0.08 meV/atom, with 4×4×5 they differ by 4.6.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final

import ase
import numpy as np
import numpy.typing as npt
from pydantic import Field

from maladist.arrays import Array
from maladist.errors import InputError

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


def of_size(meshes: Mapping[int, Mesh], atoms: ase.Atoms) -> Mesh:
    """Mesh of a cell among those by the number of atoms.

    Raises
    ------
    InputError
        There is none of this size.
    """
    n = len(atoms)
    if n in meshes:
        return meshes[n]
    remedy = ""
    if meshes:
        known = min(meshes, key=lambda size: abs(math.log(size / n)))
        guess = list(as_dense(meshes[known], known, atoms.cell.array, n))
        remedy = f"As dense as that of {known} atoms is {n}: {guess}; with snapshots of {known} atoms it is proposed."
    raise InputError("kpoints", f"none for {n} atoms", "one mesh for all, or a mapping that has this size", remedy)


def proposed(
    given: Mapping[int, Mesh], spacing: float | None, snapshots: Sequence[ase.Atoms], others: Iterable[ase.Atoms]
) -> tuple[dict[int, Mesh], list[str]]:
    """Meshes of the sizes that have none: nested with one that is given, or spaced.

    Parameters
    ----------
    given
        Meshes by the number of atoms.
    spacing
        Largest spacing of the first where none is given, 1/Å; None where only given ones are nested with.
    snapshots
        Cells that want a mesh.
    others
        Cells of the same crystal, of which one may have the size of a mesh that is given.

    Returns
    -------
    meshes
        Those that are given and the new ones.
    told
        A line for each new one; empty where none can be proposed, or none is missing.
    """
    meshes, told = dict(given), list[str]()
    first: dict[int, ase.Atoms] = {}
    for atoms in snapshots:
        first.setdefault(len(atoms), atoms)
    missing = sorted((n for n in first if n not in meshes), reverse=True)
    if missing and not meshes and spacing is not None:
        largest = missing.pop(0)
        meshes[largest] = spaced(first[largest].cell.array, spacing)
        told.append(f"k-points of {largest} atoms: {named(meshes[largest])}, at most {spacing:g} 1/Å apart")
    if missing and not any(n in meshes for n in first):
        known = next((atoms for atoms in others if len(atoms) in meshes), None)
        if known is None:
            return meshes, []
        first[len(known)] = known
    for n in missing:
        size = min((k for k in first if k in meshes), key=lambda k: abs(math.log(k / n)))
        meshes[n], same = nested(meshes[size], first[size].cell.array, first[n].cell.array)
        how = "the same points as" if same else "denser than"
        told.append(f"k-points of {n} atoms: {named(meshes[n])}, {how} {named(meshes[size])} of {size} atoms")
    return meshes, told
