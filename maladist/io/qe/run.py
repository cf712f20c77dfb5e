"""What a DFT calculation tells of itself, whatever file it was read from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import ase
import numpy as np

from maladist.arrays import Array
from maladist.choices import Functional
from maladist.errors import DFTError, PhysicsError
from maladist.physics.isolated import Isolated
from maladist.units import BOLTZMANN

NOT_SELF_CONSISTENT: Final = ("nscf", "bands")
"""Calculations of eigenvalues in the potential of another one."""


@dataclass(frozen=True)
class DFTRun:
    """A DFT calculation of one snapshot.

    Attributes
    ----------
    path
        File that it was read from.
    atoms
        Atoms and cell, Å.
    shape
        FFT grid of the density; None where not told.
    temperature
        Temperature of Fermi-Dirac occupations, K; None where occupations are others.
    n_electrons
        Number of electrons in the cell.
    xc
        'pbe', 'pw92' or 'pz'; None for another functional.
    pseudopotentials
        File name by symbol.
    density_cutoff
        Cutoff of the density's plane waves, eV.
    terms
        Energies by the names of the data contract, eV, with ``fermi_energy_eV``, and ``dispersion_eV`` where the
        calculation had a dispersion correction, which the total is then without.
    eigenvalues, weights
        (k, bands) eV and (k,) with both spins in them; empty where not told.
    forces
        Forces on the atoms, minus the slopes of the total free energy, (n_atoms, 3), eV/Å; None where not told.
    stress
        Stress, the slope of the total free energy with strain over the volume, in ASE's sign and order (xx, yy, zz, yz,
        xz, xy), (6,), eV/Å³; None where not told. It is the DFT code's own, at a fixed number of plane waves: energies
        at a fixed cutoff have another slope (Pulay).
    stress_fixed_cutoff
        That other slope, corrected for Pulay's stress; None where not calculated.
    calculation
        Kind of the calculation: 'scf', 'nscf', 'relax', ...
    converged
        Whether the self-consistency reached its threshold, or there was none to reach.
    threshold
        Threshold of the self-consistency, Ry per atom; None where not told.
    ultrasoft
        Whether any pseudopotential is ultrasoft or PAW; None where not told.
    pools
        Number of pools of k-points that pw.x ran with; None where not told.
    full_precision
        Whether eigenvalues have all digits (XML) or four (printed output).
    notes
        Lines that the user should read.
    assume_isolated
        '2D' where the Coulomb interaction is cut off along c, see :mod:`maladist.physics.isolated`; None for a crystal.
    """

    path: Path
    atoms: ase.Atoms
    shape: tuple[int, int, int] | None = None
    temperature: float | None = None
    n_electrons: float | None = None
    xc: Functional | None = None
    pseudopotentials: Mapping[str, str] = field(default_factory=dict)
    density_cutoff: float | None = None
    terms: Mapping[str, float] = field(default_factory=dict)
    eigenvalues: Array = field(default_factory=lambda: np.empty((0, 0)))
    weights: Array = field(default_factory=lambda: np.empty(0))
    forces: Array | None = None
    stress: Array | None = None
    stress_fixed_cutoff: Array | None = None
    calculation: str = "scf"
    converged: bool = True
    threshold: float | None = None
    ultrasoft: bool | None = None
    pools: int | None = None
    full_precision: bool = False
    notes: tuple[str, ...] = ()
    assume_isolated: Isolated | None = None

    @property
    def fermi_energy(self) -> float | None:
        """Fermi level, eV; None where not told."""
        return self.terms.get("fermi_energy_eV")

    def check_converged(self) -> None:
        """Refuse a run whose self-consistency stopped before its threshold.

        Raises
        ------
        DFTError
            The self-consistency stopped before its threshold.
        """
        if not self.converged:
            remedy = "Run it again with more steps (electron_maxstep) or a smaller mixing_beta."
            raise DFTError(str(self.path), "the self-consistency did not converge", "a converged calculation", remedy)


def within_threshold(error: float, threshold: float) -> bool:
    """Whether the error of the self-consistency is within its threshold, of the same unit, as far as digits tell.

    pw.x prints both with two digits, or eight decimals: rounding makes at most 1.5 times of it.
    """
    return error <= 1.5 * threshold


def temperature_of(degauss_eV: float, smearing: str) -> float | None:
    """Temperature of a smearing, K: k_BT = degauss for Fermi-Dirac; None for every other kind, which has none."""
    known = ("fermi-dirac", "fermi_dirac", "f-d", "fd")
    return degauss_eV / BOLTZMANN if smearing.lower() in known else None


def symbol_of(species: str) -> str:
    """Chemical symbol of a species: Quantum ESPRESSO allows Be1, Be_a and the like."""
    return re.split(r"[^A-Za-z]", species)[0].capitalize()


def check_at_rest(structure: ase.Atoms, calculated: ase.Atoms, source: Path) -> None:
    """Refuse a structure that was moved after its last self-consistency, by dynamics or a relaxation out of steps.

    pp.x then writes the last density and LDOS with the headers of the structure that would have come next.

    Raises
    ------
    DFTError
        The structure was moved by more than 1e-4 Å.
    """
    # Far above the rounding of printed positions, far below a step of dynamics.
    moved = float(np.abs(structure.positions - calculated.positions).max())
    if moved > 1e-4:
        came = f"atoms moved by up to {moved:.2g} Å after the last self-consistency (dynamics, or too few steps)"
        remedy = "Run an scf at that structure."
        raise DFTError(str(source), came, "a density that belongs to its structure", remedy)


def without_dispersion(
    terms: Mapping[str, float], dispersion: float, kind: str, source: Path
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Take the energy of a dispersion correction, a function of the positions alone, out of the total.

    Parameters
    ----------
    terms
        Energies by the names of the data contract, eV.
    dispersion
        Energy of the correction, eV.
    kind
        Name of the correction, as the source has it.

    Returns
    -------
    tuple
        The terms, the correction among them as ``dispersion_eV``; and the line that says so.

    Raises
    ------
    PhysicsError
        The energy of the correction is not told.
    """
    if not dispersion:
        remedy = "Without its energy the total cannot be compared: leave the correction out."
        raise PhysicsError(str(source), f"a dispersion correction ({kind}) without its energy", "its energy", remedy)
    # A function of the positions is no part of what an LDOS gives; it can be added to A again.
    total = terms["total_free_energy_eV"] - dispersion
    note = (
        f"the DFT's total energy is kept without its dispersion correction ({kind}, {dispersion:.6f} eV), which no LDOS"
        " tells: dispersion_eV of the reference"
    )
    return {**terms, "total_free_energy_eV": total, "dispersion_eV": dispersion}, (note,)
