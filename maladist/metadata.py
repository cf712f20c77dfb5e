"""What a data set tells of its grid, energies, atoms and system, and the attributes that tell it: both ways.

`maladist.schema` has the names, dims and units.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import ase
import numpy as np
import xarray as xr

from maladist.atoms import AtomsLike, ase_atoms, check_atoms
from maladist.attributes import Attributes
from maladist.choices import DoubleCounting
from maladist.elements import Element
from maladist.energy_grid import EnergyGrid
from maladist.errors import InputError, StoreError
from maladist.grid import Grid
from maladist.physics.system import System, wrapped
from maladist.schema import SCHEMA_VERSION

_OF_AN_LDOS: Final = (
    *("broadening_kernel", "broadening_width_eV", "energy_levels", "energy_parts"),
    *("broadening_correction", "n_electrons", "temperature_K"),
)
_SAME_PLACE: Final = 0.01  # Å: a file of positions has two decimals at least


def grid_of(dataset: xr.Dataset, source: str = "data set") -> Grid:
    """Real-space grid of a data set: its attribute ``cell`` and the sizes of its dims x, y, z."""
    cell = np.asarray(dataset.attrs.get("cell", []), dtype=float)
    if cell.size != 9:
        raise StoreError(f"{source}: cell", f"{cell.size} numbers", "nine numbers, rows of lattice vectors in Å")
    nx, ny, nz = (dataset.sizes[d] for d in ("x", "y", "z"))
    whole = tuple(dataset.attrs.get("grid", (nx, ny, nz)))
    # A part of a cell has another grid than the one that its points were computed on.
    if whole != (nx, ny, nz):
        raise StoreError(
            source, f"{nx}×{ny}×{nz} points, a part of its grid", "×".join(map(str, whole)), "Give the whole cell."
        )
    return Grid(cell.reshape(3, 3).tolist(), (nx, ny, nz))


def energy_grid_of(dataset: xr.Dataset | xr.DataArray, *, selected: bool = False) -> EnergyGrid:
    """Energy grid of a data set with its broadening; a kernel that is not stated is 'unknown'.

    Parameters
    ----------
    selected
        Whether some of its energies will do.

    Raises
    ------
    StoreError
        There are fewer energies than the data set had.
    GridError
        Energies that are no axis, or a selection from several parts.
    """
    levels, sizes = dataset.attrs.get("energy_levels"), dataset.sizes["energy"]
    # The Fermi weights are of all levels: of a part of them the integrals would be wrong without a word.
    if not selected and levels is not None and levels != sizes:
        came, remedy = f"{sizes} energies of {levels}", "Choose energies after integrating, not before."
        raise StoreError("ldos", came, "all of them", remedy)
    kernel = dataset.attrs.get("broadening_kernel", "unknown")
    return EnergyGrid.from_values(
        dataset["energy"].values,
        kernel,
        float(dataset.attrs.get("broadening_width_eV", 0.0)),
        np.atleast_1d(dataset.attrs.get("energy_parts", ())).astype(int).tolist(),
    )


def atoms_of(dataset: xr.Dataset) -> ase.Atoms:
    """Atoms of a data set."""
    cell = np.asarray(dataset.attrs["cell"], dtype=float).reshape(3, 3)
    return ase.Atoms(numbers=dataset["number"].values, positions=dataset["position"].values, cell=cell, pbc=True)


def known_atoms(dataset: xr.Dataset, given: AtomsLike | None, name: str) -> ase.Atoms:
    """Atoms of a data set, or those that are given where it has none.

    Parameters
    ----------
    dataset
        Data set with a grid.
    given
        Atoms of the user; None for the data set's.
    name
        What the data set is, for errors: 'density', 'LDOS'.

    Raises
    ------
    StoreError
        The data set has no atoms, and none are given.
    InputError
        Those that are given have another cell, or are others than the data set's.
    """
    has = {"position", "number"} <= set(dataset.variables)
    if given is None:
        if not has:
            raise StoreError(name, "no atoms", "variables position and number", "Give the atoms (--atoms).")
        atoms = atoms_of(dataset)
        check_atoms(atoms)
        return atoms
    atoms, cell = ase_atoms(given), grid_of(dataset).cell_array
    check_atoms(atoms)
    if not np.allclose(atoms.cell.array, cell, atol=1e-3):
        raise InputError("atoms", f"a cell that is not that of the {name}", f"the cell {cell.round(4).tolist()}")
    # Silently in their place, others would give numbers of a crystal that is not there.
    if has and (other := _difference(atoms_of(dataset), atoms)):
        remedy = f"Leave the atoms out: the {name} has its own."
        raise InputError("atoms", other, f"the atoms of the {name}", remedy)
    return atoms


def _difference(atoms: ase.Atoms, given: ase.Atoms) -> str:
    """In what given atoms are others than some of the same cell, in words; empty where they are the same."""
    if len(atoms) != len(given) or (atoms.numbers != given.numbers).any():
        return f"{given.symbols!s:.60} in the order of the file, not {atoms.symbols!s:.60}"
    apart = given.get_scaled_positions(wrap=False) - atoms.get_scaled_positions(wrap=False)
    distances = np.linalg.norm((apart - apart.round()) @ atoms.cell.array, axis=1)
    farthest = int(distances.argmax())
    if distances[farthest] <= _SAME_PLACE:
        return ""
    return f"atom {farthest} ({given.symbols[farthest]}) {distances[farthest]:.3g} Å from where it is"


def read_system(
    dataset: xr.Dataset, elements: Mapping[str, Element], atoms: ase.Atoms | None = None, source: str = "data set"
) -> System:
    """The system of a data set, with what the data set tells of it; the inverse of :func:`system_attributes`.

    Parameters
    ----------
    dataset
        Data set with the sizes of x, y, z, the attribute ``cell`` and the variables ``position`` and ``number``.
    elements
        Elements by symbol; a store has no more than the names of the pseudopotentials.
    atoms
        Atoms in place of the data set's.
    source
        Its name in error messages.
    """
    attrs, grid = dataset.attrs, grid_of(dataset, source)
    temperatures = tuple(np.atleast_1d(attrs.get("temperature_K", ())).astype(float).tolist())
    # Data of one temperature have their density at that one; of several nothing tells.
    own = temperatures[0] if len(temperatures) == 1 else None
    # Data that hold a density and are no result of this program hold that of the DFT.
    held: DoubleCounting = "dft" if "density" in dataset and "fermi_energy_eV" not in dataset else "ldos"
    return System(
        grid,
        np.asarray(dataset["position"].values, dtype=float) if atoms is None else wrapped(atoms, grid),
        np.asarray(dataset["number"].values if atoms is None else atoms.numbers, dtype=np.int16),
        elements,
        attrs.get("xc"),
        attrs.get("density_cutoff_eV"),
        attrs.get("n_electrons"),
        temperatures,
        bool(attrs.get("broadening_correction", False)),
        attrs.get("double_counting", held),
        attrs.get("reference_temperature_K", own),
        assume_isolated=attrs.get("assume_isolated"),
    )


def reference_density(dataset: xr.Dataset) -> xr.DataArray | None:
    """n₀ of a data set, (x, y, z): its density at the reference temperature; None where there is none."""
    if "density" not in dataset:
        return None
    density, own = dataset["density"], dataset.attrs.get("temperature_K")
    t0 = dataset.attrs.get("reference_temperature_K", own)  # data of the DFT have one temperature
    if "temperature" in density.dims:
        at = np.flatnonzero(np.isclose(dataset["temperature"].values, t0))
        return density.isel(temperature=int(at[0])).transpose("x", "y", "z") if len(at) else None
    return density.transpose("x", "y", "z") if own is None or np.isclose(own, t0) else None


def system_attributes(system: System) -> Attributes:
    """Attributes of a store of what was computed for a system; its atoms are variables."""
    t = system.temperatures
    return {
        **grid_attributes(system.grid),
        "temperature_K": t[0] if len(t) == 1 else list(t),
        "n_electrons": system.n_electrons,
        "xc": system.xc,
        "pseudopotentials": {
            s: {"file": e.pseudopotential, "sha256": e.sha256}
            for s, e in system.elements.items()
            if e.has_pseudopotential
        },
        "density_cutoff_eV": system.density_cutoff,
        **({} if system.assume_isolated is None else {"assume_isolated": system.assume_isolated}),
        "broadening_correction": system.correction,
        "double_counting": system.double_counting,
        "reference_temperature_K": system.reference_temperature,
        "notes": list(system.notes),
    }


def grid_attributes(grid: Grid) -> Attributes:
    """Attributes that name a grid."""
    return {
        "schema_version": SCHEMA_VERSION,
        "cell": [float(x) for x in grid.cell_array.ravel()],
        "grid": list(grid.shape),
    }


def field_attributes(name: str, dims: Iterable[str], of_store: Mapping[str, object]) -> dict[str, object]:
    """What the accessor of a field or a D(ε) needs of its store's attributes, to work where it has been taken from it.

    Parameters
    ----------
    name
        Name of the variable.
    dims
        Its dims; where they are those of neither, it needs nothing.
    of_store
        Attributes of its store.
    """
    found = set(dims)
    # Without its cut-off a slab would be taken for a crystal, whose energies and potential are others.
    of_field = ("cell", "grid", "assume_isolated") if {"x", "y", "z"} <= found else ()
    # Without its parts an axis with gaps would be taken for one.
    needed = (*of_field, *(_OF_AN_LDOS if "energy" in found and name != "energy" else ()))
    # netCDF has neither true and false nor null.
    return {n: int(v) if isinstance(v, bool) else v for n in needed if (v := of_store.get(n)) is not None}


def energy_attributes(energies: EnergyGrid) -> Attributes:
    """Attributes that name an energy grid's broadening, and how many energies there are where none has been cut off."""
    return {
        "broadening_kernel": energies.kernel,
        "broadening_width_eV": energies.width,
        "energy_levels": energies.levels,
        # Left out where there is one, so that older stores and theirs are alike.
        **({"energy_parts": [part.levels for part in energies.parts]} if energies.further else {}),
    }
