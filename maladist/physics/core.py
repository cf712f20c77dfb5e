"""Charge of the atoms' cores that the non-linear core correction adds to the density in E_xc.

n_core(G) = (1/Ω) Σ_elements ρ_core(|G|) S(G) on the sphere ħ²G²/2m ≤ density cutoff, with
ρ_core(G) = 4π ∫ r² n_core(r) sin(Gr)/(Gr) dr by Simpson's rule on the pseudopotential's own mesh, r ≤ 10 bohr: the
conventions of Quantum ESPRESSO, whose energies depend on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from maladist.arrays import Array
from maladist.elements import Element
from maladist.errors import PseudopotentialError
from maladist.physics.radial import interpolated, radial_transform
from maladist.physics.reciprocal import ReciprocalSlab, to_real
from maladist.physics.structure_factor import structure_factors
from maladist.physics.system import System
from maladist.units import RYDBERG_BOHR2


def form_factor(element: Element, g: npt.ArrayLike) -> Array:
    """ρ_core(|G|) of an element's core charge, by Simpson's rule.

    Parameters
    ----------
    element
        Element with a core density.
    g
        Values of |G|, (n,), 1/Å.

    Returns
    -------
    ndarray
        The form factor, (n,) float64, electrons.
    """
    r, rab, density = element.core_radii, element.core_rab, element.core_density
    if r is None or rab is None or density is None:
        raise PseudopotentialError("core charge", f"no core charge for {element.symbol}", "a pseudopotential with NLCC")
    return radial_transform(r, rab, density, g)


def core_charge_of(
    system: System, slab: ReciprocalSlab, positions: Tensor | None = None, magnitude: Tensor | None = None
) -> Tensor | None:
    """Coefficients n_core(G) on one slab, zero outside the sphere of the density cutoff.

    Parameters
    ----------
    system
        The cell; every element must have its pseudopotential.
    slab
        Slab of G that is wanted.
    positions
        (n_atoms, 3) float64, Å, in place of the system's: with a graph, or on another device.
    magnitude
        |G| of the slab, 1/Å, with a graph.

    Returns
    -------
    Tensor or None
        (slab.shape) complex128, 1/Å³, on the device of the positions; None where no element has a core charge.

    Raises
    ------
    PseudopotentialError
        The pseudopotential of an element is not known.
    """
    r = torch.as_tensor(system.positions, dtype=torch.float64) if positions is None else positions
    total: Tensor | None = None
    magnitude = slab.squared(r.device).sqrt() if magnitude is None else magnitude
    # No G of the grid is longer; a cutoff beyond it, as of a coarse grid, would ask for intervals that are never used.
    largest = float(np.linalg.norm(slab.grid.reciprocal, axis=1) @ np.array(slab.grid.shape)) / 2
    largest = min(largest, float(np.sqrt(system.sphere / RYDBERG_BOHR2)))
    for symbol in system.kinds:
        element = _known(system.elements, symbol)
        if element.core_density is None:
            continue
        of_kind = r[torch.as_tensor(system.indices(symbol), device=r.device)]
        # All atoms of an element have one form factor: S(G) is taken for them together.
        ones = torch.ones(len(of_kind), dtype=torch.float64, device=r.device)
        factor = interpolated(partial(form_factor, element), magnitude, largest)
        term = structure_factors(of_kind, ones, slab) * factor
        total = term if total is None else total + term
    if total is None:
        return None
    return torch.where(slab.sphere(system.sphere, r.device), total / slab.grid.volume, 0.0)


def core_derivatives_of(system: System, slab: ReciprocalSlab, field_g: Tensor) -> tuple[Tensor, Tensor]:
    """Share of one slab of the derivatives of ∫ s n_core by the atoms and by a strain, for a fixed field s(r).

    At fixed structure factors a strain takes n_core(G) = ρ_core(|G|) S(G)/Ω to n_core(G) less its trace times
    n_core(G), and |G| to |G| − G_a G_b ε_ab/|G|.

    Parameters
    ----------
    system
        The cell; some element must have a core charge.
    slab
        The G.
    field_g
        s(G) on the slab, (slab.shape) complex128, eV.

    Returns
    -------
    tuple
        Derivatives by the positions, (n_atoms, 3), eV/Å, and by a strain, (3, 3), eV; float64, on the device of the
        field.
    """
    device = field_g.device
    positions = torch.as_tensor(system.positions, device=device).requires_grad_()
    length = slab.squared(device).sqrt()
    magnitude = length.clone().requires_grad_()
    with torch.enable_grad():
        core_g = core_charge_of(system, slab, positions, magnitude)
        if core_g is None:
            raise PseudopotentialError("core charge", "none", "an element that has one")
        weight = slab.grid.volume * slab.multiplicity(device)
        overlap = ((field_g.real * core_g.real + field_g.imag * core_g.imag) * weight).sum()
        by_position, by_magnitude = torch.autograd.grad(overlap, [positions, magnitude])
    slope = torch.where(length > 0, by_magnitude / torch.where(length > 0, length, 1.0), 0.0)
    volume = overlap.detach() * torch.eye(3, dtype=torch.float64, device=device)
    return by_position, -volume - slab.outer_sum(slope)


def core_charge(system: System, positions: Tensor | None = None) -> Tensor | None:
    """n_core(r) on the whole grid, (Nx, Ny, Nz) float64, 1/Å³; arguments and errors of :func:`core_charge_of`.

    Like the Fourier series that it is, it may be slightly negative between the atoms.
    """
    coefficients = core_charge_of(system, ReciprocalSlab.whole(system.grid), positions)
    return None if coefficients is None else to_real(coefficients, system.grid)


def _known(elements: Mapping[str, Element], symbol: str) -> Element:
    element = elements.get(symbol)
    if element is None or not element.has_pseudopotential:
        remedy = "Give the folder of the UPF files that the data were made with."
        raise PseudopotentialError("pseudopotentials", f"none for {symbol}", "a UPF file for every element", remedy)
    return element
