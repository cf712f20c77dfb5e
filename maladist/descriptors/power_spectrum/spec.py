"""The power spectrum family: moments of the atoms around a point, those without direction, and products of the others.

With the vector r_k from the point to atom k and the angle θ_k = π r_k/r_c, which is 0 on the point and π at the cutoff,

    M_nlm    = Σ_k ½ (1 + cos θ_k) cos(n θ_k) (sin θ_k)^l Y_lm(r̂_k)
    features = M_n00 for all n,  p_nn'l = Σ_m M_nlm M_n'lm for l = 1, 2, … and n ≤ n'

for r_k < r_c. It has the form of SOAP's power spectrum (Bartók et al., Phys. Rev. B 87, 184115 (2013)), but the centre
is a point of the grid and no atom: atoms may come as near as they like. So the functions are polynomials of cos θ and
of sin θ r̂, those of the bispectrum's S³: smooth in x, y, z where an atom lies on the point, and fading out with a
continuous derivative at the cutoff. A density is nearly linear in M_n00, and squares of these are left to the network;
the p_nn'l tell how the atoms lie to one another. Errors and cost beside the bispectrum's: data/be_1000K/README.md.

Elements: with ``elements`` the features of each element's atoms alone follow one another, in that order. How atoms of
two elements lie to one another is then in none of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from maladist.arrays import Indices, Numbers
from maladist.descriptors.spec import (
    Adjoint,
    AdjointKernel,
    Kernel,
    PerElementSpec,
    Request,
    positive,
    rows_by_element,
)
from maladist.errors import InputError

MOST_RADIAL, MOST_DEGREES = 31, 12
"""Most radial functions of a degree, and most degrees l: the compiled kernel's code is unrolled over both."""


@dataclass(frozen=True)
class PowerSpectrumSpec(PerElementSpec):
    """Power spectrum of the atoms' density around a point.

    Attributes
    ----------
    cutoff
        Cutoff r_c, Å.
    radial
        Number of radial functions for each degree l = 0, 1, …; at most `MOST_RADIAL` for each of `MOST_DEGREES`.
        Those of l = 0 are cheap: 24 in place of 12 take 11 % more time (float32, 53 neighbours).
    elements
        Symbols of the elements whose atoms have features of their own, in this order; empty: all atoms count alike.

    Raises
    ------
    InputError
        A value is out of range, or an element does not exist or comes twice.
    """

    family: ClassVar[str] = "power_spectrum"

    cutoff: float = 4.67637
    radial: tuple[int, ...] = (12, 6, 5, 4, 3)
    elements: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        positive("cutoff", self.cutoff)
        numbers = tuple(self.radial) if isinstance(self.radial, Sequence) else ()
        whole = all(isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= MOST_RADIAL for n in numbers)
        if not whole or not 1 <= len(numbers) <= MOST_DEGREES:
            wanted = f"1 to {MOST_DEGREES} integers from 1 to {MOST_RADIAL}, such as [12, 6, 5, 4, 3]"
            raise InputError("radial", f"{self.radial!r:.80}", wanted)
        # As a tuple, which a list of a file is not: equal specifications are then equal, and have one hash.
        object.__setattr__(self, "radial", numbers)
        self._check_elements()

    @property
    def n_features(self) -> int:
        """Number of descriptors of a point."""
        return max(1, len(self.elements)) * n_features(self.radial)

    def kernels(self) -> Mapping[str, Kernel]:
        """'cpu' (numba) and 'torch'."""
        return {"torch": self._torch, "cpu": self._cpu}

    def adjoints(self) -> Mapping[str, AdjointKernel]:
        """'cpu'."""
        return {"cpu": self._adjoint}

    def _by_element(self, numbers: Numbers) -> list[Indices]:
        """Rows of the atoms that each run of features is made of; refuses atoms of an element that has none."""
        return rows_by_element(numbers, self.elements) if self.elements else [np.arange(len(numbers))]

    def _torch(self, request: Request) -> torch.Tensor:
        from maladist.descriptors.power_spectrum.torch_kernel import power_spectrum_torch

        parts = [request.of_atoms(rows) for rows in self._by_element(request.numbers)]
        return torch.cat([power_spectrum_torch(part, self) for part in parts], dim=1)

    def _cpu(self, request: Request) -> torch.Tensor:
        from maladist.descriptors.power_spectrum.cpu import power_spectrum_cpu  # numba, only where it is used

        points, dtype, threads = request.points, request.numpy_dtype, request.threads
        seen = [request.positions[rows] for rows in self._by_element(request.numbers)]
        parts = [power_spectrum_cpu(points, atoms, self, dtype, threads) for atoms in seen]
        return torch.from_numpy(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1))

    def _adjoint(self, request: Request, cotangent: torch.Tensor) -> Adjoint:
        from maladist.descriptors.power_spectrum.cpu_adjoint import power_spectrum_adjoint

        rows = self._by_element(request.numbers)
        cotangents = [part.numpy() for part in cotangent.chunk(len(rows), dim=1)]
        points, threads = request.points, request.threads
        parts = (
            (here, power_spectrum_adjoint(points, request.positions[here], self, c, threads))
            for here, c in zip(rows, cotangents, strict=True)
        )
        return Adjoint.of_parts(len(request.positions), parts)


def n_features(radial: Sequence[int]) -> int:
    """Number of the M_n00 and the p_nn'l of one kind of atoms."""
    return radial[0] + sum(n * (n + 1) // 2 for n in radial[1:])


def pair_products(radial: Sequence[int]) -> list[tuple[int, int, int]]:
    """(l, n, n') of the p_nn'l in their order: by l, then n, then n'."""
    degrees = list(enumerate(radial))[1:]
    return [(l, n, k) for l, count in degrees for n in range(count) for k in range(n, count)]  # noqa: E741
