"""The bispectrum family: LAMMPS `compute sna/grid` on any points (bzero off, bnorm off, no chem flag).

Conventions where LAMMPS leaves them to the reader, the same in every backend:

- An atom within 1e-10 Å of a point is seen `COINCIDENT` Å above it (along +z): the limit r → 0. LAMMPS itself drops
  such an atom. With rmin0 = 0 the limit has no direction; with rmin0 > 0 it has, and this is the choice.
- For r < rmin0 the angle θ0 = rfac0 π (r − rmin0)/(r_c − rmin0) is negative; LAMMPS builds the quaternion from
  z0 = r/tan θ0 and the length |x|, so its sign is that of sin θ0: (cos θ0, sin θ0 r̂)·sign(sin θ0).
- Quadratic variant: all linear components, then for i ≤ j the products B_i B_j, row by row, ½ B_i² on the diagonal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import torch
from ase.data import atomic_numbers

from maladist.descriptors.bispectrum.su2 import components
from maladist.descriptors.spec import (
    COINCIDENT,
    Adjoint,
    AdjointKernel,
    Kernel,
    Request,
    Spec,
    check_named,
    check_weights,
    positive,
    weights_by_atom,
)
from maladist.errors import InputError

__all__ = ["COINCIDENT", "CPU_TWOJMAX", "BispectrumSpec"]

CPU_TWOJMAX = 16
"""Largest twojmax of backend 'cpu': its unrolled code grows with the cube, and so does the time to compile it."""


@dataclass(frozen=True)
class BispectrumSpec(Spec):
    """Bispectrum of the atoms' density around a point.

    Attributes
    ----------
    twojmax
        Band limit 2 j_max, 0 to 86 (the largest that the quadrature reaches).
    cutoff
        Cutoff r_c, Å.
    rfac0, rmin0
        Parameters of the map from distance to angle, θ0 = rfac0 π (r − rmin0)/(r_c − rmin0); rmin0 in Å.
    switch
        Whether atoms fade out towards the cutoff, ½ (cos(π (r − rmin0)/(r_c − rmin0)) + 1), 1 for r ≤ rmin0.
    weights
        Weight of each element by symbol; empty: all 1. A neighbour of weight w counts w times, so elements of equal
        weights look alike.
    quadratic
        Whether the products of all pairs of components follow the components.

    Raises
    ------
    InputError
        A value is out of range.
    """

    family: ClassVar[str] = "bispectrum"

    twojmax: int = 10
    cutoff: float = 4.67637
    rfac0: float = 0.99363
    rmin0: float = 0.0
    switch: bool = True
    weights: Mapping[str, float] = field(default_factory=dict, hash=False)
    quadratic: bool = False

    def __post_init__(self) -> None:
        if int(self.twojmax) != self.twojmax or not 0 <= self.twojmax <= 86:
            raise InputError("twojmax", f"{self.twojmax}", "an integer from 0 to 86")
        if not 0 < self.rfac0 <= 1:
            raise InputError("rfac0", f"{self.rfac0}", "a factor in (0, 1]")
        cutoff = positive("cutoff", self.cutoff)
        if not 0 <= self.rmin0 < cutoff:
            raise InputError("rmin0", f"{self.rmin0}", f"a length in Å from 0 to the cutoff {cutoff}")
        object.__setattr__(self, "twojmax", int(self.twojmax))
        # In one order and as floats: equal specifications are then equal, and have one hash.
        object.__setattr__(self, "weights", check_weights(self.weights))

    @property
    def n_linear(self) -> int:
        """Number of components of the bispectrum."""
        return len(components(self.twojmax))

    @property
    def n_features(self) -> int:
        """Number of descriptors of a point: the components, and their products if quadratic."""
        n = self.n_linear
        return n + n * (n + 1) // 2 if self.quadratic else n

    def for_elements(self, symbols: Collection[str]) -> BispectrumSpec:
        """The same with weights for these elements: of several their atomic numbers, of one 1, where it has none.

        Atomic numbers differ for every pair, which valences do not (4 and 4 in SiC). Measured on SiC (60 epochs):
        the density's error is 32 % with all weights 1, 6 % with 14 and 6; that of A 4,880 and 88 meV/atom. A common
        factor of all weights drops out where descriptors are scaled.

        Raises
        ------
        InputError
            There are weights for some of the elements only.
        """
        if self.weights:
            check_named("weights", self.weights, symbols)
        if self.weights or len(set(symbols)) < 2:
            return self
        return replace(self, weights={symbol: float(atomic_numbers[symbol]) for symbol in symbols})

    def indistinct(self, symbols: Collection[str]) -> tuple[str, ...]:
        """Elements whose weights are the same."""
        # A sum over neighbours cannot tell elements of one weight apart, whatever else they are.
        weights = {symbol: self.weights.get(symbol, 1.0) for symbol in sorted(set(symbols))}
        shared = Counter(weights.values())
        return tuple(symbol for symbol, weight in weights.items() if shared[weight] > 1)

    def kernels(self) -> Mapping[str, Kernel]:
        """'cpu' (numba, up to `CPU_TWOJMAX`), 'torch' and 'lammps'."""
        kernels = {"torch": self._torch, "lammps": self._lammps}
        return kernels | ({"cpu": self._cpu} if self.twojmax <= CPU_TWOJMAX else {})

    def _cpu(self, request: Request) -> torch.Tensor:
        from maladist.descriptors.bispectrum.cpu import bispectrum_cpu  # numba and LLVM, only where they are used

        linear = bispectrum_cpu(
            request.points,
            request.positions,
            weights_by_atom(request.numbers, self.weights),
            self,
            np.dtype(str(request.dtype).removeprefix("torch.")),
            request.threads,
        )
        return self._finish(torch.from_numpy(linear))

    def adjoints(self) -> Mapping[str, AdjointKernel]:
        """'cpu', for the same twojmax."""
        return {"cpu": self._cpu_adjoint} if self.twojmax <= CPU_TWOJMAX else {}

    def _cpu_adjoint(self, request: Request, cotangent: torch.Tensor) -> Adjoint:
        from maladist.descriptors.bispectrum.cpu_adjoint import bispectrum_adjoint

        if self.quadratic:
            cotangent = self._linear_cotangent(request, cotangent)
        weights = weights_by_atom(request.numbers, self.weights)
        return bispectrum_adjoint(request.points, request.positions, weights, self, cotangent.numpy(), request.threads)

    def _linear_cotangent(self, request: Request, cotangent: torch.Tensor) -> torch.Tensor:
        """Cotangent of the components where there are products of them too."""
        with torch.enable_grad():
            linear = replace(self, quadratic=False)._cpu(request).requires_grad_()
            return torch.autograd.grad(self._finish(linear), linear, cotangent)[0]

    def _torch(self, request: Request) -> torch.Tensor:
        from maladist.descriptors.bispectrum.torch_kernel import bispectrum_torch

        return self._finish(bispectrum_torch(request, self))

    def _lammps(self, request: Request) -> torch.Tensor:
        from maladist.descriptors.bispectrum.lammps import bispectrum_lammps

        values = bispectrum_lammps(request.points, request.positions, request.numbers, self)
        return torch.from_numpy(values).to(request.device, request.dtype)

    def _finish(self, linear: torch.Tensor) -> torch.Tensor:
        """Append the products of the quadratic variant."""
        # Products of all pairs: with 91 components 4,277 features, so only where they are asked for.
        if not self.quadratic:
            return linear
        i, j = torch.triu_indices(self.n_linear, self.n_linear)
        factor = torch.where(i == j, 0.5, 1.0).to(linear)
        first, second = (linear.index_select(1, index.to(linear.device)) for index in (i, j))
        return torch.cat([linear, first * second * factor], dim=1)
