"""Atoms as users give them: what no prediction can be made of is refused where it comes in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol, TypeAlias, runtime_checkable

import ase
import numpy as np
from ase.data import chemical_symbols

from maladist.arrays import Array
from maladist.errors import AtomsError


@runtime_checkable
class HasAtoms(Protocol):
    """What gives ASE's atoms of itself: a Structure of pymatgen."""

    def to_ase_atoms(self) -> ase.Atoms:
        """The atoms."""
        ...


AtomsLike: TypeAlias = ase.Atoms | HasAtoms
"""Atoms as users give them: ASE's, or pymatgen's, which needs not be installed."""

# Beyond these no cell is meant, and loops over grid points or images would not end.
LONGEST: Final = 1e5
"""Longest lattice vector, Å: ten micrometres."""
FARTHEST: Final = 1e6
"""Farthest position of an atom, Å: one that drifted unwrapped; its place in the cell is known to 1e-10 Å still."""
DENSEST: Final = 0.1
"""Least volume of an atom, Å³: hydrogen of 17 g/cm³; pseudopotentials overlap long before."""


def ase_atoms(given: AtomsLike) -> ase.Atoms:
    """ASE's atoms of what a user gives.

    Raises
    ------
    AtomsError
        It is no atoms, or such as ASE does not have: sites that are occupied in part.
    """
    if isinstance(given, ase.Atoms):
        return given
    if not isinstance(given, HasAtoms):
        raise _no_atoms(given)
    try:
        found = given.to_ase_atoms()
    except (ValueError, ImportError) as error:
        came = f"a {type(given).__name__} of which ASE has no atoms ({error})"
        raise AtomsError("atoms", came, "sites that are each filled by one atom") from error
    return ase.Atoms(found)  # a plain one: pymatgen's carries what cannot be sent to workers without it


def _no_atoms(came: object) -> AtomsError:
    wanted = "an ase.Atoms, or a Structure of pymatgen"
    return AtomsError("atoms", f"a {type(came).__name__}", wanted, "Read it with ase.io.read.")


def check_atoms(atoms: ase.Atoms, known: Iterable[str] | None = None) -> None:
    """Refuse atoms that cannot be predicted.

    Parameters
    ----------
    atoms
        Atoms as the user gave them.
    known
        Symbols that the model has seen; None where any will do.

    Raises
    ------
    AtomsError
        There are no atoms, no cell or a placeholder, no periodicity in all directions, positions that are not finite or
        nearer than 0.1 Å to one another, an element that does not exist or that the model has never seen.
    """
    if not isinstance(atoms, ase.Atoms):
        raise _no_atoms(atoms)
    if len(atoms) == 0:
        raise AtomsError("atoms", "no atoms", "at least one atom")
    _check_cell(atoms.cell.array, len(atoms))
    if not all(atoms.pbc):
        came = f"periodicity {tuple(map(bool, atoms.pbc))}"
        raise AtomsError("atoms", came, "a cell that is periodic in three directions", "Set atoms.pbc = True.")
    bad = np.flatnonzero(~(np.abs(atoms.positions) <= FARTHEST).all(axis=1))
    if len(bad):
        came = f"positions that are not finite or beyond {FARTHEST:.0e} Å (atom {bad[0]})"
        raise AtomsError("atoms", came, "finite positions in Å")
    odd = np.flatnonzero((atoms.numbers < 1) | (atoms.numbers >= len(chemical_symbols)))
    if len(odd):
        raise AtomsError("atoms", f"atomic number {atoms.numbers[odd[0]]} (atom {odd[0]})", "elements")
    if known is not None:
        unknown = sorted(set(atoms.get_chemical_symbols()) - set(known))
        if unknown:
            wanted = f"only {', '.join(sorted(known))}, which the model was trained on"
            raise AtomsError("atoms", f"element {', '.join(unknown)}", wanted, "Use a model that knows them.")
    _check_distances(atoms)


def _check_cell(cell: Array, n_atoms: int) -> None:
    lengths = np.linalg.norm(cell, axis=1)
    if not np.isfinite(lengths).all() or lengths.max() > LONGEST:
        came = f"lattice vectors of {', '.join(f'{x:.4g}' for x in lengths)} Å"
        raise AtomsError("atoms", came, f"finite ones, of at most {LONGEST:.0e} Å")
    volume = abs(float(np.linalg.det(cell)))
    if volume < 1e-3:
        remedy = 'Set one with atoms.set_cell; in an .xyz file it is Lattice="..." on the second line.'
        raise AtomsError("atoms", f"a cell of {volume:.3g} Å³", "three lattice vectors, linearly independent", remedy)
    # What readers put where a file has no cell: a real cell of this size could hold no atom.
    if np.array_equal(cell, np.eye(3)):
        remedy = "Give the cell that the atoms are in."
        raise AtomsError("atoms", "a cell of 1 × 1 × 1 Å, the placeholder of files without one", "a cell", remedy)
    if volume / n_atoms < DENSEST:
        came = f"{n_atoms} atoms in a cell of {volume:.4g} Å³"
        raise AtomsError("atoms", came, f"at least {DENSEST} Å³ an atom", "Check the units of its lengths: they are Å.")


def _check_distances(atoms: ase.Atoms, nearest: float = 0.1) -> None:
    from scipy.spatial import cKDTree

    # Images within `nearest` of the cell's faces are enough to see a pair across a face.
    scaled = atoms.get_scaled_positions(wrap=True)
    margin = nearest * np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0)
    # Copies of the few atoms near a face, axis by axis, so that those at edges and corners are copied too.
    every, owner = scaled, np.arange(len(atoms))
    for axis in range(3):
        low, high = every[:, axis] < margin[axis], every[:, axis] > 1 - margin[axis]
        step = np.eye(3)[axis]
        every = np.concatenate([every, every[low] + step, every[high] - step])
        owner = np.concatenate([owner, owner[low], owner[high]])
    points = every @ atoms.cell.array
    pairs = cKDTree(points).query_pairs(nearest, output_type="ndarray")
    if len(pairs):
        i, j = sorted(int(owner[k]) for k in pairs[0])
        distance = np.linalg.norm(points[pairs[0][0]] - points[pairs[0][1]])
        raise AtomsError("atoms", f"atoms {i} and {j} are {distance:.3g} Å apart", f"distances of at least {nearest} Å")
