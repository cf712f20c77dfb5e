"""MALA's snapshots: fields in .npy (x, y, z, feature), facts in .info.json.

The LDOS is in 1/(eV Å³), the density in 1/Å³ with a trailing axis of one; descriptors carry three columns of positions
(Å) before the features. A .npy file is mapped, so that a block reads its own part only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Annotated, Any, Final

import ase
import numpy as np
from ase.data import chemical_symbols
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from maladist.arrays import AnyArray
from maladist.errors import DataFileError, PhysicsError
from maladist.grid import Grid
from maladist.io.fields import raw
from maladist.io.fields.npy import map_array
from maladist.io.foreign import refusing
from maladist.io.paths import plain_file
from maladist.io.qe.run import DFTRun
from maladist.io.refused import refuse_file_names
from maladist.io.targets import write_whole
from maladist.physics.isolated import Isolated
from maladist.units import BOLTZMANN, RYDBERG

POSITION_COLUMNS: Final = 3

_Vector = tuple[float, float, float]


def _bare(value: Any) -> Any:
    """An array as MALA writes it, as a list or as {"array": list}."""
    return value["array"] if isinstance(value, dict) and "array" in value else value


_Array = BeforeValidator(_bare)


class _Part(BaseModel):
    """A part of MALA's JSON: what is read has its type, the rest is left alone."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class _Atoms(_Part):
    cell: Annotated[tuple[_Vector, _Vector, _Vector], _Array]
    positions: Annotated[list[_Vector], _Array]
    numbers: Annotated[list[Annotated[int, Field(ge=1, lt=len(chemical_symbols))]], _Array]
    pbc: Annotated[tuple[bool, bool, bool], _Array] = (True, True, True)


class _Info(_Part):
    atoms: _Atoms
    grid_dimensions: tuple[int, int, int] | None = None
    temperature: float | None = None
    ecutrho: float | None = None
    pseudopotentials: dict[str, str] | None = None
    number_of_electrons_exact: float | None = None
    fermi_energy_dft: float | None = None
    band_energy_dft_calculation: float | None = None
    entropy_contribution_dft_calculation: float | None = None
    hartree_contribution: float | None = None
    xc_contribution: float | None = None
    ewald_contribution: float | None = None
    total_energy_dft_calculation: float | None = None
    number_of_electrons_from_eigenvals: float | None = None


_TERMS: Final = {
    "fermi_energy_eV": "fermi_energy_dft",
    "band_energy_eV": "band_energy_dft_calculation",
    "entropy_contribution_eV": "entropy_contribution_dft_calculation",
    "hartree_eV": "hartree_contribution",
    "xc_eV": "xc_contribution",
    "ewald_eV": "ewald_contribution",
    "total_free_energy_eV": "total_energy_dft_calculation",
    "n_electrons": "number_of_electrons_from_eigenvals",
}


def read_info(path: Path) -> DFTRun:
    """Read MALA's .info.json of a snapshot.

    Raises
    ------
    DataFileError
        A file that is no JSON, has no atoms, or has something else than a number where one belongs.
    PhysicsError
        Physics that this program does not have.
    """
    with refusing(plain_file(path, "MALA's .info.json", str(path)), "MALA's .info.json of a snapshot"):
        facts = json.loads(path.read_bytes())
    if not isinstance(facts, dict):
        raise DataFileError(str(path), f"a JSON {type(facts).__name__}", "MALA's .info.json of a snapshot")
    try:
        info = _Info.model_validate(facts)
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(map(str, wrong["loc"]))
        raise DataFileError(str(path), f"{where}: {wrong['msg']}", "MALA's .info.json of a snapshot") from error
    files = info.pseudopotentials or {}
    refuse_file_names(files.values(), path)
    atoms = info.atoms
    isolated = isolated_of(facts)
    if not all(atoms.pbc[:2]) or (not atoms.pbc[2] and isolated is None):
        came = f"atoms that are not periodic (pbc = {list(atoms.pbc)})"
        raise PhysicsError(
            str(path), came, "a cell that is periodic in all directions", "Ewald and Hartree are of such."
        )
    if len(atoms.positions) != len(atoms.numbers):
        came = f"{len(atoms.positions)} positions of {len(atoms.numbers)} atoms"
        raise DataFileError(str(path), came, "a position for each atom")
    return DFTRun(
        path=path,
        atoms=ase.Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True),
        shape=info.grid_dimensions,
        temperature=info.temperature,
        n_electrons=info.number_of_electrons_exact,
        pseudopotentials=files,
        density_cutoff=None if info.ecutrho is None else info.ecutrho * RYDBERG,
        assume_isolated=isolated,
        terms={ours: value for ours, theirs in _TERMS.items() if (value := getattr(info, theirs)) is not None},
    )


def isolated_of(parameters: Mapping[str, Any]) -> Isolated | None:
    """'2D' where MALA takes a cell as two-dimensional, as Quantum ESPRESSO then does that it calls for energies."""
    return "2D" if str(anywhere(parameters, "assume_two_dimensional")).lower() == "true" else None


def anywhere(parameters: Mapping[str, Any], name: str) -> object:
    """Value of a parameter in whichever section MALA's version keeps it; None where none does."""
    sections = [parameters]
    while sections:
        section = sections.pop()
        if name in section:
            return section[name]
        sections += [part for part in section.values() if isinstance(part, dict)]
    return None


def open_field(path: Path) -> AnyArray:
    """Map a .npy file of (x, y, z) or (x, y, z, features).

    Raises
    ------
    DataFileError
        A file that is not a .npy file, is truncated, or holds another kind of array.
    """
    array = map_array(path)
    if array.ndim not in (3, 4) or array.dtype.kind != "f":
        raise DataFileError(str(path), f"{array.dtype} of shape {array.shape}", "real numbers (x, y, z[, feature])")
    return array


def split_positions(shape: tuple[int, ...], n_features: int, path: Path) -> int:
    """Number of columns before the features: 3 or 0.

    Raises
    ------
    DataFileError
        Neither fits.
    """
    # MALA can be told to leave the positions out.
    extra = shape[-1] - n_features
    if extra not in (0, POSITION_COLUMNS):
        wanted = f"{n_features} features, or {n_features + POSITION_COLUMNS} columns with the positions"
        raise DataFileError(str(path), f"{shape[-1]} columns", wanted, "Give the descriptors' own --twojmax.")
    return extra


def check_positions(array: AnyArray, grid: Grid, path: Path) -> None:
    """Hold the position columns of descriptors against the grid, on its edges.

    Raises
    ------
    DataFileError
        Another grid, cell, or order of axes.
    """
    for axis in range(3):
        # The last point along each axis: a swap of axes or another cell shows there most.
        last = tuple(n - 1 if a == axis else 0 for a, n in enumerate(grid.shape))
        wanted = (grid.shape[axis] - 1) / grid.shape[axis] * grid.cell_array[axis]
        difference = np.abs(np.asarray(array[last][:POSITION_COLUMNS], dtype=float) - wanted).max()
        if not difference <= 1e-3:  # NaN neither
            came = f"positions that differ by {difference:.3g} Å at the end of axis {axis}"
            raise DataFileError(str(path), came, "the grid of the calculation", "It belongs to another snapshot.")


def create_field(path: Path, shape: tuple[int, ...], dtype: str = "float32") -> tuple[int]:
    """Make an empty .npy file, to be filled through `maladist.io.fields.raw`; its room on the disk is taken.

    Returns
    -------
    tuple of int
        Offset of the first number in the file, bytes.

    Raises
    ------
    OSError
        There is no room on the disk.
    """
    with path.open("wb") as file:
        header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        begin = file.tell()
    raw.allocate(path, begin + prod(shape) * np.dtype(dtype).itemsize)
    return (begin,)


def write_info(path: Path, atoms: ase.Atoms, grid: Grid, facts: dict[str, Any], terms: dict[str, float]) -> None:
    """Write an .info.json that MALA reads."""
    write_whole(path, json.dumps(info_of(atoms, grid, facts, terms), indent=1) + "\n")


def info_of(atoms: ase.Atoms, grid: Grid, facts: Mapping[str, Any], terms: Mapping[str, float]) -> dict[str, Any]:
    """Content of an .info.json, or of that in a model's zip."""
    electrons, temperature = facts.get("n_electrons"), facts.get("temperature_K")
    ecutrho = None if facts.get("density_cutoff_eV") is None else facts["density_cutoff_eV"] / RYDBERG
    return {
        **{theirs: terms.get(ours) for ours, theirs in _TERMS.items()},
        "one_electron_contribution": None,
        "temperature": temperature,
        "number_of_electrons_exact": electrons,
        "electrons_per_atom": None if electrons is None else electrons / len(atoms),
        "grid_dimensions": list(grid.shape),
        # MALA demands these and writes them into the input of its own Quantum ESPRESSO: the cell as it is, the smearing
        # of the temperature, and the cutoff that Quantum ESPRESSO pairs with ecutrho unless it is told.
        "ibrav": 0,
        "ecutwfc": None if ecutrho is None else ecutrho / 4,
        "ecutrho": ecutrho,
        "degauss": None if temperature is None else BOLTZMANN * temperature / RYDBERG,
        "pseudopotentials": {s: p["file"] for s, p in facts.get("pseudopotentials", {}).items()},
        "voxel": {"array": (grid.cell_array / np.array(grid.shape)[:, None]).tolist()},
        **({"assume_two_dimensional": True} if facts.get("assume_isolated") else {}),
        "atoms": {
            "numbers": atoms.numbers.tolist(),
            "positions": atoms.positions.tolist(),
            "cell": grid.cell_array.tolist(),
            "pbc": [True, True, True],
        },
    }
