"""The data contract: every variable's dims, dtype and units, and the checks that hold a data set against it.

The names here are those of the zarr stores, of `Prediction` and of the group ``reference``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import ase
import numpy as np
import xarray as xr
from ase.data import chemical_symbols

from maladist.attributes import Attributes
from maladist.elements import Element
from maladist.energy_grid import EnergyGrid
from maladist.errors import StoreError
from maladist.grid import Grid
from maladist.physics.energies import TERMS, TOTAL
from maladist.physics.system import DoubleCounting, System, wrapped

SCHEMA_VERSION: Final = 1

SPACE: Final = ("x", "y", "z")
"""Dims of a field, along a, b and c."""


@dataclass(frozen=True)
class Variable:
    """How a variable looks in a store."""

    dims: tuple[str, ...]
    dtype: str
    units: str
    doc: str


VARIABLES: Final[Mapping[str, Variable]] = {
    "descriptors": Variable(("x", "y", "z", "feature"), "float32", "1", "descriptors of the surroundings of a point"),
    "ldos": Variable(("x", "y", "z", "energy"), "float32", "1/(eV Å^3)", "local density of states, both spins"),
    "density": Variable(("x", "y", "z"), "float64", "1/Å^3", "electron density"),
    "density_difference": Variable(("x", "y", "z"), "float64", "1/Å^3", "electron density less that of a reference"),
    "potential": Variable(("x", "y", "z"), "float64", "eV", "potential: energy of an electron"),
    "dos": Variable(("energy",), "float64", "1/eV", "density of states"),
    "energy": Variable(("energy",), "float64", "eV", "energies of the LDOS' samples"),
    "position": Variable(("atom", "xyz"), "float64", "Å", "Cartesian positions of the atoms"),
    "number": Variable(("atom",), "int16", "1", "atomic numbers"),
    "forces": Variable(("atom", "xyz"), "float64", "eV/Å", "forces on the atoms"),
    "stress": Variable(("voigt",), "float64", "eV/Å^3", "stress in ASE's sign: xx, yy, zz, yz, xz, xy"),
    "stress_fixed_cutoff": Variable(("voigt",), "float64", "eV/Å^3", "the DFT's stress without that of Pulay"),
    "novelty": Variable(("x", "y", "z"), "float32", "1", "distance from the training; above 1 is outside"),
}

_AXES: Final = {"x": "a", "y": "b", "z": "c"}
COORDINATES: Final = {
    **{d: f"fractional coordinate along {v}, the lattice vector" for d, v in _AXES.items()},
    **{f"{d}_A": f"Cartesian coordinate along {v}, the lattice vector" for d, v in _AXES.items()},
}
"""Coordinates of the points, by name; the Cartesian ones where the lattice vectors lie along x, y and z."""

ENERGY_TERMS: Final = tuple(term.name for term in (*TERMS, TOTAL))
SCALARS: Final = ("fermi_energy_eV", "n_electrons", *ENERGY_TERMS)
"""Scalar float64 variables of a Prediction, of its store and of a group ``reference``."""


class Sigma(NamedTuple):
    """A σ of a Prediction: of which quantity of a calibration, of which variable, in which units.

    ``extensive``: the calibration's is that of an atom, the store's that of the cell.
    """

    quantity: str
    of: str
    units: str
    extensive: bool


SIGMAS: Final[Mapping[str, Sigma]] = {
    "total_free_energy_sigma_eV": Sigma("total_free_energy", "total_free_energy_eV", "eV", True),
    "band_energy_sigma_eV": Sigma("band_energy", "band_energy_eV", "eV", True),
    "forces_sigma": Sigma("forces", "forces", "eV/Å", False),
    "density_sigma": Sigma("density", "density", "1/Å^3", False),
}
"""Scalar float64 variables of a Prediction of a calibrated model: standard deviation of its errors that is expected, of
forces and density over their components and points."""

LONG_NAMES: Final[Mapping[str, str]] = {
    **{name: variable.doc for name, variable in VARIABLES.items()},
    **COORDINATES,
    "temperature": "temperature of the electrons",
    "fermi_energy_eV": "Fermi level",
    "n_electrons": "number of electrons",
    "entropy_eV_per_K": "S, entropy of the electrons",
    "electrons": "electrons of the atom",
    "volume": "volume of the atom",
    "net_charge": "valence electrons of the free atom less those of the atom",
    "atom_dos": "density of states of the atom",
    "maximum_position": "Cartesian positions of maxima of the density that belong to no atom",
    "maximum_atom": "nearest atom of the maximum",
    "maximum_distance": "distance of the maximum from it",
    "maximum_electrons": "electrons of the basin",
    "maximum_volume": "volume of the basin",
    "maximum_dos": "density of states of the basin",
    "vacuum_electrons": "electrons where the density is all but zero",
    "vacuum_volume": "volume where the density is all but zero",
    "vacuum_dos": "density of states where the density is all but zero",
    "heat_capacity_eV_per_K": "C_v = T dS/dT, heat capacity of the electrons at fixed atoms",
    **{term.name: term.label for term in (*TERMS, TOTAL)},
    **{name: f"standard deviation of the error of {s.of}" for name, s in SIGMAS.items()},
}
"""What a variable is, in words, by its name: its attribute ``long_name``."""

_OF_AN_LDOS: Final = (
    *("broadening_kernel", "broadening_width_eV", "energy_levels", "energy_parts"),
    *("broadening_correction", "n_electrons", "temperature_K"),
)

SMALL: Final = 2**22
"""Bytes of a variable up to which it is read, and its values looked at, when its store is opened."""


def validate(dataset: xr.Dataset, need: Iterable[str], source: str = "data set") -> None:
    """Hold a data set against the contract.

    Parameters
    ----------
    dataset
        Data set, as it came out of a store.
    need
        Variables and attributes that must be there; all others of the contract's names are checked where present.
    source
        Name of the data set in error messages.

    Raises
    ------
    StoreError
        Naming the variable or attribute, what it is and what the contract wants.
    """
    version = dataset.attrs.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise StoreError(
            source,
            f"schema_version {version}",
            f"{SCHEMA_VERSION}",
            "Read it with the version of maladist that wrote it.",
        )
    for name in need:
        if name not in dataset.variables and name not in dataset.attrs:
            there = ", ".join(map(str, [*dataset.variables, *dataset.attrs])) or "nothing"
            raise StoreError(source, f"no {name!r} (there is: {there})", f"a data set with {', '.join(need)}")
    for name, variable in VARIABLES.items():
        if name not in dataset.variables:
            continue
        # Any variable may have a leading temperature: results at several of them have one shape otherwise.
        dims = tuple(d for d in dataset[name].dims if d != "temperature")
        if dims != variable.dims:
            raise StoreError(f"{source}: {name}", f"dims {dims}", f"{variable.dims}")
        if dataset[name].dtype.kind != np.dtype(variable.dtype).kind:
            raise StoreError(f"{source}: {name}", f"dtype {dataset[name].dtype}", variable.dtype)
        _check_values(dataset[name], name, source)
    for name in {*SCALARS, *SIGMAS} & set(dataset.variables):
        if dataset[name].dtype.kind != "f" or not set(dataset[name].dims) <= {"temperature"}:
            came = f"dtype {dataset[name].dtype}, dims {dataset[name].dims}"
            raise StoreError(f"{source}: {name}", came, "one float64, or one for each temperature")


def _check_values(variable: xr.DataArray, name: str, source: str) -> None:
    """Refuse numbers that cannot be: what a store reads where a chunk was lost is NaN, or atoms of number 0."""
    # Lazy or large ones are looked at when they are read: opening a store must not read terabytes.
    if variable.chunks is not None or variable.nbytes > SMALL:
        return
    values = variable.values
    if not np.isfinite(values).all():
        raise StoreError(f"{source}: {name}", "numbers that are not finite", "finite numbers", "Is a part of it lost?")
    if name == "number" and values.size and not (values.min() >= 1 and values.max() <= len(chemical_symbols) - 1):
        came = f"atomic numbers of {values.min()} to {values.max()}"
        raise StoreError(f"{source}: number", came, "those of elements", "Is a part of it lost?")


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


def array_attributes(name: str, units: str) -> dict[str, str]:
    """Attributes of a variable: its unit and, where the contract knows the name, what it is."""
    of = name.removesuffix("_std")
    if of not in LONG_NAMES:
        return {"units": units}
    return {
        "units": units,
        "long_name": LONG_NAMES[of] if of == name else f"standard deviation over members: {LONG_NAMES[of]}",
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


def coordinates_of(grid: Grid) -> dict[str, xr.Variable]:
    """Coordinates of the points along each axis: fractional, and in Å where the lattice vectors lie along x, y, z."""
    lengths = np.diagonal(grid.cell_array)
    along_axes = np.allclose(grid.cell_array, np.diag(lengths), rtol=0, atol=1e-9)
    found = {}
    for d, n, length in zip(_AXES, grid.shape, lengths, strict=True):
        fraction = np.arange(n) / n
        found[d] = xr.Variable(d, fraction, array_attributes(d, "1"))
        if along_axes:
            found[f"{d}_A"] = xr.Variable(d, length * fraction, array_attributes(f"{d}_A", "Å"))
    return found


def energy_attributes(energies: EnergyGrid) -> Attributes:
    """Attributes that name an energy grid's broadening, and how many energies there are where none has been cut off."""
    return {
        "broadening_kernel": energies.kernel,
        "broadening_width_eV": energies.width,
        "energy_levels": energies.levels,
        # Left out where there is one, so that older stores and theirs are alike.
        **({"energy_parts": [part.levels for part in energies.parts]} if energies.further else {}),
    }
