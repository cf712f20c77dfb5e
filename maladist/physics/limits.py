"""What an LDOS cannot hold: the tail of f(ε) above its window or its bands, and a gap that its broadening fills.

Electrons above the highest energy that is there, with D(ε) going on at its mean above μ, are worth

    ΔA = −k_BT ∫_top^∞ ln(1 + e^(−(ε−μ)/k_BT)) D̄ dε = −D̄ (k_BT)² A₂(y),   y = (top − μ)/k_BT,   A₂(y) = −Li₂(−e^(−y)),

first order in D at a fixed number of electrons. Cutting windows that are there, it is met within a factor of two in
metals, and is too large by up to ten where D(ε) falls towards the top; E_b is off by several times as much, and −TS by
nearly the same with the other sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from scipy.special import spence

from maladist.energy_grid import EnergyGrid
from maladist.errors import EnergyWindowError
from maladist.physics.fermi import FermiState
from maladist.physics.system import System
from maladist.units import BOLTZMANN

SAID = 1e-3
"""ΔA in eV/atom above which a temperature is said to be too high: what energies of an LDOS are good for."""

LOST = 5e-3
"""Electrons an atom within a spacing, or δ, of the edges of a gap between parts of the energies above which it is said:
the noise of the shipped models leaves 3e-4 there, that of a tiny network 3e-3, a band that goes on 0.02 and more."""

_ROUNDING = 1e-2  # meV/atom, of a −TS that is zero

REFUSED = 0.1
"""ΔA in eV/atom above which it is refused: E_b is then wrong by about an electronvolt an atom."""


def check_limits(dos: torch.Tensor, energies: EnergyGrid, states: Sequence[FermiState], system: System) -> list[str]:
    """What the user should know of temperatures that a D(ε) can hardly hold, one line each.

    Parameters
    ----------
    dos
        D(ε), (levels,) float64, 1/eV.
    states
        State of the electrons at each temperature.

    Raises
    ------
    EnergyWindowError
        At some temperature, what is missing above the window or the bands is worth more than ``REFUSED``.
    """
    notes = _of_gaps(dos, energies, states[0], system)
    for state in states:
        top, missing = above(dos, energies, state)
        # Refused rather than said: the numbers would look like a result.
        if abs(missing) > REFUSED * system.n_atoms:
            came = (
                f"{state.temperature:g} K, at which the levels above {top:.2f} eV, which the LDOS does not have, count "
                f"for about {1e3 * missing / system.n_atoms:.0f} meV/atom in A"
            )
            wanted = f"a window and bands that reach f(ε) ≈ 0, or at most {1e3 * REFUSED:g} meV/atom missing"
            raise EnergyWindowError("temperature", came, wanted, "Take a lower temperature, or data with more levels.")
        if abs(missing) > SAID * system.n_atoms:
            notes.append(
                f"{state.temperature:g} K: the LDOS ends at {top:.2f} eV, where f(ε) does not; A lacks about "
                f"{1e3 * missing / system.n_atoms:.1f} meV/atom, the band energy several times that"
            )
        entropy = 1e3 * state.entropy_contribution(dos) / system.n_atoms
        if entropy > _ROUNDING:
            notes.append(
                f"{state.temperature:g} K: −TS comes out as {entropy:+.2g} meV/atom: D(ε) is negative at the Fermi "
                f"level, in a gap that the broadening ({energies.width:g} eV, k_BT is "
                f"{BOLTZMANN * state.temperature:.2g} eV) or a network's noise fills; it means zero within that error"
            )
    return notes


def _of_gaps(dos: torch.Tensor, energies: EnergyGrid, state: FermiState, system: System) -> list[str]:
    """A line for each gap between parts at whose edges D(ε) has not fallen to zero: what follows is lost."""
    d, e = dos.detach().cpu().numpy(), energies.values
    notes, at = [], 0
    for below, above in pairwise(energies.parts):
        at += below.levels
        if e[at] < e[at - 1]:  # an overlap
            continue
        # Those above μ, and what is empty, are no electrons.
        edges = [(i, part.spacing) for i, part in ((at - 1, below), (at, above)) if e[i] < state.fermi_energy]
        lost = sum(abs(float(d[i])) * max(spacing, energies.width) for i, spacing in edges) / system.n_atoms
        if lost > LOST:
            notes.append(
                f"D(ε) does not vanish at the edges of the gap of the energies from {e[at - 1]:.2f} to {e[at]:.2f} eV "
                f"({lost:.2g} electrons an atom within {max(below.spacing, above.spacing, energies.width):.2g} eV): "
                "states in the gap are lost, and μ and all energies are off"
            )
    return notes


def check_bottom(dos: torch.Tensor, energies: EnergyGrid, state: FermiState, system: System) -> list[str]:
    """A line where D(ε) has not fallen to zero at the lowest energy, as of an LDOS that was cut off there."""
    reach = max(energies.spacing, energies.width)
    lost = abs(float(dos[0])) * reach / system.n_atoms
    if lost <= LOST or energies.origin > state.fermi_energy:
        return []
    return [
        f"D(ε) does not vanish at the lowest energy, {energies.origin:.2f} eV ({lost:.2g} electrons an atom within "
        f"{reach:.2g} eV): states below it are lost, and μ and all energies are off"
    ]


def above(dos: torch.Tensor, energies: EnergyGrid, state: FermiState) -> tuple[float, float]:
    """Energy at which the levels end, eV, and ΔA of what would follow, eV for the cell (negative).

    The window may outreach the bands: the levels end where D(ε) is last at least half of its mean above μ.
    """
    d, e = dos.detach().cpu().numpy(), energies.values
    upper = (e > state.fermi_energy) | (e == e[-1])
    # A network's noise may be negative there, where there are no levels at all.
    mean = float(d[upper].clip(min=0).mean())
    top = float(e[np.flatnonzero(upper & (d >= mean / 2))[-1]])
    tau = BOLTZMANN * state.temperature
    y = (top - state.fermi_energy) / tau
    # scipy's spence(z) is Li₂(1 − z): this is −A₂(y), which is negative.
    return top, float(mean * tau**2 * spence(1 + np.exp(-y)))
