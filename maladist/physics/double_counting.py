"""The potential of the double counting: what an error of the density does to A.

The terms −E_H[n] + E_xc[n + n_c] − ∫ v_xc[n + n_c] n depend on the density to first order,

    δ(−E_H + E_xc − ∫ v_xc n) = ∫ u δn,        u = −v_H − K_xc n,

with K_xc the second functional derivative of E_xc: v_xc from the second term cancels that from the third. With the
number of electrons fixed a constant in u has no effect.
"""

from __future__ import annotations

import torch
from torch import Tensor

from maladist.errors import InputError
from maladist.physics.core import core_charge
from maladist.physics.hartree import hartree_energy
from maladist.physics.system import System
from maladist.physics.xc import xc_energy


def double_counting_potential(density: Tensor, system: System) -> Tensor:
    """u(r) by differentiating the three terms twice; for cells that one task holds.

    Parameters
    ----------
    density
        n, (Nx, Ny, Nz) float64, 1/Å³.
    system
        The cell, with its functional and pseudopotentials.

    Returns
    -------
    Tensor
        (Nx, Ny, Nz) float64, eV.

    Raises
    ------
    InputError
        The functional is not known.
    PseudopotentialError
        The pseudopotential of an element is not known.
    """
    if system.xc is None:
        raise InputError("xc", "none", "the functional of the DFT")
    core = core_charge(system)
    with torch.enable_grad():
        n = density.detach().requires_grad_()
        rho = n if core is None else n + core
        energy = xc_energy(rho, system.grid, system.xc, system.sphere)
        (potential,) = torch.autograd.grad(energy, rho, create_graph=True)  # v_xc times the voxel's volume
        # Differentiated once more with respect to n, on which ρ and v_xc depend too: K_xc n comes
        # without being written down.
        terms = energy - hartree_energy(n, system.grid) - (potential * n).sum()
        return torch.autograd.grad(terms, n)[0] / system.grid.voxel_volume
