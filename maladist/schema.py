"""The data contract: every variable's dims, dtype and units, and the checks that hold a data set against it.

The names here are those of the zarr stores, of `Prediction` and of the group ``reference``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import xarray as xr
from ase.data import chemical_symbols

from maladist.errors import StoreError
from maladist.grid import Grid
from maladist.physics.energies import TERMS, TOTAL

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


def array_attributes(name: str, units: str) -> dict[str, str]:
    """Attributes of a variable: its unit and, where the contract knows the name, what it is."""
    of = name.removesuffix("_std")
    if of not in LONG_NAMES:
        return {"units": units}
    return {
        "units": units,
        "long_name": LONG_NAMES[of] if of == name else f"standard deviation over members: {LONG_NAMES[of]}",
    }


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
