"""Pulay's stress: what a stress at a fixed number of plane waves has beside the slope of energies at a fixed cutoff.

A strain ε of all lengths takes a plane wave of kinetic energy T to T (1 − 2ε). A DFT code's stress follows the same
plane waves, so that their cutoff E_c falls with it: dA/dε at a fixed number is dA/dε at a fixed cutoff − 2 E_c ∂A/∂E_c.
A, which falls as E_c grows, has the smaller slope at a fixed cutoff; both agree where A is converged. Since the sphere
of plane waves has no direction, the difference is the same for each of the three axes, and none for a shear.
"""

from __future__ import annotations

import numpy as np

from maladist.arrays import Array


def at_fixed_cutoff(stress: Array, low: float, high: float, step: float, volume: float) -> Array:
    """The stress of energies at a fixed cutoff, (6,), eV/Å³, in ASE's order: σ + (2/3)(E_c/Ω) ∂A/∂E_c I.

    Parameters
    ----------
    stress
        Stress at a fixed number of plane waves, (6,), eV/Å³.
    low, high
        A at the cutoffs (1 − step) E_c and (1 + step) E_c, those of the density in proportion, eV.
    step
        Share of the cutoff.
    volume
        Ω, Å³.
    """
    pulay = (high - low) / (2 * step) * 2 / (3 * volume)
    return np.asarray(stress + pulay * np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]))
