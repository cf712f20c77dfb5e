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
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import ase
import yaml

from maladist.elements import Element
from maladist.errors import DFTError, InputError
from maladist.grid import EnergyGrid
from maladist.io.qe.upf import read_pseudopotentials
from maladist.units import BOLTZMANN, RYDBERG, RYDBERG_BOHR2


@dataclass(frozen=True)
class DFTSetup:
    """The settings of a data set's calculations; see the module's text for their meaning."""

    temperature: float
    pseudopotentials: str
    ecutwfc: float
    kpoints: Any
    energies: Mapping[str, float]
    broadening: float
    ecutrho: float | None = None
    bands: Any = "auto"
    threads: int = 1
    convergence: float = 1e-9
    system: Mapping[str, Any] = field(default_factory=dict)
    electrons: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str | Path) -> DFTSetup:
        """Read a YAML file.

        Raises
        ------
        InputError
            A file that is not such a description, naming the key.
        """
        path = Path(path)
        try:
            values = yaml.safe_load(path.read_text())
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError("setup", f"{path} cannot be read ({error})".replace("\n", " "), "a YAML file") from error
        known = {f.name for f in fields(cls)}
        need = {"temperature", "pseudopotentials", "ecutwfc", "kpoints", "energies", "broadening"}
        if not isinstance(values, dict) or set(values) - known or need - set(values):
            there = set(values) if isinstance(values, dict) else set()
            came = f"unknown keys {sorted(there - known)}, missing keys {sorted(need - there)}"
            raise InputError(
                str(path), came, f"the keys {', '.join(sorted(need))} and perhaps others of {sorted(known)}"
            )
        values["pseudopotentials"] = str((path.parent / values["pseudopotentials"]).resolve())
        setup = cls(**values)
        setup.check()
        return setup

    def check(self) -> None:
        """Refuse what cannot be, naming the key."""
        for name in ("temperature", "ecutwfc", "broadening", "convergence"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not value > 0:
                raise InputError(name, repr(value), "a positive number")
        if not isinstance(self.energies, Mapping) or set(self.energies) != {"origin", "spacing", "levels"}:
            raise InputError("energies", repr(self.energies), "origin, spacing (eV) and levels")
        _ = self.energy_grid, self.elements

    @property
    def energy_grid(self) -> EnergyGrid:
        """Energies of the LDOS."""
        e = self.energies
        return EnergyGrid(float(e["origin"]), float(e["spacing"]), int(e["levels"]), "gaussian", float(self.broadening))

    @property
    def elements(self) -> dict[str, Element]:
        """Pseudopotentials by symbol."""
        return read_pseudopotentials(self.pseudopotentials)

    def mesh(self, n_atoms: int) -> tuple[int, int, int]:
        """Mesh of k-points for a cell of this many atoms."""
        mesh = self.kpoints.get(n_atoms) if isinstance(self.kpoints, Mapping) else self.kpoints
        if not isinstance(mesh, list | tuple) or len(mesh) != 3:
            raise InputError(
                "kpoints", f"{mesh!r} for {n_atoms} atoms", "three numbers, or a mapping that has this size"
            )
        return (int(mesh[0]), int(mesh[1]), int(mesh[2]))

    def n_bands(self, atoms: ase.Atoms) -> int:
        """Bands that reach the window's top: free electrons from its bottom, and a third more."""
        if self.bands != "auto":
            return math.ceil(float(self.bands) * len(atoms))
        grid = self.energy_grid
        width = grid.spacing * grid.levels + 3 * grid.width
        free = atoms.get_volume() / (6 * math.pi**2) * (width / RYDBERG_BOHR2) ** 1.5
        electrons = sum(self.elements[s].valence or 0.0 for s in atoms.get_chemical_symbols())
        return math.ceil(max(1.3 * free, 0.6 * electrons)) + 4

    def namelists(self, atoms: ase.Atoms) -> tuple[dict[str, Any], dict[str, Any]]:
        """Namelists SYSTEM and ELECTRONS of a snapshot."""
        cutoff = float(self.ecutrho or 4 * self.ecutwfc)
        system = {
            "ecutwfc": float(self.ecutwfc),
            "ecutrho": cutoff,
            "nbnd": self.n_bands(atoms),
            "nosym": True,
            "occupations": "smearing",
            "smearing": "fermi-dirac",
            "degauss": BOLTZMANN * self.temperature / RYDBERG,
        }
        electrons = {"conv_thr": float(self.convergence) * len(atoms), "electron_maxstep": 100}
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
