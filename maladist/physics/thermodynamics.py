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
from maladist.physics.fermi_weights import moment_weights
from maladist.units import BOLTZMANN

RIPPLES: Final = 0.4
"""k_BT over the spacing Δ of the energies below which the broadening correction, which takes second differences of the
Fermi function from level to level, ripples. With δ = Δ = 0.2 eV and a D(ε) that waves by 40 % with a period of 1.5 eV,
S and C_v are off by at most 0.7 % from there on, where they are off by up to 4.5 % uncorrected; at Δ/4 by up to 2.5 %,
at Δ/10 by up to 5 %. Halving δ and Δ divides these by four and more."""


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
        return ["S and C_v are those of the broadened D(ε), not corrected: off by percents where k_BT is below δ"]
    return []
