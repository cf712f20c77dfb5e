"""Electrostatic energy of the ions in a neutralising background: Ewald's sum.

    E_ii = Σ_pairs q_i q_j e² erfc(r/√2σ)/r + (2π e²/Ω) Σ_{G≠0} exp(−σ²G²/2)/G² |S(G)|²
           − e² Σ q²/(√(2π) σ) − π σ² e² Q²/Ω,   Q = Σ q

Up to a hundred atoms torch-pme's EwaldCalculator does it, on any device. It keeps G-vectors × atoms, so beyond, the
structure factors S(G) come from a non-uniform FFT instead: exact to 1e-12, O(N log N), and by slabs of G where one
task should not hold them all. (torch-pme's particle-mesh sum with 7 nodes is a thousand times less exact and takes
mesh points in powers of two.) Everything is float64 and differentiable in positions and charges.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchpme import CoulombPotential, EwaldCalculator
from vesin_torch import NeighborList

from maladist.errors import AtomsError
from maladist.grid import Grid
from maladist.physics.reciprocal import ReciprocalSlab
from maladist.physics.structure_factor import structure_factors
from maladist.units import COULOMB

SMEARING = 0.75
"""Standard deviation σ (Å) of the Gaussians that split the sum."""

_REACH = 7.6  # r_c/σ and σ G_max at which both sums are cut: erfc(7.6/√2) = 3e-14, exp(−7.6²/2) = 3e-13
_FEW_ATOMS = 100
_FEW_VECTORS = 30_000


def ewald_energy(positions: Tensor, charges: Tensor, cell: npt.ArrayLike) -> Tensor:
    """E_ii of a periodic cell of point charges in a neutralising background.

    Parameters
    ----------
    positions
        (n, 3) float64, Å, in the cell or not.
    charges
        Valence charges, (n,) float64, in units of e, on the same device.
    cell
        Lattice vectors as rows, Å; any shape of positive volume.

    Returns
    -------
    Tensor
        Scalar float64, eV; its gradient gives the forces.

    Raises
    ------
    AtomsError
        Two atoms are in the same place.
    """
    # torch-pme keeps G-vectors × atoms at once: see the module's head.
    if len(positions) <= _FEW_ATOMS:
        return _by_torchpme(positions, charges, cell)
    slab = ReciprocalSlab.whole(ewald_grid(cell))
    return real_space_energy(positions, charges, cell) + reciprocal_energy_of(positions, charges, slab)


def ewald_grid(cell: npt.ArrayLike, smearing: float = SMEARING) -> Grid:
    """Smallest grid whose reciprocal half space holds the sphere of the reciprocal sum: what to cut into slabs."""
    matrix = np.asarray(cell, dtype=float)
    largest = np.ceil(_REACH / smearing * np.linalg.norm(matrix, axis=1) / (2 * np.pi)).astype(int)
    # Odd sizes: no Nyquist coefficient, which would stand for two G at once.
    nx, ny, nz = (2 * int(m) + 1 for m in largest)
    return Grid(matrix.tolist(), (nx, ny, nz))


def reciprocal_energy_of(
    positions: Tensor, charges: Tensor, slab: ReciprocalSlab, smearing: float = SMEARING
) -> Tensor:
    """Share (eV) of the reciprocal sum that one slab of :func:`ewald_grid` carries; the shares add up."""
    return _reciprocal_summands(positions, charges, slab, smearing).sum()


def _reciprocal_summands(positions: Tensor, charges: Tensor, slab: ReciprocalSlab, smearing: float) -> Tensor:
    """Each G's part (eV) of the reciprocal sum, (slab.shape); 0 at G = 0."""
    g2 = slab.squared(positions.device)
    # The inner `where` keeps 1/0 out of the gradient, in which the outer one would make NaN of it.
    kernel = torch.where(g2 > 0, torch.exp(-0.5 * smearing**2 * g2) / torch.where(g2 > 0, g2, 1.0), 0.0)
    s = structure_factors(positions, charges, slab)
    weighted = kernel * slab.multiplicity(positions.device) * (s.real.square() + s.imag.square())
    return 2 * math.pi * COULOMB / slab.grid.volume * weighted


def real_space_energy(positions: Tensor, charges: Tensor, cell: npt.ArrayLike, smearing: float = SMEARING) -> Tensor:
    """All of Ewald's sum (eV) but the reciprocal one: the pairs, the self energy, the background."""
    pairs, distances = _pairs(positions, cell, _REACH * smearing)
    i, j = pairs.T
    screened = torch.erfc(distances / (math.sqrt(2) * smearing)) / distances
    volume = abs(float(np.linalg.det(np.asarray(cell, dtype=float))))
    return COULOMB * (
        (charges[i] * charges[j] * screened).sum()
        - charges.square().sum() / (math.sqrt(2 * math.pi) * smearing)
        - math.pi * smearing**2 / volume * charges.sum() ** 2
    )


class IonDerivatives(NamedTuple):
    """Derivatives of E_ii by the positions, (n, 3) eV/Å, and by a strain, (3, 3) eV."""

    by_position: Tensor
    by_strain: Tensor


def ewald_derivatives(positions: Tensor, charges: Tensor, cell: npt.ArrayLike) -> IonDerivatives:
    """Derivatives of E_ii, which do not depend on the split; arguments and errors are those of `ewald_energy`."""
    slab = ReciprocalSlab.whole(ewald_grid(cell))
    near, far = real_space_derivatives(positions, charges, cell), reciprocal_derivatives_of(positions, charges, slab)
    return IonDerivatives(near.by_position + far.by_position, near.by_strain + far.by_strain)


def reciprocal_derivatives_of(
    positions: Tensor, charges: Tensor, slab: ReciprocalSlab, smearing: float = SMEARING
) -> IonDerivatives:
    """Share of one slab of the derivatives of the reciprocal sum, as :func:`reciprocal_energy_of` has of the sum.

    A strain at fixed S(G) takes 1/Ω to (1 − tr ε)/Ω and exp(−σ²G²/2)/G² to itself times 1 + (σ² + 2/G²) G_a G_b ε_ab.
    """
    r = positions.detach().requires_grad_()
    with torch.enable_grad():
        summands = _reciprocal_summands(r, charges, slab, smearing)
        (by_position,) = torch.autograd.grad(summands.sum(), r)
    summands, g2 = summands.detach(), slab.squared(r.device)
    # Whatever stands at G = 0 is multiplied by a summand that is zero.
    stretched = slab.outer_sum(summands * (smearing**2 + 2 / torch.where(g2 > 0, g2, 1.0)))
    volume = summands.sum() * torch.eye(3, dtype=torch.float64, device=r.device)
    return IonDerivatives(by_position, stretched - volume)


def real_space_derivatives(
    positions: Tensor, charges: Tensor, cell: npt.ArrayLike, smearing: float = SMEARING
) -> IonDerivatives:
    """Derivatives of :func:`real_space_energy`: of the pairs, and by a strain of the background."""
    matrix = torch.as_tensor(np.asarray(cell, dtype=float), device=positions.device)
    pairs, vectors, r = _pair_vectors(positions.detach(), matrix, _REACH * smearing)
    i, j = pairs.T
    slope = -(
        torch.erfc(r / (math.sqrt(2) * smearing)) / r
        + math.sqrt(2 / math.pi) / smearing * torch.exp(-0.5 * (r / smearing) ** 2)
    )
    by_vector = (COULOMB * charges[i] * charges[j] * slope / r**2)[:, None] * vectors
    by_position = torch.zeros_like(positions).index_add(0, j, by_vector).index_add(0, i, -by_vector)
    background = math.pi * smearing**2 * COULOMB / float(torch.linalg.det(matrix).abs()) * charges.sum() ** 2
    return IonDerivatives(by_position, by_vector.T @ vectors + background * torch.eye(3).to(matrix))


def _by_torchpme(positions: Tensor, charges: Tensor, cell: npt.ArrayLike) -> Tensor:
    matrix = torch.as_tensor(np.asarray(cell, dtype=float), device=positions.device)
    # A wider Gaussian in a large, empty cell keeps the number of G-vectors, 8 Ω (G_max/2π)³, bounded.
    volume = abs(float(torch.linalg.det(matrix)))
    smearing = max(SMEARING, 2 * _REACH / (2 * math.pi) * (volume / _FEW_VECTORS) ** (1 / 3))
    pairs, distances = _pairs(positions, cell, _REACH * smearing)
    # torch-pme 0.5 keeps G up to π/lr_wavelength, not 2π/lr_wavelength as its documentation has it.
    calculator = EwaldCalculator(CoulombPotential(smearing), lr_wavelength=math.pi * smearing / _REACH)
    potential = calculator.to(positions.device)(charges[:, None], matrix, positions, pairs, distances)
    return COULOMB * (charges[:, None] * potential).sum()


def _pairs(positions: Tensor, cell: npt.ArrayLike, cutoff: float) -> tuple[Tensor, Tensor]:
    """Each pair nearer than the cutoff once, images of an atom with itself included: indices (p, 2), distances (p,)."""
    matrix = torch.as_tensor(np.asarray(cell, dtype=float), device=positions.device)
    pairs, _, distances = _pair_vectors(positions, matrix, cutoff)
    return pairs, distances


def _pair_vectors(positions: Tensor, matrix: Tensor, cutoff: float) -> tuple[Tensor, Tensor, Tensor]:
    """As :func:`_pairs`, with the vectors from the first to the second atom, (p, 3), between."""
    neighbors = NeighborList(cutoff, full_list=False, n_threads=1)
    pairs, vectors, distances = neighbors.compute(positions, matrix, True, "PDd")
    if bool((distances < 1e-6).any()):
        i, j = pairs[int(distances.argmin())].tolist()
        raise AtomsError("atoms", f"atoms {i} and {j} are in the same place", "atoms apart from one another")
    return pairs.to(torch.int64), vectors, distances
