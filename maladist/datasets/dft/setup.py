"""What every DFT calculation of a data set has in common, from a YAML file.

temperature: 1000            # K
pseudopotentials: pp         # folder of UPF files, beside the YAML file
ecutwfc: 25                  # Ry
ecutrho: 100
kpoints: {8: [4, 4, 6], 16: [4, 4, 3]}   # by number of atoms, or one mesh for all; meshes of sizes must nest
energies: {origin: -4.0, spacing: 0.1, levels: 130}   # eV
broadening: 0.1              # δ of the Gaussian, eV
bands: auto                  # or a number per atom
threads: 1                   # OpenMP threads of one pw.x
convergence: 1.0e-9          # Ry per atom
system: {}                   # further namelist entries
electrons: {}
"""

from __future__ import annotations

import math
import re
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

import ase
from pydantic import AfterValidator, Field, field_validator, model_validator

from maladist.configuration import FilePath, Section, no_old_truths
from maladist.elements import Element
from maladist.errors import DFTError, InputError
from maladist.grid import EnergyGrid
from maladist.io.qe.upf import read_pseudopotentials
from maladist.io.yaml import Configuration
from maladist.units import BOLTZMANN, RYDBERG, RYDBERG_BOHR2


def _of_fortran(value: Any) -> Any:
    """Refuse Fortran's spelling of numbers and truth values: it would be written as a text, in quotes."""
    if isinstance(value, str) and re.fullmatch(r"\.\w+\.|[-+]?[0-9.]+[dD][-+]?[0-9]+", value):
        raise ValueError("true, false or a number as 1.0e-9")
    return value


Positive = Annotated[float, Field(gt=0)]
Points = Annotated[int, Field(ge=1)]
Mesh = tuple[Points, Points, Points]
Namelist = Annotated[dict[str, Annotated[Any, AfterValidator(_of_fortran)]], AfterValidator(no_old_truths)]


class Energies(Section):
    """Energies of the LDOS, eV."""

    origin: float
    spacing: Positive
    levels: int = Field(ge=2)


class DFTSetup(Configuration):
    """The settings of a data set's calculations; see the module's text for their meaning."""

    argument: ClassVar[str] = "setup"

    temperature: Positive
    pseudopotentials: FilePath
    ecutwfc: Positive
    kpoints: Mesh | dict[int, Mesh]
    energies: Energies
    broadening: Positive
    ecutrho: Positive | None = None
    bands: Literal["auto"] | Positive = "auto"
    threads: int = Field(default=1, ge=1)
    convergence: Positive = 1e-9
    system: Namelist = Field(default={})
    electrons: Namelist = Field(default={})

    @field_validator("kpoints", mode="before")
    @classmethod
    def _meshes(cls, value: Any) -> Any:
        meshes = value.values() if isinstance(value, dict) else [value]
        if not all(isinstance(mesh, list | tuple) and len(mesh) == 3 for mesh in meshes):
            raise ValueError("three numbers, or a mapping from numbers of atoms to three numbers")
        return value

    @model_validator(mode="after")
    def _has_its_files(self) -> DFTSetup:
        _ = self.elements
        return self

    @property
    def energy_grid(self) -> EnergyGrid:
        """Energies of the LDOS."""
        e = self.energies
        return EnergyGrid(e.origin, e.spacing, e.levels, "gaussian", self.broadening)

    @cached_property
    def elements(self) -> dict[str, Element]:
        """Pseudopotentials by symbol, read once."""
        return read_pseudopotentials(self.pseudopotentials)

    def mesh(self, n_atoms: int) -> Mesh:
        """Mesh of k-points for a cell of this many atoms."""
        mesh = self.kpoints.get(n_atoms) if isinstance(self.kpoints, dict) else self.kpoints
        if mesh is None:
            raise InputError(
                "kpoints", f"none for {n_atoms} atoms", "one mesh for all, or a mapping that has this size"
            )
        return mesh

    def n_bands(self, atoms: ase.Atoms) -> int:
        """Bands that reach the window's top: free electrons from its bottom, and a third more."""
        if self.bands != "auto":
            return math.ceil(self.bands * len(atoms))
        grid = self.energy_grid
        width = grid.spacing * grid.levels + 3 * grid.width
        free = atoms.get_volume() / (6 * math.pi**2) * (width / RYDBERG_BOHR2) ** 1.5
        electrons = sum(self.elements[s].valence or 0.0 for s in atoms.get_chemical_symbols())
        return math.ceil(max(1.3 * free, 0.6 * electrons)) + 4

    def namelists(self, atoms: ase.Atoms) -> tuple[dict[str, Any], dict[str, Any]]:
        """Namelists SYSTEM and ELECTRONS of a snapshot."""
        system = {
            "ecutwfc": self.ecutwfc,
            "ecutrho": self.ecutrho or 4 * self.ecutwfc,
            "nbnd": self.n_bands(atoms),
            "nosym": True,
            "occupations": "smearing",
            "smearing": "fermi-dirac",
            "degauss": BOLTZMANN * self.temperature / RYDBERG,
        }
        electrons = {"conv_thr": self.convergence * len(atoms), "electron_maxstep": 100}
        return {**system, **self.system}, {**electrons, **self.electrons}


def check_covers(lowest: float, reached: float, mu: float, setup: DFTSetup) -> None:
    """Refuse bands or a window that do not cover what the integrals need.

    Parameters
    ----------
    lowest
        Lowest eigenvalue, eV.
    reached
        Smallest of the k-points' highest eigenvalues, eV.
    mu
        Fermi level, eV.

    Raises
    ------
    DFTError
        Naming what would.
    """
    grid, tau = setup.energy_grid, BOLTZMANN * setup.temperature
    bottom, top = grid.origin, float(grid.values[-1])
    if reached < top:
        came = f"bands up to {reached:.2f} eV, where the window ends at {top:.2f} eV"
        raise DFTError("bands", came, "bands that reach the window's top", "Give more bands.")
    if bottom > lowest - 4 * grid.width or top < mu + 12 * tau + 5 * grid.width:
        wanted = f"{lowest - 4 * grid.width:.2f} to {mu + 12 * tau + 5 * grid.width:.2f} eV or wider"
        raise DFTError("energies", f"a window of {bottom:.2f} to {top:.2f} eV", wanted, "Change energies in the setup.")
