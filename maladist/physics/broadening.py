"""Broadening kernels of an LDOS and the DOS that eigenvalues give with them.

D(ε) = Σ_k w_k Σ_n K((ε − ε_nk)/δ)/δ with K = exp(−x²)/√π or 1/(2 + 2 cosh x), both of unit integral.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from maladist.energy_grid import EnergyGrid, Kernel
from maladist.errors import GridError
from maladist.units import BOLTZMANN

COARSE: Final = 2e-3
"""Aliasing at which a spacing is too coarse: the band energy of a made-up metal is then off by 2 meV an atom."""

WIDE: Final = 5.0
"""δ in k_BT above which levels of one side of μ are filled on the other. E_b of SiC (300 K, gap 0.8 eV), corrected, is
off by 0.0 meV/atom at 4 k_BT, 0.2 at 8, 3 at 15; n(r) of the LDOS, and with it the Hartree energy, by far more."""


def kernel(x: Tensor, kind: Kernel) -> Tensor:
    """The kernel K(x), of unit integral over x.

    Raises
    ------
    GridError
        The kernel is neither 'gaussian' nor 'fermi-derivative'.
    """
    if kind == "gaussian":
        return torch.exp(-x * x) / math.sqrt(math.pi)
    if kind == "fermi-derivative":
        half = torch.exp(-x.abs() / 2)  # 1/(2+2cosh x) = e/(1+e)² with e = exp(−|x|); no overflow
        return (half / (1 + half * half)) ** 2
    raise GridError("broadening_kernel", repr(kind), "gaussian or fermi-derivative")


def broadened_dos(eigenvalues: Tensor, weights: Tensor, energy_grid: EnergyGrid) -> Tensor:
    """DOS of eigenvalues with the energy grid's kernel and width.

    Parameters
    ----------
    eigenvalues
        (k, bands), eV.
    weights
        Weights of the k-points with both spins in them, (k,): their sum is 2.
    energy_grid
        Energies, kernel and width.

    Returns
    -------
    Tensor
        (levels,) float64, 1/eV.
    """
    energies = torch.as_tensor(energy_grid.values)
    dos = torch.zeros_like(energies)
    # k-point by k-point: all at once would need levels × k-points × bands numbers.
    for row, weight in zip(eigenvalues.double(), weights.double(), strict=True):
        x = (energies[:, None] - row[None, :]) / energy_grid.width
        dos += weight / energy_grid.width * kernel(x, energy_grid.kernel).sum(1)
    return dos


def aliasing(energy_grid: EnergyGrid) -> float | None:
    """How much of a level's weight depends on where it lies between two energies; None where the kernel is not known.

    Samples of K((ε − ε_n)/δ)/δ at a spacing h sum to (1 + 2 K̂(2π/h) cos(2π ε_n/h) + ...)/h, by Poisson's formula: the
    largest change of a level's weight is 2 K̂, with K̂ = exp(−(kδ)²/4) of a Gaussian and πkδ/sinh(πkδ) of the Fermi
    function's derivative.

    Returns
    -------
    float
        K̂(2π/h): 5e-5 of a Gaussian where h = δ, 8e-2 where h = 2δ. The band energy is off by as much in eV an atom
        and more.
    """
    # A known width alone does not do: the aliasing is the kernel's Fourier transform.
    if energy_grid.kernel not in ("gaussian", "fermi-derivative") or not energy_grid.width > 0:
        return None
    x = 2 * math.pi * energy_grid.width / energy_grid.coarsest
    if energy_grid.kernel == "gaussian":
        return math.exp(-x * x / 4)
    # Capped: sinh of more overflows, and the quotient is zero to all digits long before.
    return math.pi * x / math.sinh(min(math.pi * x, 700.0))


def check_spacing(energy_grid: EnergyGrid, argument: str) -> None:
    """Refuse energies that are too far apart for the broadening.

    Raises
    ------
    GridError
        Levels between two energies would be missed.
    """
    amount = aliasing(energy_grid)
    if amount is not None and amount > COARSE:
        came = f"{energy_grid.coarsest:g} eV with a broadening of {energy_grid.width:g} eV ({energy_grid.kernel})"
        remedy = "The sum over the energies misses or doubles levels between them: take a finer spacing or a wider δ."
        raise GridError(argument, came, f"a spacing of at most {coarsest_spacing(energy_grid):.3g} eV", remedy)


def coarsest_spacing(energy_grid: EnergyGrid) -> float:
    """Largest spacing, eV, that :func:`check_spacing` lets pass: 1.26 δ of a Gaussian, 2.16 δ of the other kernel."""
    return {"gaussian": 1.26, "fermi-derivative": 2.16}[energy_grid.kernel] * energy_grid.width


def wide_note(energy_grid: EnergyGrid, temperature: float | None) -> str:
    """What to say where the broadening is much wider than k_BT, in a line; empty where it is not, or not known."""
    tau = BOLTZMANN * (temperature or 0.0)
    if not tau or energy_grid.width <= WIDE * tau:
        return ""
    return (
        f"δ of {energy_grid.width:g} eV is {energy_grid.width / tau:.0f} k_BT at {temperature:g} K: where there are few"
        f" levels or a gap, it fills states on the wrong side of μ; up to {WIDE * tau:.2g} eV it would not"
    )


def occupation_sums(eigenvalues: Tensor, weights: Tensor, mu: float, tau: float) -> tuple[float, float, float]:
    """Number of electrons, band energy (eV) and −TS (eV) of eigenvalues, without any broadening.

    Parameters
    ----------
    eigenvalues, weights
        Eigenvalues and weights of the k-points, as in :func:`broadened_dos`.
    mu, tau
        Fermi level and k_BT, eV.
    """
    x = (eigenvalues.double() - mu) / tau
    f = torch.sigmoid(-x)
    # f ln f + (1 − f) ln(1 − f) without logarithms of numbers that round to zero.
    entropy = -tau * (torch.nn.functional.softplus(-x.abs()) + x.abs() * torch.sigmoid(-x.abs()))
    w = weights.double()[:, None]
    return float((w * f).sum()), float((w * f * eigenvalues.double()).sum()), float((w * entropy).sum())
