"""The electrostatic potential of the electrons: V_H of their density and V_loc of the pseudopotentials.

V_loc(G) = (1/Ω) Σ_elements v_loc(|G|) S(G) on the sphere of the density cutoff. v_loc(r) has the tail −Ze²/r, whose
transform is taken in closed form, smoothed by erf(r/a) with a = 1 bohr, in the convention of Quantum ESPRESSO:

    v_loc(G) = 4π ∫ r² [v_loc(r) + Ze² erf(r/a)/r] sin(Gr)/(Gr) dr − (4πZe²/G²) exp(−G²a²/4)
    v_loc(0) = 4π ∫ r² [v_loc(r) + Ze²/r] dr

with V_H(G = 0) = 0: the zero of the potential is that of the levels of a calculation in the same convention, so that
E_F and the vacuum level of one cell may be subtracted.

Of a slab whose Coulomb interaction is cut off along c (`maladist.physics.isolated`) V_H and the tail have its factor,
and at G = 0 the tail has nothing, so that v_loc(0) = 4π ∫ r² [v_loc(r) + Ze² erf(r/a)/r] dr: the vacuum of a neutral
slab without a dipole is at zero.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import erf
from torch import Tensor

from maladist.arrays import Array
from maladist.elements import Element
from maladist.errors import PseudopotentialError
from maladist.physics.core import core_charge_of
from maladist.physics.hartree import coulomb_kernel
from maladist.physics.radial import interpolated, radial_transform
from maladist.physics.reciprocal import ReciprocalSlab, to_real, to_reciprocal
from maladist.physics.structure_factor import structure_factors
from maladist.physics.system import System
from maladist.physics.xc import xc_potential
from maladist.units import BOHR, COULOMB, RYDBERG_BOHR2

_SMOOTH: Final = BOHR
"""a, Å. The result does not depend on it, but for what Simpson's rule makes of the mesh."""


def local_form_factor(element: Element, g: npt.ArrayLike) -> Array:
    """v_loc(|G|) + (4πZe²/G²) exp(−G²a²/4), eV Å³, (n,): what is left of an element without its tail.

    Raises
    ------
    PseudopotentialError
        The local potential of the element is not known.
    """
    r, rab, v, z = element.local_radii, element.local_rab, element.local_potential, element.valence
    if r is None or rab is None or v is None or z is None:
        came = f"no local potential (PP_LOCAL) for {element.symbol}"
        remedy = "Model files made before maladist kept it have none: give the folder of the UPF files."
        raise PseudopotentialError("pseudopotentials", came, "UPF files that have it", remedy)
    there = np.where(r > 0, r, 1.0)
    of_tail = np.where(r > 0, erf(there / _SMOOTH) / there, 2 / (np.sqrt(np.pi) * _SMOOTH))
    return radial_transform(r, rab, v + z * COULOMB * of_tail, g)


def local_potential_of(system: System, slab: ReciprocalSlab) -> Tensor:
    """Coefficients V_loc(G) on one slab, (slab.shape) complex128, eV, zero outside the sphere of the density cutoff.

    Raises
    ------
    PseudopotentialError
        The local potential of an element is not known.
    """
    positions = torch.as_tensor(system.positions, dtype=torch.float64)
    g2, sphere = slab.squared(), slab.sphere(system.sphere)
    outside = torch.where(g2 > 0, g2, 1.0)
    tail = torch.where(g2 > 0, coulomb_kernel(slab, system.assume_isolated) * torch.exp(-g2 * _SMOOTH**2 / 4), 0.0)
    # ∫ 4πr² [erf(r/a) − 1]/r dr = −πa², what the tail's own G = 0 leaves.
    if system.assume_isolated is None:
        tail = torch.where(g2 > 0, tail, -np.pi * COULOMB * _SMOOTH**2)
    largest = float(np.sqrt(system.sphere / RYDBERG_BOHR2))
    total = torch.zeros(slab.shape, dtype=torch.complex128)
    for symbol in system.kinds:
        element = system.elements.get(symbol, Element(symbol))
        of_kind = positions[torch.as_tensor(system.indices(symbol))]
        ones = torch.ones(len(of_kind), dtype=torch.float64)
        factor = interpolated(partial(local_form_factor, element), outside.sqrt() * (g2 > 0), largest)
        assert element.valence is not None
        total += structure_factors(of_kind, ones, slab) * (factor - element.valence * tail)
    return torch.where(sphere, total / slab.grid.volume, 0.0)


def electrostatic_potential(density: Tensor, system: System) -> Tensor:
    """V_H + V_loc of a density on the whole grid, and V_xc of n + n_core where the system has a functional.

    Parameters
    ----------
    density
        n, (Nx, Ny, Nz) float64, 1/Å³.
    system
        The cell, with its pseudopotentials and density cutoff.

    Returns
    -------
    Tensor
        (Nx, Ny, Nz) float64, eV: energy of an electron.
    """
    slab = ReciprocalSlab.whole(system.grid)
    hartree = to_reciprocal(density) * coulomb_kernel(slab, system.assume_isolated)
    found = to_real(hartree + local_potential_of(system, slab), system.grid)
    if system.functional is None:
        return found
    core_g = core_charge_of(system, slab)
    rho = density if core_g is None else density + to_real(core_g, system.grid)
    return found + xc_potential(rho, system.grid, system.functional, system.sphere)
