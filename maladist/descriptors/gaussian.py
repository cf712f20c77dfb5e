"""The Gaussian atomic density: how close the atoms are, without directions.

    G(r) = Σ_k (2π σ²)^(−3/2) exp(−|r − r_k|²/(2σ²)),   |r − r_k| < r_c

Conventions of LAMMPS `compute gaussian/grid/local` with R_i = 1/2 (it cuts at 2 R_i rcutfac): a sharp cutoff, atoms on
a point included, one column for each type of atom.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from ase.data import atomic_numbers

from maladist.descriptors.moments import map_batches, pairs
from maladist.descriptors.spec import Kernel, Request, Spec, check_named, positive, weights_by_atom
from maladist.errors import InputError


@dataclass(frozen=True)
class GaussianSpec(Spec):
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
        elements = tuple(self.elements)
        if len(set(elements)) < len(elements) or any(atomic_numbers.get(s, 0) == 0 for s in elements):
            raise InputError("elements", ", ".join(map(str, elements)), "different chemical symbols")
        object.__setattr__(self, "elements", elements)

    def for_elements(self, symbols: Collection[str]) -> GaussianSpec:
        """The same with a column for each of these elements, of several, where it names none.

        Raises
        ------
        InputError
            There are columns for some of the elements only.
        """
        if self.elements:
            check_named("elements", self.elements, symbols)
        if self.elements or len(set(symbols)) < 2:
            return self
        return replace(self, elements=tuple(sorted(set(symbols))))

    def indistinct(self, symbols: Collection[str]) -> tuple[str, ...]:
        """All of several elements that share the one column."""
        return () if self.elements or len(set(symbols)) < 2 else tuple(sorted(set(symbols)))

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
