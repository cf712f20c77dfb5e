"""The Gaussian atomic density: how close the atoms are, without directions.

    G(r) = Σ_k (2π σ²)^(−3/2) exp(−|r − r_k|²/(2σ²)),   |r − r_k| < r_c

Conventions of LAMMPS `compute gaussian/grid/local` with R_i = 1/2 (it cuts at 2 R_i rcutfac): a sharp cutoff, atoms on
a point included, one column for each type of atom.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from maladist.descriptors.moments import map_batches, pairs
from maladist.descriptors.spec import Kernel, PerElementSpec, Request, positive, weights_by_atom


@dataclass(frozen=True)
class GaussianSpec(PerElementSpec):
    """Sum of normalised Gaussians of the atoms within the cutoff.

    Attributes
    ----------
    cutoff
        Cutoff r_c, Å.
    sigma
        Width σ, Å.
    elements
        Symbols of the elements that get a column each, in this order; empty: all atoms in one column.

    Raises
    ------
    InputError
        A value is out of range, or an element does not exist or comes twice.
    """

    family: ClassVar[str] = "gaussian"

    cutoff: float
    sigma: float
    elements: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        positive("cutoff", self.cutoff)
        positive("sigma", self.sigma)
        self._check_elements()

    @property
    def n_features(self) -> int:
        """One, or one for each element."""
        return max(1, len(self.elements))

    def kernels(self) -> Mapping[str, Kernel]:
        """'torch' only: it costs next to nothing."""
        return {"torch": self._torch}

    def _torch(self, request: Request) -> torch.Tensor:
        column_of = {symbol: float(column) for column, symbol in enumerate(self.elements)}
        columns = weights_by_atom(request.numbers, column_of) if column_of else np.zeros(len(request.numbers))
        membership = np.eye(self.n_features)[columns.astype(int)]

        def kernel(points: torch.Tensor, positions: torch.Tensor, membership: torch.Tensor) -> torch.Tensor:
            # Weight 1 within the cutoff: the element's column comes afterwards, by one product for all elements.
            near = pairs(points, positions, torch.ones_like(positions[..., 0]), self.cutoff)
            exponent = (near.distances.square() / (-2 * self.sigma**2)).to(request.dtype)
            gaussians = torch.exp(exponent) * near.weights.to(request.dtype)
            columns = membership.to(request.dtype)
            summed = gaussians @ columns[0] if len(columns) == 1 else torch.bmm(gaussians[:, None], columns)[:, 0]
            return summed * (2 * math.pi * self.sigma**2) ** -1.5

        return map_batches(request, membership, self.cutoff, lambda n_atoms: 12 * 8 * n_atoms, kernel)
