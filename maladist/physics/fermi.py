"""The Fermi level of a DOS, the decision for or against the broadening correction, and the modes of one pass.

The weights that integrate against the Fermi function are made in :mod:`maladist.physics.fermi_weights`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple, get_args

import numpy as np
import torch
from scipy.optimize import brentq
from torch import Tensor

from maladist.arrays import Array
from maladist.choices import CorrectionMode
from maladist.energy_grid import EnergyGrid
from maladist.errors import AccuracyWarning, EnergyWindowError, InputError
from maladist.physics.fermi_weights import (
    FermiWeights,
    correction_coefficient,
    fermi_weights,
    number_slopes,
    number_weights,
    thermal_energy,
)
from maladist.physics.system import System

__all__ = [
    "FermiState",
    "FermiWeights",
    "fermi_level",
    "fermi_states",
    "fermi_weights",
    "number_rows",
    "number_slopes",
    "number_weights",
    "use_correction",
    "window_modes",
]

LARGEST_BROADENING = 0.3
"""Largest standard deviation of a broadening, eV, at which the correction is taken without being asked for."""

ROUNDING = 3e-5
"""Share of N by which N(μ) is off in a gap: D(ε) of a DFT is rounded to single precision, and a sum over its levels."""


def use_correction(mode: CorrectionMode, energy_grid: EnergyGrid) -> tuple[bool, str]:
    """Decide whether to correct for the broadening that the samples carry.

    Parameters
    ----------
    mode
        'on', 'off', or 'auto': where the kernel is known and both it and the spacing are narrow. The correction is
        the first term of an expansion, nonsense for a broadening of electronvolts.
    energy_grid
        The samples' energies and broadening.

    Returns
    -------
    tuple
        The decision, and its reason in words.

    Raises
    ------
    InputError
        The mode is none of these.
    GridError
        'on' where the kernel is unknown.
    """
    if mode not in get_args(CorrectionMode):
        raise InputError("broadening_correction", repr(mode), "auto, on or off")
    if mode == "off":
        return False, "switched off"
    if mode == "on":
        correction_coefficient(energy_grid.parts[0])
        return True, "switched on"
    if energy_grid.variance is None:
        return False, "the broadening kernel is unknown"
    kernel, hat = math.sqrt(energy_grid.variance), energy_grid.coarsest / math.sqrt(6)
    if max(kernel, hat) > LARGEST_BROADENING:
        return False, f"a broadening of {max(kernel, hat):.2g} eV is wider than {LARGEST_BROADENING} eV"
    return True, f"a {energy_grid.kernel} broadening of {kernel:.2g} eV is known and narrow"


def fermi_level(
    dos: Tensor, energy_grid: EnergyGrid, n_electrons: float, temperature: float, *, correction: bool
) -> float:
    """Fermi level at which a DOS holds the given number of electrons.

    The uncorrected N(μ) is monotone. In a gap of many k_BT it is flat, and what D(ε) holds below is N to its rounding
    only: the middle of the flat part is taken, which is the intrinsic level, and not where the last millionth of an
    electron would be found, at an edge. The corrected N(μ) need not be monotone: its root nearest to the uncorrected
    one is taken, or the uncorrected one, with an AccuracyWarning, where none is within 10 k_BT + δ.

    Parameters
    ----------
    dos
        D(ε_i), (levels,), 1/eV.
    energy_grid
        Energies of the samples.
    n_electrons
        Number of electrons.
    temperature
        Temperature of the electrons, K.
    correction
        Whether the weights are corrected for broadening.

    Returns
    -------
    float
        μ, eV.

    Raises
    ------
    EnergyWindowError
        The DOS cannot hold the electrons below the highest energy.
    """
    # A root search, step by step over a few hundred numbers: no work for a GPU.
    d = dos.detach().to("cpu", torch.float64)
    if d.shape != (energy_grid.levels,) or not bool(torch.isfinite(d).all()):
        raise InputError("dos", f"shape {tuple(d.shape)}", f"{energy_grid.levels} finite values, one for each energy")
    first, last = _flat_part(d, energy_grid, n_electrons, temperature, ROUNDING)
    middle = (first + last) / 2
    if last - first >= _GAP * thermal_energy(temperature):
        number = float(number_weights(energy_grid, middle, temperature, correction=correction) @ d)
        if abs(number - n_electrons) <= ROUNDING * n_electrons:
            return middle
    first, last = _flat_part(d, energy_grid, n_electrons, temperature, _FLAT)
    plain = (first + last) / 2
    if not correction:
        return plain
    reach = 10 * thermal_energy(temperature) + energy_grid.width
    root = _nearest_root(d, energy_grid, n_electrons, temperature, plain, reach)
    if root is None:
        warnings.warn(
            f"Fermi level: the corrected number of electrons does not reach {n_electrons:g} within {reach:.3g} eV of "
            f"{plain:.4f} eV; the uncorrected Fermi level is used.",
            AccuracyWarning,
            stacklevel=2,
        )
        return plain
    return root


class FermiState(NamedTuple):
    """The electrons at one temperature.

    Attributes
    ----------
    temperature
        Temperature of the electrons, K.
    fermi_energy
        Fermi level μ, eV.
    weights
        Weights of the samples of D(ε) or d(ε, r) at μ.
    """

    temperature: float
    fermi_energy: float
    weights: FermiWeights

    @property
    def free_energy_weights(self) -> Tensor:
        """Weights ω of D(ε) in A = ω·D + μN + ..., (levels,) float64, eV²: A is stationary in μ, so ∂A/∂D is ω."""
        w = self.weights
        return w.band + w.entropy - self.fermi_energy * w.number

    def band_energy(self, dos: Tensor, n_electrons: float) -> float:
        """E_b, eV; where no μ holds all electrons, with those that are missing at μ, at which A is stationary."""
        w = self.weights
        return float(w.band @ dos) + self.fermi_energy * (n_electrons - float(w.number @ dos))

    def entropy_contribution(self, dos: Tensor) -> float:
        """−TS, eV."""
        return float(self.weights.entropy @ dos)


def fermi_states(dos: Tensor, energy_grid: EnergyGrid, system: System) -> list[FermiState]:
    """The Fermi level of a DOS, and the weights at it, at each of a system's ``solved_temperatures``.

    Raises
    ------
    InputError
        The number of electrons is not known.
    EnergyWindowError
        The DOS cannot hold the electrons: see :func:`fermi_level`.
    """
    if system.n_electrons is None:
        raise InputError("n_electrons", "none", "the number of electrons in the cell")
    states = []
    for t in system.solved_temperatures:
        mu = fermi_level(dos, energy_grid, system.n_electrons, t, correction=system.correction)
        states.append(FermiState(t, mu, fermi_weights(energy_grid, mu, t, correction=system.correction)))
    return states


def number_rows(states: Sequence[FermiState]) -> Array:
    """The weights that turn an LDOS into n(r) at each temperature, (temperatures, levels) float64."""
    return np.stack([state.weights.number.numpy() for state in states])


def window_modes(
    energy_grid: EnergyGrid, temperatures: Sequence[float], mu_low: float, mu_high: float, *, correction: bool
) -> Tensor:
    """Orthonormal basis of the span of the number weights as μ runs over a window, at all the given temperatures.

    With B this basis, a point needs to keep only B^T d (r numbers) for its density at any μ of the window:
    n = w(μ)·d = (B^T w)·(B^T d), to 1e-10 of the length of w times that of d.

    Parameters
    ----------
    energy_grid
        The samples' energies.
    temperatures
        Temperatures of the electrons, K.
    mu_low, mu_high
        Ends of the window, eV.
    correction
        Whether to correct for the broadening, as in :func:`fermi_weights`.

    Returns
    -------
    Tensor
        B, (levels, r) float64.

    Raises
    ------
    InputError
        The ends of the window are in the wrong order.
    """
    if not mu_low <= mu_high:
        raise InputError("Fermi level's window", f"{mu_low} to {mu_high} eV", "a lower end below the upper end")
    # Every weight is analytic in μ with its nearest singularity at a distance π τ from the real axis: samples τ/4
    # apart have the whole span. Their triangular factor has their singular values, and stays small.
    triangle = torch.zeros((0, energy_grid.levels), dtype=torch.float64)
    for temperature in temperatures:
        n = max(33, math.ceil((mu_high - mu_low) / (0.25 * thermal_energy(temperature))) + 1)
        for mus in torch.linspace(mu_low, mu_high, n, dtype=torch.float64).split(512):
            rows = number_weights(energy_grid, mus, temperature, correction=correction)
            triangle = torch.linalg.qr(torch.cat([triangle, rows]), mode="r").R
    _, singular, vectors = torch.linalg.svd(triangle, full_matrices=False)
    # Directions below are rounding: they would make projections of noise.
    return vectors[singular > 1e-12 * singular[0]].T.contiguous()


_FLAT = 1e-12  # relative difference of electrons within which N(μ) counts as flat
_GAP = 6.0  # k_BT: where N(μ) is flat to its rounding over as much, it does not tell μ


def _flat_part(
    d: Tensor, grid: EnergyGrid, n_electrons: float, temperature: float, within: float
) -> tuple[float, float]:
    """Roots of the uncorrected N(μ) at N·(1 ∓ within): ends of the part in which it is as flat as that."""

    def excess(mu: float, wanted: float) -> float:
        return float(number_weights(grid, mu, temperature, correction=False) @ d) - wanted

    low, high = grid.origin - 60 * thermal_energy(temperature), float(grid.values[-1])
    few, many = n_electrons * (1 - within), n_electrons * (1 + within)
    if not (n_electrons > 0 and excess(low, few) < 0 <= excess(high, n_electrons * (1 - _FLAT))):
        came = (
            f"{grid.values[0]:.3f} to {high:.3f} eV, which hold {excess(high, 0):.6g} electrons at {temperature:g} K "
            f"with the Fermi level at the upper end"
        )
        remedy = "Use an LDOS whose energies reach beyond the Fermi level, or check the number of electrons."
        raise EnergyWindowError("energy grid", came, f"a window that brackets {n_electrons:g} electrons", remedy)
    first = brentq(excess, low, high, args=(few,), xtol=1e-13, rtol=1e-15)
    last = brentq(excess, low, high, args=(many,), xtol=1e-13, rtol=1e-15) if excess(high, many) > 0 else high
    return float(first), float(last)


def _nearest_root(
    d: Tensor, grid: EnergyGrid, n_electrons: float, temperature: float, start: float, reach: float
) -> float | None:
    """Root of the corrected N(μ) nearest to ``start`` within ``reach``, by scanning outwards in steps of τ/4."""

    def excess(mu: float | Tensor) -> Tensor:
        return number_weights(grid, mu, temperature, correction=True) @ d - n_electrons

    def refined(a: float, b: float) -> float:
        return float(brentq(lambda mu: float(excess(mu)), a, b, xtol=1e-13, rtol=1e-15))

    if abs(float(excess(start))) <= _FLAT * n_electrons:
        return start
    n = math.ceil(reach / (0.25 * thermal_energy(temperature)))
    distances = torch.linspace(0, reach, n + 1, dtype=torch.float64)
    # Outwards, some steps at a time: the nearest root is most often within the first few.
    for first in range(0, n, 256):
        roots = []
        for mu in (start - distances[first : first + 257], start + distances[first : first + 257]):
            values = excess(mu)
            crossings = torch.nonzero(values[:-1] * values[1:] <= 0).flatten().tolist()
            if crossings:
                roots.append(refined(*mu[crossings[0] : crossings[0] + 2].tolist()))
        if roots:
            return min(roots, key=lambda root: abs(root - start))
    return None
