"""Electrostatic energy of the ions in a neutralising background: Ewald's sum.

    E_ii = Σ_pairs q_i q_j e² erfc(r/√2σ)/r + (2π e²/Ω) Σ_{G≠0} exp(−σ²G²/2)/G² |S(G)|²
           − e² Σ q²/(√(2π) σ) − π σ² e² Q²/Ω,   Q = Σ q

Up to a hundred atoms torch-pme's EwaldCalculator does it, on any device. It keeps G-vectors × atoms, so beyond, the
structure factors S(G) come from a non-uniform FFT instead: exact to 1e-12, O(N log N). Where one task should not hold
them all, they come by slabs of G, and the pairs by parts of the atoms. (torch-pme's particle-mesh sum with 7 nodes is a
thousand times less exact and takes mesh points in powers of two.) Everything is float64 and differentiable in positions
and charges.

Where the Coulomb interaction is cut off along c (`maladist.physics.isolated`) each G has that factor, and the last
term, that of G = 0, is absent: Quantum ESPRESSO's convention, which does not depend on σ either.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial import KDTree
from torch import Tensor
from torchpme import CoulombPotential, EwaldCalculator
from vesin_torch import NeighborList

from maladist.errors import AtomsError
from maladist.grid import Grid
from maladist.neighbors import CellList
from maladist.physics.isolated import Isolated, truncation
from maladist.physics.reciprocal import ReciprocalSlab
from maladist.physics.structure_factor import structure_factors
from maladist.units import COULOMB

SMEARING = 0.75
"""Standard deviation σ (Å) of the Gaussians that split the sum."""

_REACH = 7.6  # r_c/σ and σ G_max at which both sums are cut: erfc(7.6/√2) = 3e-14, exp(−7.6²/2) = 3e-13
_SAME_PLACE = 1e-6  # Å
_PAIR_BYTES = 150  # of a pair seen from either side, temporaries included (measured)
_FEW_ATOMS = 100
_FEW_VECTORS = 30_000


def ewald_energy(positions: Tensor, charges: Tensor, cell: npt.ArrayLike, isolated: Isolated | None = None) -> Tensor:
    """E_ii of a periodic cell of point charges in a neutralising background.

    Parameters
    ----------
    positions
        (n, 3) float64, Å, in the cell or not.
    charges
        Valence charges, (n,) float64, in units of e, on the same device.
    cell
        Lattice vectors as rows, Å; any shape of positive volume.
    isolated
        '2D' for a slab whose Coulomb interaction is cut off along c, which must fit it: see `check_isolated`.

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
    if len(positions) <= _FEW_ATOMS and isolated is None:
        return _by_torchpme(positions, charges, cell)
    slab = ReciprocalSlab.whole(ewald_grid(cell))
    near = real_space_energy(positions, charges, cell, isolated=isolated)
    return near + reciprocal_energy_of(positions, charges, slab, isolated=isolated)


def ewald_grid(cell: npt.ArrayLike, smearing: float = SMEARING) -> Grid:
    """Smallest grid whose reciprocal half space holds the sphere of the reciprocal sum: what to cut into slabs."""
    matrix = np.asarray(cell, dtype=float)
    largest = np.ceil(_REACH / smearing * np.linalg.norm(matrix, axis=1) / (2 * np.pi)).astype(int)
    # Odd sizes: no Nyquist coefficient, which would stand for two G at once.
    nx, ny, nz = (2 * int(m) + 1 for m in largest)
    return Grid(matrix.tolist(), (nx, ny, nz))


def reciprocal_energy_of(
    positions: Tensor,
    charges: Tensor,
    slab: ReciprocalSlab,
    smearing: float = SMEARING,
    isolated: Isolated | None = None,
) -> Tensor:
    """Share (eV) of the reciprocal sum that one slab of :func:`ewald_grid` carries; the shares add up."""
    return _reciprocal_summands(positions, charges, slab, smearing, isolated).sum()


def _reciprocal_summands(
    positions: Tensor, charges: Tensor, slab: ReciprocalSlab, smearing: float, isolated: Isolated | None
) -> Tensor:
    """Each G's part (eV) of the reciprocal sum, (slab.shape); 0 at G = 0."""
    g2 = slab.squared(positions.device)
    # The inner `where` keeps 1/0 out of the gradient, in which the outer one would make NaN of it.
    kernel = torch.where(g2 > 0, torch.exp(-0.5 * smearing**2 * g2) / torch.where(g2 > 0, g2, 1.0), 0.0)
    kernel = kernel * truncation(slab, isolated, positions.device)
    s = structure_factors(positions, charges, slab)
    weighted = kernel * slab.multiplicity(positions.device) * (s.real.square() + s.imag.square())
    return 2 * math.pi * COULOMB / slab.grid.volume * weighted


def real_space_energy(
    positions: Tensor,
    charges: Tensor,
    cell: npt.ArrayLike,
    smearing: float = SMEARING,
    part: Part | None = None,
    isolated: Isolated | None = None,
) -> Tensor:
    """All of Ewald's sum (eV) but the reciprocal one: the pairs, the self energy, the background.

    Of a part it is its share, without derivatives; the shares add up.
    """
    near = _near(positions, cell, _REACH * smearing, part)
    screened = torch.erfc(near.distances / (math.sqrt(2) * smearing)) / near.distances
    energy = COULOMB * (
        near.share * (charges[near.first] * charges[near.second] * screened).sum()
        - charges[near.own].square().sum() / (math.sqrt(2 * math.pi) * smearing)
    )
    return energy if isolated is not None else energy - _background(charges, near.own, cell, smearing)


def _background(charges: Tensor, own: Tensor, cell: npt.ArrayLike, smearing: float) -> Tensor:
    """π σ² e² Q²/Ω, or the share of some of the atoms, eV."""
    volume = abs(float(np.linalg.det(np.asarray(cell, dtype=float))))
    return math.pi * smearing**2 * COULOMB / volume * charges.sum() * charges[own].sum()


class IonDerivatives(NamedTuple):
    """Derivatives of E_ii by the positions, (n, 3) eV/Å, and by a strain, (3, 3) eV: NaN where the cell is isolated."""

    by_position: Tensor
    by_strain: Tensor


def ewald_derivatives(
    positions: Tensor, charges: Tensor, cell: npt.ArrayLike, isolated: Isolated | None = None
) -> IonDerivatives:
    """Derivatives of E_ii, which do not depend on the split; arguments and errors are those of `ewald_energy`."""
    slab = ReciprocalSlab.whole(ewald_grid(cell))
    near = real_space_derivatives(positions, charges, cell, isolated=isolated)
    far = reciprocal_derivatives_of(positions, charges, slab, isolated=isolated)
    return IonDerivatives(near.by_position + far.by_position, near.by_strain + far.by_strain)


def reciprocal_derivatives_of(
    positions: Tensor,
    charges: Tensor,
    slab: ReciprocalSlab,
    smearing: float = SMEARING,
    isolated: Isolated | None = None,
) -> IonDerivatives:
    """Share of one slab of the derivatives of the reciprocal sum, as :func:`reciprocal_energy_of` has of the sum.

    A strain at fixed S(G) takes 1/Ω to (1 − tr ε)/Ω and exp(−σ²G²/2)/G² to itself times 1 + (σ² + 2/G²) G_a G_b ε_ab.
    """
    r = positions.detach().requires_grad_()
    with torch.enable_grad():
        summands = _reciprocal_summands(r, charges, slab, smearing, isolated)
        (by_position,) = torch.autograd.grad(summands.sum(), r)
    if isolated is not None:
        return IonDerivatives(by_position, _no_strain(r))
    summands, g2 = summands.detach(), slab.squared(r.device)
    # Whatever stands at G = 0 is multiplied by a summand that is zero.
    stretched = slab.outer_sum(summands * (smearing**2 + 2 / torch.where(g2 > 0, g2, 1.0)))
    volume = summands.sum() * torch.eye(3, dtype=torch.float64, device=r.device)
    return IonDerivatives(by_position, stretched - volume)


def real_space_derivatives(
    positions: Tensor,
    charges: Tensor,
    cell: npt.ArrayLike,
    smearing: float = SMEARING,
    part: Part | None = None,
    isolated: Isolated | None = None,
) -> IonDerivatives:
    """Derivatives of :func:`real_space_energy`: of the pairs, and by a strain of the background."""
    matrix = torch.as_tensor(np.asarray(cell, dtype=float), device=positions.device)
    near = _near(positions.detach(), cell, _REACH * smearing, part)
    i, j, r = near.first, near.second, near.distances
    slope = -(
        torch.erfc(r / (math.sqrt(2) * smearing)) / r
        + math.sqrt(2 / math.pi) / smearing * torch.exp(-0.5 * (r / smearing) ** 2)
    )
    by_vector = (near.share * COULOMB * charges[i] * charges[j] * slope / r**2)[:, None] * near.vectors
    by_position = torch.zeros_like(positions).index_add(0, j, by_vector).index_add(0, i, -by_vector)
    if isolated is not None:
        return IonDerivatives(by_position, _no_strain(positions))
    background = _background(charges, near.own, cell, smearing)
    return IonDerivatives(by_position, by_vector.T @ near.vectors + background * torch.eye(3).to(matrix))


def _no_strain(like: Tensor) -> Tensor:
    """What stands for the stress of an isolated cell, which is refused: never a number that could be used."""
    return torch.full((3, 3), torch.nan, dtype=torch.float64, device=like.device)


def _by_torchpme(positions: Tensor, charges: Tensor, cell: npt.ArrayLike) -> Tensor:
    matrix = torch.as_tensor(np.asarray(cell, dtype=float), device=positions.device)
    # A wider Gaussian in a large, empty cell keeps the number of G-vectors, 8 Ω (G_max/2π)³, bounded.
    volume = abs(float(torch.linalg.det(matrix)))
    smearing = max(SMEARING, 2 * _REACH / (2 * math.pi) * (volume / _FEW_VECTORS) ** (1 / 3))
    near = _near(positions, cell, _REACH * smearing)
    pairs = torch.stack([near.first, near.second], dim=1)
    # torch-pme 0.5 keeps G up to π/lr_wavelength, not 2π/lr_wavelength as its documentation has it.
    calculator = EwaldCalculator(CoulombPotential(smearing), lr_wavelength=math.pi * smearing / _REACH)
    potential = calculator.to(positions.device)(charges[:, None], matrix, positions, pairs, near.distances)
    return COULOMB * (charges[:, None] * potential).sum()


class Part(NamedTuple):
    """One of several parts of the atoms: those whose pairs one task takes."""

    which: int
    of: int


def parts(n_atoms: int, volume: float, room: int) -> list[Part]:
    """Parts whose pairs fit into ``room`` bytes each, of atoms in a cell of a volume, Å³."""
    per_atom = _PAIR_BYTES * (1 + n_atoms / volume * 4 / 3 * math.pi * (_REACH * SMEARING) ** 3)
    count = min(n_atoms, math.ceil(n_atoms * per_atom / max(room, 1)))
    return [Part(which, count) for which in range(count)]


class _Near(NamedTuple):
    """Pairs of atoms nearer than a cutoff, images of an atom with itself included.

    Attributes
    ----------
    first, second
        The atoms, (p,) int64 each.
    vectors, distances
        From the first to the second, (p, 3), and how far, (p,), Å.
    share
        What counts of each: all, or half where a pair comes from either side.
    own
        The atoms that these pairs are all pairs of.
    """

    first: Tensor
    second: Tensor
    vectors: Tensor
    distances: Tensor
    share: float
    own: Tensor


def _near(positions: Tensor, cell: npt.ArrayLike, cutoff: float, part: Part | None = None) -> _Near:
    """Each pair once; of a part of the atoms each of their pairs, seen from them."""
    if part is not None:
        return _near_part(positions, cell, cutoff, part)
    matrix = torch.as_tensor(np.asarray(cell, dtype=float), device=positions.device)
    neighbors = NeighborList(cutoff, full_list=False, n_threads=1)
    pairs, vectors, distances = neighbors.compute(positions, matrix, True, "PDd")
    first, second = pairs.to(torch.int64).T
    _check_apart(first, second, distances)
    return _Near(first, second, vectors, distances, 1.0, torch.arange(len(positions), device=positions.device))


def _near_part(positions: Tensor, cell: npt.ArrayLike, cutoff: float, part: Part) -> _Near:
    """Pairs of atoms that lie beside one another along the longest lattice vector."""
    matrix = np.asarray(cell, dtype=float)
    r = positions.detach().cpu().numpy()
    fractional = r @ np.linalg.inv(matrix)
    fractional -= np.floor(fractional)
    along = int(np.linalg.norm(matrix, axis=1).argmax())
    own = np.array_split(np.argsort(fractional[:, along], kind="stable"), part.of)[part.which]
    here = fractional[own]
    seen = CellList(matrix, r, np.ones(len(r), np.int16), cutoff).around(here.min(axis=0), here.max(axis=0))
    assert seen.indices is not None
    at = here @ matrix
    found = KDTree(at).sparse_distance_matrix(KDTree(seen.positions), cutoff, output_type="ndarray")
    itself = (own[found["i"]] == seen.indices[found["j"]]) & (found["v"] < _SAME_PLACE)
    found = found[~itself]
    vectors = seen.positions[found["j"]] - at[found["i"]]
    arrays = own[found["i"]], seen.indices[found["j"]], vectors, np.ascontiguousarray(found["v"]), own
    first, second, between, distances, these = (torch.from_numpy(x).to(positions.device) for x in arrays)
    _check_apart(first, second, distances)
    return _Near(first, second, between, distances, 0.5, these)


def _check_apart(first: Tensor, second: Tensor, distances: Tensor) -> None:
    if bool((distances < _SAME_PLACE).any()):
        nearest = int(distances.argmin())
        came = f"atoms {int(first[nearest])} and {int(second[nearest])} are in the same place"
        raise AtomsError("atoms", came, "atoms apart from one another")
