"""The bispectrum family: LAMMPS `compute sna/grid` on any points (bzero off, bnorm off, no chem flag).

Conventions where LAMMPS leaves them to the reader, the same in every backend:

- An atom within 1e-10 Å of a point is seen `COINCIDENT` Å above it (along +z): the limit r → 0. LAMMPS itself drops
  such an atom. With rmin0 = 0 the limit has no direction; with rmin0 > 0 it has, and this is the choice.
- For r < rmin0 the angle θ0 = rfac0 π (r − rmin0)/(r_c − rmin0) is negative; LAMMPS builds the quaternion from
  z0 = r/tan θ0 and the length |x|, so its sign is that of sin θ0: (cos θ0, sin θ0 r̂)·sign(sin θ0).
- With ``resolve: elements`` the components of each element's atoms alone follow one another, elements in alphabetical
  order; LAMMPS' `chem` flag, which has mixed products too, is another thing.
- Quadratic variant: all linear components, then for i ≤ j the products B_i B_j, row by row, ½ B_i² on the diagonal;
  with ``resolve: elements`` of each element by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar, Literal

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
    rows_by_element,
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
    resolve
        'elements': one bispectrum for each element that has a weight, of its atoms alone, one after the other in
        alphabetical order; as many times the work. 'none': one of all atoms. What either is worth: `spread_weights`.

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
    resolve: Literal["none", "elements"] = "none"

    def __post_init__(self) -> None:
        if int(self.twojmax) != self.twojmax or not 0 <= self.twojmax <= 86:
            raise InputError("twojmax", f"{self.twojmax}", "an integer from 0 to 86")
        if not 0 < self.rfac0 <= 1:
            raise InputError("rfac0", f"{self.rfac0}", "a factor in (0, 1]")
        cutoff = positive("cutoff", self.cutoff)
        if not 0 <= self.rmin0 < cutoff:
            raise InputError("rmin0", f"{self.rmin0}", f"a length in Å from 0 to the cutoff {cutoff}")
        if self.resolve not in ("none", "elements"):
            raise InputError("resolve", f"{self.resolve!r:.40}", "none or elements")
        object.__setattr__(self, "twojmax", int(self.twojmax))
        # In one order and as floats: equal specifications are then equal, and have one hash.
        object.__setattr__(self, "weights", check_weights(self.weights))

    @property
    def n_linear(self) -> int:
        """Number of components of the bispectrum."""
        return len(components(self.twojmax))

    @property
    def n_features(self) -> int:
        """Number of descriptors of a point: the components, and their products if quadratic, of each channel."""
        n = self.n_linear
        return len(self.channels) * (n + n * (n + 1) // 2 if self.quadratic else n)

    @property
    def channels(self) -> tuple[BispectrumSpec, ...]:
        """Bispectra that follow one another: of each element with a weight, or the one of all atoms.

        Raises
        ------
        InputError
            Elements are to be resolved, and none has a weight.
        """
        if self.resolve == "none":
            return (self,)
        if not self.weights:
            came, remedy = "none, with resolve: elements", "for_elements(symbols) gives each the weight 1."
            raise InputError("weights", came, "one for every element", remedy)
        return tuple(replace(self, resolve="none", weights={s: w}) for s, w in self.weights.items())

    def for_elements(self, symbols: Collection[str]) -> BispectrumSpec:
        """The same with a weight for each of these elements, where it has none; see `spread_weights`.

        Where elements are resolved each has the weight 1, and so has a single element that is not.

        Raises
        ------
        InputError
            There are weights for some of the elements only.
        """
        if self.weights:
            check_named("weights", self.weights, symbols)
        if self.resolve == "elements" and not self.weights:
            return replace(self, weights=dict.fromkeys(symbols, 1.0))
        if self.weights or len(set(symbols)) < 2:
            return self
        return replace(self, weights=spread_weights(symbols))

    def indistinct(self, symbols: Collection[str]) -> tuple[str, ...]:
        """Elements whose weights are the same, where they are not resolved."""
        if self.resolve == "elements":
            return ()
        # A sum over neighbours cannot tell elements of one weight apart, whatever else they are.
        weights = {symbol: self.weights.get(symbol, 1.0) for symbol in sorted(set(symbols))}
        shared = Counter(weights.values())
        return tuple(symbol for symbol, weight in weights.items() if shared[weight] > 1)

    def to_dict(self) -> dict[str, object]:
        """The family's name and all fields but a ``resolve`` that is 'none'."""
        # Files of models and data sets from before there was this field stay the same bytes, with the same hash.
        return {name: value for name, value in super().to_dict().items() if (name, value) != ("resolve", "none")}

    def kernels(self) -> Mapping[str, Kernel]:
        """'cpu' (numba, up to `CPU_TWOJMAX`), 'torch' and 'lammps'."""
        kernels = {"torch": BispectrumSpec._torch, "lammps": BispectrumSpec._lammps}
        if self.twojmax <= CPU_TWOJMAX:
            kernels["cpu"] = BispectrumSpec._cpu
        return {name: partial(self._values, kernel) for name, kernel in kernels.items()}

    def _values(self, kernel: Callable[[BispectrumSpec, Request], torch.Tensor], request: Request) -> torch.Tensor:
        """Descriptors by a kernel of one channel."""
        if self.resolve == "none":
            return kernel(self, request)
        atoms = rows_by_element(request.numbers, self.weights)
        return torch.cat([kernel(c, request.of_atoms(a)) for c, a in zip(self.channels, atoms, strict=True)], dim=1)

    def _cpu(self, request: Request) -> torch.Tensor:
        from maladist.descriptors.bispectrum.cpu import bispectrum_cpu  # numba and LLVM, only where they are used

        linear = bispectrum_cpu(
            request.points,
            request.positions,
            weights_by_atom(request.numbers, self.weights),
            self,
            request.numpy_dtype,
            request.threads,
        )
        return self._finish(torch.from_numpy(linear))

    def adjoints(self) -> Mapping[str, AdjointKernel]:
        """'cpu', for the same twojmax."""
        return {"cpu": self._adjoint} if self.twojmax <= CPU_TWOJMAX else {}

    def _adjoint(self, request: Request, cotangent: torch.Tensor) -> Adjoint:
        if self.resolve == "none":
            return self._cpu_adjoint(request, cotangent)
        atoms, cotangents = rows_by_element(request.numbers, self.weights), cotangent.chunk(len(self.channels), dim=1)
        parts = (
            (here, channel._cpu_adjoint(request.of_atoms(here), c))
            for channel, here, c in zip(self.channels, atoms, cotangents, strict=True)
        )
        return Adjoint.of_parts(len(request.positions), parts)

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


def spread_weights(symbols: Collection[str]) -> dict[str, float]:
    """Weights from −1 to 1 by atomic number, evenly spaced, without 0: 1 and −1 for Si and C.

    Opposite signs tell elements apart best, and weights of about 1 keep what is linear in the neighbours beside their
    cubes, since the point itself counts 1. Errors of 12 held-out cells, seeds 0 and 1 (SiC, 24 cells of 2 atoms with
    8×8×8 k-points and 8 of 8 with 4×4×4; twojmax 8, cutoff 3.2 Å, 1000 points a cell, 100-100, 80 epochs):

        weights of Si and C    descriptors    LDOS, %       n, %         |ΔA|, meV/atom    |ΔE_b|, meV/atom
        14, 6                           55    23.5, 23.5    1.87, 1.87             87, 94              81, 93
        1.4, 0.6                        55    22.9, 23.2    1.45, 1.40             61, 71              45, 42
        1, −1                           55    22.8, 23.0    1.04, 1.01             78, 99              44, 55
        1, 1, resolved                 110    24.4, 24.1    1.43, 1.39             60, 72              26, 45
        1, 1 beside 1, −1              110    23.5, 23.2    0.99, 1.02             86, 79              59, 38

    So ``resolve: elements`` is better than weights that are far from 1, and for twice the work as good as 1 and −1:
    better energies, a worse density. It wants ``inputs: {kind: standard}``: trained on 20 cells of 2 atoms and 5 of 8,
    whitened it extrapolated to other cells of 8 with n off by 5.8 %, standard by 1.8 % (1 and −1: 1.3 and 1.4 %).
    """
    ordered = sorted(set(symbols), key=atomic_numbers.__getitem__)
    half = (len(ordered) + 1) // 2
    # Of an odd number the positive side has one more.
    steps = [*range(half - len(ordered), 0), *range(1, half + 1)]
    return {symbol: step / half for symbol, step in zip(ordered, steps, strict=True)}
