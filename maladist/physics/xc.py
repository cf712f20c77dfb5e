"""Exchange-correlation energy, its potential, and ∫ v_xc n, of a density on a periodic grid.

Gradients are taken in reciprocal space on the sphere ħ²G²/2m ≤ density cutoff, as plane-wave codes do: without the
sphere the energy of a GGA is off by milli-electronvolts an atom.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Literal, NamedTuple

import torch
from torch import Tensor

from maladist.choices import Functional
from maladist.grid import Grid
from maladist.physics.functionals import derivatives, energy_density, integrate, needs_gradient
from maladist.physics.reciprocal import ReciprocalSlab, to_real, to_reciprocal
from maladist.units import BOHR

FAINT: Final = 1e-6
"""ρ, bohr⁻³, up to which v_xc has no gradient correction: Quantum ESPRESSO's (rho_threshold_gga)."""

FLAT: Final = 1e-10
"""|∇ρ|², bohr⁻⁸, up to which it has none (grho_threshold_gga)."""


def gradient_of(density_g: Tensor, slab: ReciprocalSlab, axis: int, sphere: Tensor) -> Tensor:
    """Coefficients i G_axis ρ(G) of one component of ∇ρ, zero outside the sphere, on one slab.

    Parameters
    ----------
    density_g
        ρ(G), (slab.shape) complex128, 1/Å³.
    slab
        Slab of the coefficients.
    axis
        Cartesian axis of the component: 0, 1, 2 for x, y, z.
    sphere
        Mask of :meth:`ReciprocalSlab.sphere`.

    Returns
    -------
    Tensor
        The coefficients, (slab.shape) complex128, 1/Å⁴.
    """
    g = slab.component(axis, density_g.device) * sphere
    # i G ρ without a complex product, of which half would be multiplications by zero.
    return torch.complex(-g * density_g.imag, g * density_g.real)


def xc_energy(density: Tensor, grid: Grid, functional: Functional, density_cutoff: float) -> Tensor:
    """E_xc[ρ], differentiable.

    Parameters
    ----------
    density
        ρ = n + n_core, (Nx, Ny, Nz) float64, 1/Å³.
    grid
        Grid of the density.
    functional
        'pbe', 'pw92' or 'pz'.
    density_cutoff
        Kinetic energy of the sphere of the gradient, eV; not looked at by LDA.

    Returns
    -------
    Tensor
        The energy, scalar, eV.
    """
    sigma = None
    if needs_gradient(functional):
        slab = ReciprocalSlab.whole(grid)
        sphere = slab.sphere(density_cutoff, density.device)
        density_g = to_reciprocal(density)
        sigma = torch.zeros_like(density)
        for axis in range(3):
            sigma = sigma + to_real(gradient_of(density_g, slab, axis, sphere), grid).square()
    return energy_density(functional, density, sigma).sum() * grid.voxel_volume


class PotentialSources(NamedTuple):
    """What v_xc is made of at some points: v_xc = scalar + ∇·flux.

    Attributes
    ----------
    scalar
        e_ρ, eV.
    flux
        −2 e_σ ∇ρ, (3, ...), eV Å; None where the functional needs no gradients.
    """

    scalar: Tensor
    flux: Tensor | None


def potential_sources(functional: Functional, density: Tensor, gradient: Tensor | None = None) -> PotentialSources:
    """Sources of v_xc at some points, in a vacuum too.

    Two things decide what v_xc is where there is hardly a density, and are as in Quantum ESPRESSO, whose levels felt
    it: the gradient correction ends where ρ is `FAINT` or `FLAT`, and where ripples of a Fourier series make ρ
    negative (n_core's do, a few 1e-5 bohr⁻³), |ρ| stands for it. There v_xc is not the derivative of our E_xc, in which
    a negative density has no energy.

    Parameters
    ----------
    functional
        'pbe', 'pw92' or 'pz'.
    density
        ρ = n + n_core at the points, any shape, 1/Å³.
    gradient
        ∇ρ there, (3, ...), 1/Å⁴; for functionals that need it.
    """
    rho = density.abs()
    if gradient is None:
        return PotentialSources(derivatives(functional, rho).by_density, None)
    sigma = gradient.square().sum(0)
    there = (rho * BOHR**3 > FAINT) & (sigma * BOHR**8 > FLAT)
    found = derivatives(functional, rho, torch.where(there, sigma, 0.0))
    assert found.by_sigma is not None
    return PotentialSources(found.by_density, -2 * torch.where(there, found.by_sigma, 0.0) * gradient)


def xc_potential(density: Tensor, grid: Grid, functional: Functional, density_cutoff: float) -> Tensor:
    """v_xc(r) = δE_xc/δρ, (Nx, Ny, Nz) float64, eV; in a vacuum as `potential_sources` says.

    Parameters
    ----------
    density
        ρ = n + n_core, (Nx, Ny, Nz) float64, 1/Å³.
    grid, functional, density_cutoff
        As for `xc_energy`.
    """
    if not needs_gradient(functional):
        return potential_sources(functional, density).scalar
    slab = ReciprocalSlab.whole(grid)
    sphere, density_g = slab.sphere(density_cutoff, density.device), to_reciprocal(density)
    gradient = torch.stack([to_real(gradient_of(density_g, slab, axis, sphere), grid) for axis in range(3)])
    scalar, flux = potential_sources(functional, density, gradient)
    assert flux is not None
    return scalar + to_real(divergence_of(map(to_reciprocal, flux), slab, sphere), grid)


def divergence_of(flux_g: Iterable[Tensor], slab: ReciprocalSlab, sphere: Tensor) -> Tensor:
    """Coefficients of the divergence of a vector field from those of its components, zero outside the sphere."""
    total = torch.zeros(slab.shape, dtype=torch.complex128, device=sphere.device)
    for axis, component in enumerate(flux_g):
        total += gradient_of(component, slab, axis, sphere)
    return total


class XCField(NamedTuple):
    """A field that XC needs in real space: a charge, or a component of the gradient of one.

    Attributes
    ----------
    charge
        'core' for n_core, 'all' for ρ = n + n_core, 'valence' for n.
    axis
        Component of the gradient, 0, 1, 2 for x, y, z; None for the charge itself.
    """

    charge: Literal["core", "all", "valence"]
    axis: int | None = None

    def __str__(self) -> str:
        return self.charge if self.axis is None else f"gradient_{'xyz'[self.axis]}_of_{self.charge}"

    def coefficients(self, density_g: Tensor, core_g: Tensor | None, slab: ReciprocalSlab, sphere: Tensor) -> Tensor:
        """The field's coefficients on one slab from those of n and n_core, (slab.shape) complex128, zero outside."""
        source = density_g
        if core_g is not None and self.charge != "valence":
            source = core_g if self.charge == "core" else density_g + core_g
        return source if self.axis is None else gradient_of(source, slab, self.axis, sphere)


def xc_fields(functional: Functional, has_core: bool) -> tuple[XCField, ...]:
    """What must come from reciprocal to real space for :func:`xc_share`."""
    charges: tuple[Literal["all", "valence"], ...] = ("all", "valence") if has_core else ("all",)
    gradients = [XCField(c, a) for a in range(3) for c in charges] if needs_gradient(functional) else []
    return (*([XCField("core")] if has_core else []), *gradients)


def xc_share(
    functional: Functional, has_core: bool, density: Tensor, field: Callable[[XCField], Tensor], voxel_volume: float
) -> Tensor:
    """Shares of E_xc[n + n_core] and of ∫ v_xc[n + n_core] n that some points carry; the shares add up.

    Parameters
    ----------
    functional
        'pbe', 'pw92' or 'pz'.
    has_core
        Whether there is a core charge.
    density
        Valence density n at the points, any shape, float64, 1/Å³, without a graph.
    field
        Function that gives each of :func:`xc_fields` at the points, when it is asked for: one at a time is held.
    voxel_volume
        Volume of a point, Å³.

    Returns
    -------
    Tensor
        (2,) float64, eV.
    """
    # n and n_core meet in E_xc only; everything else takes n alone.
    rho = density + field(XCField("core")) if has_core else density
    if not needs_gradient(functional):
        return integrate(functional, rho, density) * voxel_volume
    sigma = torch.zeros_like(density)
    overlap = torch.zeros_like(density) if has_core else sigma  # ∇ρ·∇n is |∇ρ|² where ρ is n
    for axis in range(3):
        of_rho = field(XCField("all", axis))
        # Component by component: one field of the gradient is held at a time, not three.
        sigma.addcmul_(of_rho, of_rho)
        if has_core:
            overlap.addcmul_(of_rho, field(XCField("valence", axis)))
    return integrate(functional, rho, density, sigma, overlap) * voxel_volume


def xc_terms(density: Tensor, core_g: Tensor | None, grid: Grid, functional: Functional, cutoff: float) -> Tensor:
    """E_xc[n + n_core] and ∫ v_xc[n + n_core] n of a whole grid, (2,) float64, eV, without a graph.

    Parameters
    ----------
    density
        n, (Nx, Ny, Nz) float64, 1/Å³.
    core_g
        n_core(G) on the whole half space, or None where there is none.
    grid
        Their grid.
    functional
        'pbe', 'pw92' or 'pz'.
    cutoff
        Kinetic energy of the sphere of the gradient, eV; not looked at by LDA.
    """
    slab, n = ReciprocalSlab.whole(grid), density.detach()
    density_g, sphere = to_reciprocal(n), slab.sphere(cutoff, n.device)

    def field(wanted: XCField) -> Tensor:
        return to_real(wanted.coefficients(density_g, core_g, slab, sphere), grid)

    return xc_share(functional, core_g is not None, n, field, grid.voxel_volume)
