"""Hartree energy and potential of a periodic density, in reciprocal space.

E_H[n] = 2π e² Ω Σ_{G≠0} |n(G)|²/G²; the term G = 0 is cancelled by the ions (Ewald's neutralising background). Of a
slab whose Coulomb interaction is cut off along c the kernel has the factor of `maladist.physics.isolated`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from maladist.grid import Grid
from maladist.physics.isolated import Isolated, truncation
from maladist.physics.reciprocal import ReciprocalSlab, to_real, to_reciprocal
from maladist.units import COULOMB


def coulomb_kernel(slab: ReciprocalSlab, isolated: Isolated | None, device: torch.device | str = "cpu") -> Tensor:
    """4π e²/G², cut off where the cell is isolated, 0 at G = 0, (slab.shape) float64, eV Å³."""
    g2 = slab.squared(device)
    # The inner `where` keeps 1/0 out of the gradient, in which the outer one would make NaN of it.
    kernel = torch.where(g2 > 0, 4 * math.pi * COULOMB / torch.where(g2 > 0, g2, 1.0), 0.0)
    return kernel * truncation(slab, isolated, device)


def hartree_energy_of(density_g: Tensor, slab: ReciprocalSlab, isolated: Isolated | None = None) -> Tensor:
    """Share of the Hartree energy (eV, scalar) that the coefficients of one slab carry; the shares add up."""
    squared = density_g.real.square() + density_g.imag.square()
    # Coefficients whose −G is not in the half space stand for two.
    weight = coulomb_kernel(slab, isolated, density_g.device) * slab.multiplicity(density_g.device)
    return 0.5 * slab.grid.volume * (squared * weight).sum()


def hartree_strain_of(density_g: Tensor, slab: ReciprocalSlab, isolated: Isolated | None = None) -> Tensor:
    """Share of ∂E_H/∂strain at fixed n(G), (3, 3) float64, eV, that the coefficients of one slab carry.

    E_H I + 4π e² Ω Σ G_a G_b |n(G)|²/G⁴, since a strain takes G² to G² − 2 G_a G_b ε_ab; NaN where the
    cell is isolated, whose stress is refused.
    """
    device = density_g.device
    if isolated is not None:
        return torch.full((3, 3), torch.nan, dtype=torch.float64, device=device)
    g2 = slab.squared(device)
    squared = (density_g.real.square() + density_g.imag.square()) * slab.multiplicity(device)
    weight = squared * coulomb_kernel(slab, None, device) / torch.where(g2 > 0, g2, 1.0)
    volume = hartree_energy_of(density_g, slab) * torch.eye(3, dtype=torch.float64, device=device)
    return volume + slab.grid.volume * slab.outer_sum(weight)


def hartree_energy(density: Tensor, grid: Grid, isolated: Isolated | None = None) -> Tensor:
    """Hartree energy of a density on the whole grid.

    Parameters
    ----------
    density
        n(r), (Nx, Ny, Nz) float64, 1/Å³.
    grid
        Grid of the density.
    isolated
        '2D' for a slab whose Coulomb interaction is cut off along c.

    Returns
    -------
    Tensor
        E_H, scalar float64, eV; differentiable.
    """
    return hartree_energy_of(to_reciprocal(density), ReciprocalSlab.whole(grid), isolated)


def hartree_potential(density: Tensor, grid: Grid, isolated: Isolated | None = None) -> Tensor:
    """v_H(r) = δE_H/δn, of zero mean, (Nx, Ny, Nz) float64, eV."""
    kernel = coulomb_kernel(ReciprocalSlab.whole(grid), isolated, density.device)
    return to_real(to_reciprocal(density) * kernel, grid)
