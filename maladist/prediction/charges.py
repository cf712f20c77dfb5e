"""Electrons and D(ε) of each atom: a partition of space, Voronoi's or Bader's, integrated block by block.

    N_a = ∫ w_a(r) n(r) dr,    D_a(ε) = ∫ w_a(r) d(ε, r) dr,    Σ_a w_a(r) = 1

A task reads its block, and for Bader the density around it, makes the weights there (`maladist.physics.voronoi`,
`maladist.physics.bader`) and gives sums; the sums of the blocks are added in their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

import ase
import numpy as np
import numpy.typing as npt
import xarray as xr
from ase.data import covalent_radii
from distributed import Client

from maladist import schema
from maladist.arrays import AnyArray, Array, Indices
from maladist.elements import Element
from maladist.errors import InputError, PseudopotentialError
from maladist.grid import Block, Blocks, Grid
from maladist.io import stores
from maladist.io.qe.upf import elements_of
from maladist.parallel import waves
from maladist.parallel.here import Runner
from maladist.parallel.workers import Workers
from maladist.physics.bader import WINDOW_BYTES, bader
from maladist.physics.core_points import core_charge_at
from maladist.physics.partition import Partition
from maladist.physics.system import System
from maladist.physics.voronoi import nearest_atoms, voronoi
from maladist.prediction.place import are_few, client_or_here
from maladist.prediction.result import Prediction
from maladist.prediction.stored import StoredDensity, stored_density

Method = Literal["bader", "voronoi"]

_BLOCK: Final = (64, 64, 64)
"""Points of a block where no LDOS says its own: with the density around it, some hundred MB."""


def charges(
    source: Prediction | str | Path,
    *,
    method: Method = "bader",
    pseudopotentials: str | Path | Mapping[str, Element] | None = None,
    radius: float | None = None,
    temperature: float | None = None,
    client: Client | None = None,
) -> xr.Dataset:
    """Electrons, volume and D(ε) of each atom, after Bader or Voronoi.

    n(r) is that of the valence electrons, smooth in the cores: it need not have a maximum at a nucleus, and in a metal
    has most of them between the atoms. A basin of Bader's whose maximum is not an atom's is given to none. With
    ``pseudopotentials`` that have a core charge (PP_NLCC) the basins are those of n + n_core, which has one at each.

    Parameters
    ----------
    source
        A result or a snapshot with a density, as a Prediction or its store.
    method
        'bader': basins of the density's maxima, with the weights of Yu and Trinkle, J. Chem. Phys. 134, 064111 (2011);
        'voronoi': each point to the nearest atom, shared where several are as near.
    pseudopotentials
        Folder of UPF files, or elements by symbol such as ``load_model(...).elements``: valences, for net charges, and
        core charges, for Bader's basins.
    radius
        Bader: largest distance of a maximum from the atom that it belongs to, Å. Default: half the covalent radius,
        and at least the diagonal of a voxel.
    temperature
        Temperature of the electrons, K, of a store that has several.
    client
        Client whose workers compute. By default a small cell is computed in this process.

    Returns
    -------
    Dataset
        Along ``atom``: ``electrons``, ``volume`` (Å³), ``net_charge`` (valence less electrons; where the valence is
        known: from the pseudopotentials, or n_electrons of one element), ``position``, ``number``; with an LDOS in the
        store ``atom_dos`` (atom, energy), 1/eV. Along ``maximum``, of Bader's basins that belong to no atom:
        ``maximum_position``, the nearest atom ``maximum_atom`` and its ``maximum_distance`` (Å), ``maximum_electrons``,
        ``maximum_volume``, ``maximum_dos``. Atoms and maxima together hold all electrons. float64. Attributes
        ``method`` and ``notes``.

    Raises
    ------
    InputError
        A method or a radius that is none; a temperature that the store has not.
    StoreError
        No density, or no atoms.
    PseudopotentialError
        The pseudopotential of an element is missing, or not that of the density.
    BlockError
        Basins that reach over more points than a worker has room for.
    """
    if method not in get_args(Method):
        raise InputError("method", repr(method), " or ".join(get_args(Method)))
    if radius is not None and (method != "bader" or not 0 < radius < np.inf):
        came = f"{radius} Å" if method == "bader" else f"given with {method}"
        raise InputError("radius", came, "a positive distance in Å, for bader")
    dataset, density = stored_density(source, temperature, "source")
    elements = {} if pseudopotentials is None else _checked(elements_of(pseudopotentials), dataset)
    system = schema.read_system(dataset, elements, source="source")
    with client_or_here(client, are_few(system.grid.n_points, "auto")) as runner:
        sums = _sums(dataset, density, system, method, runner)
    return _result(dataset, system, method, sums, _owners(sums.labels, system, method, radius))


class _Sums(NamedTuple):
    """Names of the parts, (n,), and what each holds, (n, 2 + levels): electrons, Å³, and D(ε), 1/eV."""

    labels: Indices
    values: Array


@dataclass(frozen=True)
class _Work:
    """What the tasks share."""

    density: StoredDensity
    system: System
    method: Method
    levels: int
    most_points: int

    def partition(self, block: Block) -> Partition:
        system = self.system
        if self.method == "voronoi":
            return voronoi(system.grid, block, system.positions, system.numbers)
        return bader(self._uphill, system.grid, block, self.most_points)

    def _uphill(self, first: Indices, size: Indices) -> Array:
        """The density whose basins are sought: n + n_core, where that is known."""
        system = self.system
        core = core_charge_at(system.grid, first, size, system.positions, system.numbers, system.elements)
        return core + self.density.box(first, size, system.grid.shape)


def _sums(dataset: xr.Dataset, density: StoredDensity, system: System, method: Method, runner: Runner) -> _Sums:
    """Sums over all blocks, by label."""
    levels = dataset.sizes["energy"] if "ldos" in dataset else 0
    blocks = _blocks(density, system.grid, bool(levels))
    held = 8 * levels * int(np.prod(blocks.block_shape))
    most = max(0, Workers.of(runner).room(held)) // WINDOW_BYTES
    work = waves.share(runner, _Work(density, system, method, levels, most), run_key="charges")
    jobs = (waves.NamedJob(str(block.index), work, block) for block in blocks)
    parts = waves.in_order(runner, _of_block, jobs, run_key="charges")
    labels, rows = np.unique(np.concatenate([p.labels for p in parts]), return_inverse=True)
    values = np.zeros((len(labels), 2 + levels))
    np.add.at(values, rows, np.concatenate([p.values for p in parts]))
    return _Sums(labels, values)


def _blocks(density: StoredDensity, grid: Grid, by_ldos: bool) -> Blocks:
    """Blocks as the LDOS was written, whose chunks are then read once; else cubes."""
    if not by_ldos:
        return grid.blocks(_BLOCK)
    return grid.blocks(stores.open_array(density.path, "ldos", "r").chunks[:3])


def _of_block(work: _Work, block: Block) -> _Sums:
    """What each part of space holds of a block."""
    partition = work.partition(block)
    start, shape = np.array(block.start), np.array(block.shape)
    n = work.density.box(start, shape, work.system.grid.shape).ravel()
    values = [partition.sums(np.stack([n, np.ones_like(n)], axis=1))]
    if work.levels:
        ldos = stores.read_region(work.density.path, "ldos", block.slices)
        values.append(partition.sums(ldos.reshape(-1, work.levels)))
    return _Sums(partition.labels, np.concatenate(values, axis=1) * work.system.grid.voxel_volume)


def _checked(elements: Mapping[str, Element], dataset: xr.Dataset) -> Mapping[str, Element]:
    """The elements of the cell, held against what the density's data tell of them."""
    for symbol in sorted(set(schema.atoms_of(dataset).symbols)):
        if symbol not in elements or elements[symbol].valence is None:
            raise PseudopotentialError("pseudopotentials", f"none for {symbol}", "one for each element")
        told = dataset.attrs.get("pseudopotentials", {}).get(symbol, {})
        if told.get("sha256") not in ("", None, elements[symbol].sha256):
            came = f"another file for {symbol} than {told.get('file', 'that')} of the density"
            raise PseudopotentialError("pseudopotentials", came, "the files of the density's data")
    return elements


def _places(labels: Indices, grid: Grid) -> Array:
    """Positions of points by their flat index, (n, 3) Å."""
    return np.asarray(np.stack(np.unravel_index(labels, grid.shape), axis=-1) / grid.shape @ grid.cell_array)


class _Owners(NamedTuple):
    """Of each part the nearest atom, its distance, Å, and whether the part is the atom's."""

    atom: Indices
    distance: Array
    own: npt.NDArray[np.bool_]


def _owners(labels: Indices, system: System, method: Method, radius: float | None) -> _Owners:
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


def _result(dataset: xr.Dataset, system: System, method: Method, sums: _Sums, owners: _Owners) -> xr.Dataset:
    """Arrays of the atoms, and of the maxima that are none's."""
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
    if "ldos" in dataset:
        columns["atom_dos"] = (("atom", "energy"), of_atoms[:, 2:])
        if method == "bader":
            columns["maximum_dos"] = (("maximum", "energy"), sums.values[alone, 2:])
    variables = {n: (dims, values, schema.array_attributes(n, _unit(n))) for n, (dims, values) in columns.items()}
    coordinates = {"atom": np.arange(system.n_atoms), **({"energy": dataset["energy"]} if "ldos" in dataset else {})}
    return xr.Dataset(variables, coordinates, {**schema.grid_attributes(system.grid), "method": method, "notes": notes})


def _notes(system: System, atoms: Array, others: Array, owners: _Owners) -> list[str]:
    """What a user should know of the basins."""
    without = [s for s in dict.fromkeys(system.symbols) if not _has_core(system.elements.get(s))]
    of, notes = "n" if len(without) == len(set(system.symbols)) else "n + n_core", []
    if len(others):
        held, total = float(others[:, 0].sum()), float(atoms[:, 0].sum() + others[:, 0].sum())
        near = f"the nearest is {owners.distance[~owners.own].min():.2f} Å from one (radius)"
        notes.append(
            f"maxima of {of} that belong to no atom: {len(others)}, with {held:.4f} of {total:.4f} electrons; {near}"
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
    if len(set(system.symbols)) == 1 and system.n_electrons is not None:
        return np.full(system.n_atoms, system.n_electrons / system.n_atoms)
    return None


def _unit(name: str) -> str:
    kind = name.removeprefix("maximum_")
    return {"position": "Å", "distance": "Å", "volume": "Å^3", "dos": "1/eV", "atom_dos": "1/eV"}.get(kind, "1")


def charged_atoms(found: xr.Dataset) -> ase.Atoms:
    """The atoms with their ``electrons``, ``volume``, ``net_charge`` and ``dos`` as arrays; the rest in their info."""
    atoms = schema.atoms_of(found)
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
