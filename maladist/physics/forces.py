"""Forces −∂A/∂R and stress (1/Ω) ∂A/∂strain: what A feels of an LDOS, and its explicit terms.

A is stationary in μ, so that to first order

    δA = ΔV Σ_r Σ_i [ω_i + (u(r) − ū) w_i] δd(ε_i, r) + explicit terms,        ω = w_b + w_s − μ w_n,

with w = w_n and u of the double counting's density n₀ = w·d at T₀, while ω is that at T, and ū = ∫ u d_F / ∫ d_F with
d_F = ∂n₀/∂μ, since μ moves to keep N. Where a density channel c gives n₀ = N c/∫c instead, the change is

    δA = ΔV Σ_r [Σ_i ω_i δd(ε_i, r) + (N/∫c) (u(r) − ū) δc(r)] + explicit terms,        ū = ∫ u n₀ / N.

The descriptors' part follows from these cotangents by the chain rule (`maladist.descriptors.adjoint`). Explicit are the
ions, the core charge, and under a strain the volume of a point, the wave vectors, and a model's zero of energy.

Derivatives are those of A on a grid that moves with the cell, with the spheres of plane waves as they are: A itself
jumps by some 10⁻⁵ eV where a wave vector crosses a sphere. Where ρ = n + n_core crosses zero (ripples of a core charge
on a coarse grid) v_xc has a cusp and the derivative of ∫ v_xc n diverges: the XC terms there are as uneven as A itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from maladist.arrays import Array
from maladist.energy_grid import EnergyGrid
from maladist.errors import PhysicsError
from maladist.physics.core import core_derivatives_of
from maladist.physics.double_counting import potentials
from maladist.physics.ewald import ewald_derivatives
from maladist.physics.fermi import ROUNDING, FermiState, number_slopes
from maladist.physics.reciprocal import ReciprocalSlab
from maladist.physics.system import System

_GAP: Final = 1e-6  # ∫ d_F in electrons/eV per electron below which μ has no hold on N

FORCE_TERMS: Final = ("descriptors", "volume", "double_counting", "core", "ewald")
"""Terms of forces and stress: through the model, at a fixed LDOS that of the volume and of n₀, n_core and the ions."""

VOIGT: Final = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
"""Elements of a stress in the order of ASE: xx, yy, zz, yz, xz, xy."""


@dataclass(frozen=True, eq=False)
class Derivatives:
    """Derivatives of terms of A.

    Attributes
    ----------
    by_position
        Derivatives ∂/∂R, (n_atoms, 3) float64, eV/Å.
    by_strain
        Derivatives ∂/∂ε, where r goes to (1 + ε) r, (3, 3) float64, eV.
    """

    by_position: Array
    by_strain: Array

    def __add__(self, other: Derivatives) -> Derivatives:
        return Derivatives(self.by_position + other.by_position, self.by_strain + other.by_strain)

    @property
    def forces(self) -> Array:
        """−∂/∂R, (n_atoms, 3), eV/Å."""
        return -self.by_position

    def stress(self, volume: float) -> Array:
        """(1/Ω) ∂/∂ε, symmetric, in ASE's order and sign, (6,), eV/Å³, from Ω in Å³."""
        # A rotation of the whole costs no energy: the antisymmetric part is rounding.
        symmetric = (self.by_strain + self.by_strain.T) / (2 * volume)
        return np.array([symmetric[at] for at in VOIGT])


@dataclass(frozen=True, eq=False)
class Cotangents:
    """Derivatives of A by what a model gives at a point, from u there.

    Attributes
    ----------
    levels
        Weights ω at each temperature, (temperatures, levels) float64, eV².
    number
        Weights w of d in n₀, (levels,) float64, eV; zeros where a density channel gives it.
    share
        Factor N/∫c of the density channel; 0 where there is none.
    mean
        Mean ū of the potential, eV.
    voxel_volume
        Volume of a point, Å³.
    """

    levels: Array
    number: Array
    share: float
    mean: float
    voxel_volume: float

    def of_ldos(self, u: Tensor) -> Tensor:
        """∂A/∂d at points with these u, (n,) eV: (temperatures, n, levels)."""
        levels, number = (torch.as_tensor(x, device=u.device) for x in (self.levels, self.number))
        return self.voxel_volume * (levels[:, None] + (u - self.mean)[:, None] * number)

    def of_channel(self, u: Tensor) -> Tensor:
        """∂A/∂c at points with these u, (n,) eV: (n,)."""
        # The channel is scaled to N electrons, so that a constant in u changes nothing: ū is taken off.
        return self.voxel_volume * self.share * (u - self.mean)


def reference_state(states: Sequence[FermiState], system: System) -> FermiState:
    """The electrons at T₀."""
    return states[system.reference_index]


def check_known(system: System) -> Array:
    """Valence charges of the atoms, (n,); refuses a system whose total free energy is not known.

    Raises
    ------
    PhysicsError
        The total free energy is not known.
    """
    charges = system.charges
    if charges is None or system.functional is None:
        came = "no pseudopotentials or no functional, and so no total free energy"
        raise PhysicsError("forces", came, "all terms of A", "Give --pseudopotentials DIR.")
    return charges


def check_stationary(states: Sequence[FermiState], dos: Tensor, n_electrons: float) -> None:
    """Refuse derivatives where A is not stationary in μ; in a gap it is, to the rounding of N(μ).

    Raises
    ------
    PhysicsError
        A temperature at which N(μ) is not the number of electrons: the corrected one has no root near the other's.
    """
    for state in states:
        held = float(state.weights.number @ dos)
        if abs(held - n_electrons) > ROUNDING * n_electrons:
            came = f"{held:.6f} electrons at the Fermi level of {state.temperature:g} K, where no root holds all"
            remedy = "Switch the broadening correction off (--broadening-correction off), or take a higher temperature."
            raise PhysicsError("forces", came, f"{n_electrons:g} electrons", remedy)


def density_slopes(states: Sequence[FermiState], energies: EnergyGrid, system: System) -> Array:
    """∂w/∂μ of the weights of n₀, with which d_F = ∂n₀/∂μ follows from d, (levels,) float64."""
    state = reference_state(states, system)
    slopes = number_slopes(energies, state.fermi_energy, state.temperature, correction=system.correction)
    return np.asarray(slopes.numpy())


def has_hold(slope: float, n_electrons: float) -> bool:
    """Whether μ has a hold on N, by ∂N/∂μ in 1/eV: in a gap it has none."""
    return slope > _GAP * n_electrons


def check_slope(slope: float, n_electrons: float) -> None:
    """Refuse derivatives where μ does not decide on N: ∫ d_F, electrons/eV, is zero or negative.

    Raises
    ------
    PhysicsError
        The number of electrons does not grow with the Fermi level.
    """
    if not has_hold(slope, n_electrons):
        came = f"an LDOS whose number of electrons changes by {slope:.2g} per eV of the Fermi level: a gap"
        wanted = "one that grows with the Fermi level, or a model with a density channel"
        raise PhysicsError("forces", came, wanted, "Take a higher temperature.")


@dataclass(frozen=True, eq=False)
class Explicit:
    """What A depends on beside the LDOS and the density channel.

    Attributes
    ----------
    u
        Change of the double counting by n₀(r), (Nx, Ny, Nz) float64, eV.
    terms
        Derivatives by name: 'double_counting' (at fixed n₀ and n_core), 'core', 'ewald'.
    """

    u: Tensor
    terms: dict[str, Derivatives]


def explicit_terms(density: Tensor, system: System) -> Explicit:
    """u(r) and the explicit terms, for cells that one task holds.

    Parameters
    ----------
    density
        n₀, (Nx, Ny, Nz) float64, 1/Å³, on the device where the work is to be done.
    system
        The cell, with valences, pseudopotentials and functional.

    Raises
    ------
    PhysicsError
        A total free energy that is not known.
    """
    charges = check_known(system)
    found = potentials(density, system)
    none = np.zeros((system.n_atoms, 3))
    terms = {"double_counting": Derivatives(none, found.strain.cpu().numpy())}
    if found.s_g is not None:
        core = core_derivatives_of(system, ReciprocalSlab.whole(system.grid), found.s_g)
        terms["core"] = Derivatives(*(x.cpu().numpy() for x in core))
    positions, cell = torch.as_tensor(system.positions), system.grid.cell_array
    ions = ewald_derivatives(positions, torch.from_numpy(charges), cell, system.assume_isolated)
    terms["ewald"] = Derivatives(ions.by_position.numpy(), ions.by_strain.numpy())
    return Explicit(found.u, terms)


def volume_term(state: FermiState, dos: Tensor, n_electrons: float, mean: float, zero: float) -> Array:
    """What a strain does to A through a point's volume and the zero of energy, (3, 3) float64, eV.

    D(ε) and N at fixed d(ε, r) grow with the volume, while μ keeps N: (ω·D − ū N) I. A zero of energy z = Σ c/Ω shrinks
    with it and takes all levels along: −z N I.

    Parameters
    ----------
    state, dos
        The electrons at a temperature, and D(ε).
    n_electrons, mean, zero
        N; ū and z, eV.
    """
    levels = float(state.free_energy_weights @ dos)
    return (levels - (mean + zero) * n_electrons) * np.eye(3)
