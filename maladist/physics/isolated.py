"""Two-dimensional systems: the Coulomb interaction cut off along c, so that a slab does not feel its periodic images.

Sohier, Calandra and Mauri, Phys. Rev. B 96, 075448 (2017); Quantum ESPRESSO's assume_isolated = '2D'. With 1/r for
|z| < l_z = c/2 and nothing beyond, c along z, the kernel of a periodic cell is multiplied by

    4π e²/G² · [1 − exp(−G_∥ l_z) cos(G_z l_z)]

and the term G = 0, whose divergent part a neutral cell cancels, is left out of E_H, V_loc and E_ii alike (their
appendix D): averaged over the plane a sheet of charge then has the potential −2π e² (|z| − c/4) per area. Charges
farther apart along c than l_z would not see one another, so that a slab may fill no more than half of its cell.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from maladist.errors import PhysicsError
from maladist.physics.reciprocal import Device, ReciprocalSlab
from maladist.units import BOHR

Isolated = Literal["2D"]
"""How a cell is isolated from its images; None stands for a crystal."""

TAILS: Final = 4.0
"""What l_z must leave beside the atoms, Å: the density of both faces, and erfc(4 Å/√2σ) = 1e-7 of Ewald's sum."""

_RADIAL: Final = 10 * BOHR  # how far the pseudopotentials' short-range part is integrated: no more than l_z


def truncation(slab: ReciprocalSlab, isolated: Isolated | None, device: Device = "cpu") -> Tensor | float:
    """1 − exp(−G_∥ c/2) cos(G_z c/2), (slab.shape) float64: the factor of the Coulomb kernel; 1.0 for a crystal."""
    if isolated is None:
        return 1.0
    length = float(np.linalg.norm(slab.grid.cell_array[2]))
    m = torch.tensor(slab.integers(2), dtype=torch.float64, device=device)
    # c is perpendicular to the plane, so that G_∥ has nothing of the third vector and G_z c = 2π m: the cosine is ±1.
    return 1 - torch.exp(-0.5 * length * slab.squared_in_plane(device).sqrt()) * (1 - 2 * (m % 2))


def check_isolated(isolated: object, cell: npt.ArrayLike, positions: npt.ArrayLike) -> None:
    """Refuse a cell that the cut-off does not fit.

    Parameters
    ----------
    isolated
        What is asked for; None for a crystal, of which nothing is wanted.
    cell, positions
        Lattice vectors as rows and atoms, Å.

    Raises
    ------
    PhysicsError
        Another cut-off than '2D', c is not perpendicular to a and b, or the atoms lie too far apart along c.
    """
    if isolated is None:
        return
    if isolated not in get_args(Isolated):
        raise PhysicsError("assume_isolated", f"{isolated!r}", "none, or '2D', which cuts the interaction off along c")
    matrix = np.asarray(cell, dtype=float)
    c = float(np.linalg.norm(matrix[2]))
    tilt = float(np.abs(matrix[:2] @ matrix[2]).max()) / c
    if tilt > 1e-4:
        came = f"a cell whose a or b leaves the plane across c by {tilt:.4f} Å"
        raise PhysicsError("assume_isolated", came, "c perpendicular to a and b, as '2D' needs")
    thick, half = _thickness(matrix, positions), 0.5 * c
    if half < (needed := max(thick + TAILS, _RADIAL)):
        came = f"atoms over {thick:.2f} Å along c = {c:.2f} Å, where '2D' cuts the interaction off at {half:.2f} Å"
        raise PhysicsError("assume_isolated", came, f"c of {2 * needed:.2f} Å at least", "Take more vacuum.")


def check_no_stress(isolated: Isolated | None) -> None:
    """Refuse the stress of an isolated cell: the derivative of the cut-off by a strain is not in this program.

    Raises
    ------
    PhysicsError
        The cell is isolated.
    """
    if isolated is not None:
        remedy = "Forces, and relaxations and dynamics in a fixed cell, do not need it."
        raise PhysicsError("stress", f"a cell with assume_isolated = '{isolated}'", "a crystal", remedy)


def _thickness(cell: npt.NDArray[np.float64], positions: npt.ArrayLike) -> float:
    """Extent of the atoms along c, Å, images aside: c less the widest gap."""
    z = np.sort((np.asarray(positions, dtype=float) @ np.linalg.inv(cell))[:, 2] % 1.0)
    gaps = np.diff([*z, z[0] + 1.0])
    return float(np.linalg.norm(cell[2]) * (1.0 - gaps.max()))
