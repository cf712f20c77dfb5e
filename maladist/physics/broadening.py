"""Broadening kernels of an LDOS and the DOS that eigenvalues give with them.

D(ε) = Σ_k w_k Σ_n K((ε − ε_nk)/δ)/δ with K = exp(−x²)/√π or 1/(2 + 2 cosh x), both of unit integral.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from maladist.errors import GridError
from maladist.grid import EnergyGrid, Kernel


def kernel(x: Tensor, kind: Kernel) -> Tensor:
    """The kernel K(x), of unit integral over x.

    Raises
    ------
    GridError
        A kernel that is not 'gaussian' or 'fermi-derivative'.
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
        Of the k-points with both spins in them: sum 2 without spin polarisation, (k,).
    energy_grid
        Energies, kernel and width.

    Returns
    -------
    Tensor
        (levels,) float64, 1/eV.
    """
    energies = torch.as_tensor(energy_grid.values)
    dos = torch.zeros_like(energies)
    for row, weight in zip(eigenvalues.double(), weights.double(), strict=True):
        x = (energies[:, None] - row[None, :]) / energy_grid.width
        dos += weight / energy_grid.width * kernel(x, energy_grid.kernel).sum(1)
    return dos


def occupation_sums(eigenvalues: Tensor, weights: Tensor, mu: float, tau: float) -> tuple[float, float, float]:
    """Number of electrons, band energy (eV) and −TS (eV) of eigenvalues, without any broadening.

    Parameters
    ----------
    eigenvalues, weights
        As in :func:`broadened_dos`.
    mu, tau
        Fermi level and k_BT, eV.
    """
    x = (eigenvalues.double() - mu) / tau
    f = torch.sigmoid(-x)
    entropy = -tau * (torch.nn.functional.softplus(-x.abs()) + x.abs() * torch.sigmoid(-x.abs()))
    w = weights.double()[:, None]
    return float((w * f).sum()), float((w * f * eigenvalues.double()).sum()), float((w * entropy).sum())
