"""Entropy and heat capacity of the electrons from D(ε), in closed form, at fixed atoms and volume.

With the moments M_p = ∫ (ε − μ)^p (−∂f/∂ε) D(ε) dε, a number of electrons that does not change demands dμ/dT = −M_1/(T
M_0), and so (N. W. Ashcroft and N. D. Mermin, Solid State Physics (1976), chapter 2, without Sommerfeld's expansion)

    C_v = T dS/dT = dE_b/dT = (M_2 − M_1²/M_0)/T,

which is γT with γ = (π²/3) k_B² D(μ) where k_BT is small against all that D(ε) does around μ. D(ε) is that of the atoms
as they are: that it moves with T, as the electrons move the potential, is left out (as in A(T) of Harris and Foulkes).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch

from maladist.energy_grid import EnergyGrid
from maladist.physics.fermi import FermiState
from maladist.physics.fermi_weights import fermi_weights, moment_weights
from maladist.units import BOLTZMANN

RIPPLES: Final = 0.4
"""k_BT over the spacing Δ of the energies below which the broadening correction, which takes second differences of the
Fermi function from level to level, ripples. With δ = Δ = 0.2 eV and a D(ε) that waves by 40 % with a period of 1.5 eV,
S and C_v are off by at most 0.7 % from there on, where they are off by up to 4.5 % uncorrected; at Δ/4 by up to 2.5 %,
at Δ/10 by up to 5 %. Halving δ and Δ divides these by four and more."""


FILLED: Final = 0.5
"""Change of S by the correction, over S, above which the broadening is said to make it; 0.13 at most of Be and Al."""

LEAST_ENTROPY: Final = 1e-5
"""S in k_B an atom below which it means zero, whatever makes it."""


def entropy(state: FermiState, dos: torch.Tensor) -> float:
    """S of the electrons, eV/K."""
    return -state.entropy_contribution(dos) / state.temperature


def heat_capacity(state: FermiState, dos: torch.Tensor, energy_grid: EnergyGrid, *, correction: bool) -> float:
    """C_v of the electrons, eV/K; NaN where N(μ) does not rise, as the corrected one in a gap: no μ(T) is smooth.

    Parameters
    ----------
    state
        State of the electrons.
    dos
        D(ε), (levels,) float64, 1/eV.
    energy_grid
        Its energies and broadening.
    correction
        Whether the weights of the state are corrected for the broadening.
    """
    weights = moment_weights(energy_grid, state.fermi_energy, state.temperature, correction=correction)
    zeroth, first, second = (weights @ dos).tolist()
    return (second - first**2 / zeroth) / state.temperature if zeroth > 0 else math.nan


def cold_notes(energy_grid: EnergyGrid, temperatures: Sequence[float], *, correction: bool) -> list[str]:
    """What the user should know of temperatures at which the broadening shows in S and C_v, in a line."""
    spacing, lowest = energy_grid.coarsest, min(temperatures)
    if correction and BOLTZMANN * lowest < RIPPLES * spacing:
        return [
            f"below {RIPPLES * spacing / BOLTZMANN:.0f} K, where k_BT is {RIPPLES:g} of the spacing of the energies, "
            "the correction for the broadening ripples: S and C_v may be off by percents there, and by tens of "
            "percent where D(ε) changes within an eV of μ by as much as itself"
        ]
    if not correction:
        return [
            "S and C_v are those of the broadened D(ε), not corrected: off by percents where k_BT is below δ, and by "
            "factors where μ lies in a gap or at the edge of a band"
        ]
    return []


def filled_notes(dos: torch.Tensor, energy_grid: EnergyGrid, states: Sequence[FermiState], n_atoms: int) -> list[str]:
    """Where S is the broadening's more than the electrons', as in a gap that it fills, in a line.

    The correction is the first term of an expansion, so its size beside S says how good the expansion is.

    Parameters
    ----------
    dos
        D(ε), (levels,) float64, 1/eV.
    energy_grid
        Its energies and broadening; nothing is said where that is not known.
    states
        State of the electrons at each temperature.
    n_atoms
        Number of atoms.
    """
    if energy_grid.variance is None:
        return []
    found = []
    for state in states:
        t, mu = state.temperature, state.fermi_energy
        plain, corrected = (
            -float(fermi_weights(energy_grid, mu, t, correction=on).entropy @ dos) / (t * BOLTZMANN * n_atoms)
            for on in (False, True)
        )
        if plain > LEAST_ENTROPY and abs(corrected - plain) > FILLED * plain:
            found.append((t, plain, corrected))
    if not found:
        return []
    temperatures = sorted({found[0][0], found[-1][0]})
    return [
        f"{' to '.join(f'{t:g}' for t in temperatures)} K: most of S may be the broadening's: {found[0][1]:.2g} k_B an "
        f"atom of D(ε) as it is, {found[0][2]:.2g} corrected, at {found[0][0]:g} K. Within δ of μ D(ε) changes by as "
        "much as itself, as in a gap that δ fills: S and C_v are no results there, and −TS is off by as much"
    ]
