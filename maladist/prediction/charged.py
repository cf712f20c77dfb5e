"""What the parts of space hold as arrays of the atoms, and of the maxima of a density that are no atom's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import ase
import numpy as np
import numpy.typing as npt
import xarray as xr
from ase.data import covalent_radii

from maladist import metadata, schema
from maladist.arrays import AnyArray, Array, Indices
from maladist.choices import Partitioning
from maladist.elements import Element
from maladist.grid import Grid
from maladist.physics.bader import IN_VACUUM
from maladist.physics.system import System
from maladist.physics.voronoi import nearest_atoms


class Sums(NamedTuple):
    """Names of the parts, (n,), and what each holds, (n, 2 + levels): electrons, Å³, and D(ε), 1/eV."""

    labels: Indices
    values: Array


def added(parts: Sequence[Sums]) -> Sums:
    """Sums over blocks, in their order."""
    labels, rows = np.unique(np.concatenate([p.labels for p in parts]), return_inverse=True)
    values = np.zeros((len(labels), parts[0].values.shape[1]))
    np.add.at(values, rows, np.concatenate([p.values for p in parts]))
    return Sums(labels, values)


def _places(labels: Indices, grid: Grid) -> Array:
    """Positions of points by their flat index, (n, 3) Å."""
    return np.asarray(np.stack(np.unravel_index(labels, grid.shape), axis=-1) / grid.shape @ grid.cell_array)


class _Owners(NamedTuple):
    """Of each part the nearest atom, its distance, Å, and whether the part is the atom's."""

    atom: Indices
    distance: Array
    own: npt.NDArray[np.bool_]


def _owners(labels: Indices, system: System, method: Partitioning, radius: float | None) -> _Owners:
    if method == "voronoi":
        return _Owners(labels, np.zeros(len(labels)), np.ones(len(labels), bool))
    grid, diagonals = system.grid, np.array([[1, 1, 1], [1, 1, -1], [1, -1, 1], [-1, 1, 1]])
    places = _places(labels, grid)
    near, distances, nearest = nearest_atoms(grid, grid.whole, places, system.positions, system.numbers)
    assert near.indices is not None
    distance, atom = distances[:, 0], near.indices[nearest]
    if radius is not None:
        return _Owners(atom, distance, distance <= radius)
    diagonal = np.linalg.norm(diagonals / np.array(grid.shape) @ grid.cell_array, axis=1).max()
    # Half way to the middle of a bond: a maximum beside the nucleus is the atom's, that of a bond is not.
    return _Owners(atom, distance, distance <= np.maximum(covalent_radii[system.numbers[atom]] / 2, diagonal))


def by_atom(dataset: xr.Dataset, system: System, method: Partitioning, sums: Sums, radius: float | None) -> xr.Dataset:
    """Arrays of the atoms, and of the maxima that are none's; numbers of the vacuum."""
    vacuum = sums.values[sums.labels == IN_VACUUM].sum(axis=0)
    sums = Sums(sums.labels[sums.labels != IN_VACUUM], sums.values[sums.labels != IN_VACUUM])
    owners = _owners(sums.labels, system, method, radius)
    of_atoms, alone = np.zeros((system.n_atoms, sums.values.shape[1])), ~owners.own
    np.add.at(of_atoms, owners.atom[owners.own], sums.values[owners.own])
    notes = _notes(system, of_atoms, sums.values[alone], owners) if method == "bader" else []
    if "ldos" not in dataset:
        notes.append("the store holds no LDOS, so there is no D(ε) of an atom: predict with --keep ldos")
    valence = _valences(system)
    columns: dict[str, tuple[tuple[str, ...], AnyArray]] = {
        "position": (("atom", "xyz"), system.positions),
        "number": (("atom",), system.numbers),
        "electrons": (("atom",), of_atoms[:, 0]),
        "volume": (("atom",), of_atoms[:, 1]),
    }
    if valence is not None:
        columns["net_charge"] = (("atom",), valence - of_atoms[:, 0])
    if method == "bader":
        columns["maximum_position"] = (("maximum", "xyz"), _places(sums.labels[alone], system.grid))
        columns["maximum_atom"] = (("maximum",), owners.atom[alone])
        columns["maximum_distance"] = (("maximum",), owners.distance[alone])
        columns["maximum_electrons"] = (("maximum",), sums.values[alone, 0])
        columns["maximum_volume"] = (("maximum",), sums.values[alone, 1])
        columns["vacuum_electrons"], columns["vacuum_volume"] = ((), vacuum[0]), ((), vacuum[1])
    if "ldos" in dataset:
        columns["atom_dos"] = (("atom", "energy"), of_atoms[:, 2:])
        if method == "bader":
            columns["maximum_dos"] = (("maximum", "energy"), sums.values[alone, 2:])
            columns["vacuum_dos"] = (("energy",), vacuum[2:])
    variables = {n: (dims, values, schema.array_attributes(n, _unit(n))) for n, (dims, values) in columns.items()}
    coordinates = {"atom": np.arange(system.n_atoms), **({"energy": dataset["energy"]} if "ldos" in dataset else {})}
    about = {**metadata.grid_attributes(system.grid), "method": method, "notes": notes}
    about |= metadata.energy_attributes(metadata.energy_grid_of(dataset)) if "ldos" in dataset else {}
    return xr.Dataset(variables, coordinates, about)


def _notes(system: System, atoms: Array, others: Array, owners: _Owners) -> list[str]:
    """What a user should know of the basins."""
    without = [s for s in system.kinds if not _has_core(system.elements.get(s))]
    of, notes = "n" if len(without) == len(system.kinds) else "n + n_core", []
    if len(others):
        held, total = float(others[:, 0].sum()), float(atoms[:, 0].sum() + others[:, 0].sum())
        near = f"the nearest is {owners.distance[~owners.own].min():.2f} Å from one (radius)"
        notes.append(
            f"maxima of {of} that belong to no atom: {len(others)}, with {held:.4f} of {total:.4f} electrons, "
            f"which the atoms' charges lack; {near}"
        )
    if missing := system.n_atoms - len(np.unique(owners.atom[owners.own])):
        none = f"{missing} of {system.n_atoms} atoms have no maximum of {of}, and so no electrons"
        remedy = f"; n(r) lacks the cores of {', '.join(without)}: give pseudopotentials that have a core charge"
        notes.append(f"{none}{remedy if without else ''}, or take method voronoi")
    return notes


def _has_core(element: Element | None) -> bool:
    return element is not None and element.core_density is not None


def _valences(system: System) -> Array | None:
    """Valence electrons of each free atom; None where nothing tells them."""
    if system.elements:
        return np.array([system.elements[s].valence for s in system.symbols], dtype=np.float64)
    if len(system.kinds) == 1 and system.n_electrons is not None:
        return np.full(system.n_atoms, system.n_electrons / system.n_atoms)
    return None


def _unit(name: str) -> str:
    kind = name.removeprefix("maximum_").removeprefix("vacuum_")
    return {"position": "Å", "distance": "Å", "volume": "Å^3", "dos": "1/eV", "atom_dos": "1/eV"}.get(kind, "1")


def charged_atoms(found: xr.Dataset) -> ase.Atoms:
    """The atoms with their ``electrons``, ``volume``, ``net_charge`` and ``dos`` as arrays; the rest in their info."""
    atoms = metadata.atoms_of(found)
    for name in ("electrons", "volume", "net_charge"):
        if name in found:
            atoms.set_array(name, found[name].values)
    atoms.info["method"] = found.attrs["method"]
    if "atom_dos" in found:
        atoms.set_array("dos", found["atom_dos"].values)
        atoms.info["dos_energy_eV"] = found["energy"].values
    if found.sizes.get("maximum"):
        atoms.info["electrons_of_no_atom"] = float(found["maximum_electrons"].sum())
    return atoms
