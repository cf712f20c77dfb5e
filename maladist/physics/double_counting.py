"""The double counting −E_H[n] + E_xc[n + n_c] − ∫ v_xc[n + n_c] n under small changes: of n, of n_c, and by a strain.

To first order it changes by ∫ u δn + ∫ s δn_c with

    u = −v_H − K_xc n,        s = v_xc − K_xc n,

K_xc the second functional derivative of E_xc: in u, v_xc from the second term cancels that from the third. With the
number of electrons fixed a constant in u has no effect.

With the integrand t = e_ρ n + 2 e_σ o of ∫ v_xc n, where ρ = n + n_c, σ = |∇ρ|² and o = ∇ρ·∇n, point by point

    v_xc = e_ρ − ∇·(2 e_σ ∇ρ),        K_xc n = t_ρ − ∇·(2 t_σ ∇ρ + 2 e_σ ∇n),

so that both fields are Hartree's potential, a scalar, and the divergence of a vector field (`Sources`), with gradients
and divergences on the sphere of the density. A strain at fixed n(r) and n_c(r) changes volume and gradients only.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from maladist.choices import Functional
from maladist.errors import InputError
from maladist.physics.core import core_charge_of
from maladist.physics.functionals import needs_gradient, response
from maladist.physics.hartree import coulomb_kernel, hartree_strain_of
from maladist.physics.reciprocal import ReciprocalSlab, to_real, to_reciprocal
from maladist.physics.system import System
from maladist.physics.xc import divergence_of, gradient_of


class Sources(NamedTuple):
    """What u and s are made of at some points: u = −v_H + scalar + ∇·flux, s alike but without v_H.

    Attributes
    ----------
    u, s
        Scalars, eV.
    u_flux, s_flux
        Vector fields, (3, ...), eV Å; None where the functional needs no gradients.
    strain
        Σ over the points of the change by a strain of e_xc − t and of the volume, (3, 3) eV/Å³, to be multiplied by
        the volume of a point.
    """

    u: Tensor
    s: Tensor
    u_flux: Tensor | None
    s_flux: Tensor | None
    strain: Tensor


def xc_sources(
    functional: Functional, n: Tensor, core: Tensor | None, by_n: Tensor | None = None, by_rho: Tensor | None = None
) -> Sources:
    """Sources at some points.

    Parameters
    ----------
    functional
        'pbe', 'pw92' or 'pz'.
    n, core
        Density and core charge at the points, any shape, 1/Å³.
    by_n, by_rho
        ∇n and ∇(n + n_c) there, (3, ...), 1/Å⁴; for functionals that need them.
    """
    rho = n if core is None else n + core
    identity = torch.eye(3, dtype=torch.float64, device=n.device)
    if by_n is None or by_rho is None:
        r = response(functional, rho, n)
        return Sources(-r.t_density, r.e_density - r.t_density, None, None, (r.energy - r.potential).sum() * identity)
    r = response(functional, rho, n, (by_rho * by_rho).sum(0), (by_rho * by_n).sum(0))
    assert r.e_sigma is not None
    assert r.t_sigma is not None
    flux = 2 * (r.t_sigma * by_rho + r.e_sigma * by_n)
    # ∂σ = −2 ε_ab ∂_aρ ∂_bρ and ∂o = −ε_ab (∂_aρ ∂_bn + ∂_bρ ∂_an), in e − t
    g, m = by_rho.reshape(3, -1), by_n.reshape(3, -1)
    mixed = (2 * r.e_sigma.reshape(-1) * g) @ m.T
    own = (-2 * (r.e_sigma - r.t_sigma).reshape(-1) * g) @ g.T
    strain = (r.energy - r.potential).sum() * identity + own + mixed + mixed.T
    return Sources(-r.t_density, r.e_density - r.t_density, flux, flux - 2 * r.e_sigma * by_rho, strain)


class Potentials(NamedTuple):
    """First-order changes of the double counting of a whole cell.

    Attributes
    ----------
    u
        Derivative by the density, (Nx, Ny, Nz) float64, eV.
    s_g
        Coefficients of that by the core charge, on the half space, eV; None where there is none.
    strain
        Derivative by a strain at fixed n(r) and n_c(r), (3, 3) float64, eV; NaN where the cell is isolated.
    """

    u: Tensor
    s_g: Tensor | None
    strain: Tensor


def potentials(density: Tensor, system: System) -> Potentials:
    """Changes of the double counting, for cells that one task holds.

    Parameters
    ----------
    density
        n, (Nx, Ny, Nz) float64, 1/Å³.
    system
        The cell, with its functional and pseudopotentials.

    Raises
    ------
    InputError
        The functional is not known.
    PseudopotentialError
        The pseudopotential of an element is not known.
    """
    # Without the functional there is no K_xc, and nothing that could stand for it.
    if system.xc is None:
        raise InputError("xc", "none", "the functional of the DFT")
    n, grid, device = density.detach(), system.grid, density.device
    slab, n_g = ReciprocalSlab.whole(grid), to_reciprocal(density.detach())
    sphere = slab.sphere(system.sphere, device)
    core_g = core_charge_of(system, slab, torch.as_tensor(system.positions, device=device))

    def gradient(field_g: Tensor) -> Tensor:
        return torch.stack([to_real(gradient_of(field_g, slab, axis, sphere), grid) for axis in range(3)])

    by_n = gradient(n_g) if needs_gradient(system.xc) else None
    by_rho = by_n if core_g is None or by_n is None else by_n + gradient(core_g)
    sources = xc_sources(system.xc, n, None if core_g is None else to_real(core_g, grid), by_n, by_rho)
    hartree = n_g * coulomb_kernel(slab, system.assume_isolated, device)

    def gathered(scalar: Tensor, flux: Tensor | None) -> Tensor:
        return to_reciprocal(scalar) + (0 if flux is None else divergence_of(map(to_reciprocal, flux), slab, sphere))

    s_g = None if core_g is None else gathered(sources.s, sources.s_flux)
    strain = sources.strain * grid.voxel_volume - hartree_strain_of(n_g, slab, system.assume_isolated)
    return Potentials(to_real(gathered(sources.u, sources.u_flux) - hartree, grid), s_g, strain)


def double_counting_potential(density: Tensor, system: System) -> Tensor:
    """u(r), (Nx, Ny, Nz) float64, eV; parameters and errors are those of :func:`potentials`."""
    return potentials(density, system).u
