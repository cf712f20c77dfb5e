r"""The last layer of a model with its output scalers, and sums that are taken before it.

h(r) is what the networks' last layers see of a point, their members side by side. What they give is affine in it, and
so are the output scalers:

    (d(ε, r), n₀(r)) = h(r) W + b

A run wants few things of d, all of them linear: its sum over the points, and its projections on some functions φ of the
energy. Where nothing is done with negative values they follow from h, without d:

    Σ_r d(ε, r) = (Σ_r h(r)) W + N b        Σ_ε φ(ε) d(ε, r) = h(r) (W φ) + b·φ

so that the last layer costs a point one column for each φ and not one for each level. Where something is done, d is
made at each point, and takes the place of h with W = 1, b = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from maladist.learning.affine import affine
from maladist.learning.parts import ModelParts, Restrict


@dataclass(frozen=True, eq=False)
class Head:
    """LDOS and density channel at points from what the last layer sees of them.

    Attributes
    ----------
    matrix, offsets
        W (width, outputs) and b (outputs,), with the output scalers in them.
    levels
        Number of levels; what comes behind them is the density.
    restrict
        What is done with a negative LDOS.
    """

    matrix: torch.Tensor
    offsets: torch.Tensor
    levels: int
    restrict: Restrict

    @classmethod
    def of(cls, model: ModelParts) -> Head:
        """That of a model, float64, on its device."""
        matrix, offsets = model.network.head()
        levels = model.energy_grid.levels
        parts = [(model.output_scaler, slice(levels))]
        if model.density_scaler is not None:
            parts.append((model.density_scaler, slice(levels, None)))
        # A scaler is affine: the matrix takes what it does to differences.
        w = [scaler.of_differences.inverse(matrix[:, columns]) for scaler, columns in parts]
        b = [scaler.inverse(offsets[None, columns]) for scaler, columns in parts]
        return cls(torch.cat(w, dim=1), torch.cat(b, dim=1)[0], levels, model.restrict)

    def to(self, dtype: torch.dtype) -> Head:
        """The same in a floating point type."""
        return Head(self.matrix.to(dtype), self.offsets.to(dtype), self.levels, self.restrict)

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        """LDOS and, in the last column, the density where the model has it, (n, outputs), from h (n, width)."""
        outputs = affine(hidden, self.matrix.T, self.offsets)
        if self.restrict == "none":
            return outputs
        ldos = outputs[:, : self.levels]
        ldos = ldos.clamp(min=0) if self.restrict == "zero_out_negative" else ldos.abs()
        return torch.cat([ldos, outputs[:, self.levels :]], dim=1)


class Reduction:
    """Sum of d(ε, r) over points as they come, and what is kept of each: projections of d, and n₀ behind them.

    Parameters
    ----------
    model
        The model, on its device and of its floating point type, which are those of h.
    basis
        Functions φ of the energy, (levels, functions) float64, on the model's device.
    """

    def __init__(self, model: ModelParts, basis: torch.Tensor) -> None:
        head, dtype = Head.of(model), model.network.dtype
        self._levels = head.levels
        self._matrix, self._offsets = head.matrix, head.offsets
        self._restricted = None if head.restrict == "none" else head.to(dtype)
        if self._restricted is not None:
            self._matrix, self._offsets = torch.eye(len(head.offsets)).to(head.offsets), torch.zeros_like(head.offsets)
        # Behind the functions of the energy the density itself, where the model has it.
        wanted = torch.block_diag(basis, torch.eye(len(head.offsets) - head.levels).to(basis)).T
        self._weight, self._bias = (wanted @ self._matrix.T).to(dtype), (wanted @ self._offsets).to(dtype)
        # float32 is enough for a point, not for sums over all points of the cell.
        self._total, self._points = torch.zeros_like(self._matrix[:, 0]), 0

    def add(self, hidden: torch.Tensor) -> torch.Tensor:
        """Count points in; their projections and n₀, (n, functions + 1 with a channel), from h (n, width)."""
        seen = hidden if self._restricted is None else self._restricted(hidden)
        self._total += seen.sum(0, dtype=torch.float64)
        self._points += len(seen)
        return affine(seen, self._weight, self._bias)

    @property
    def sum(self) -> torch.Tensor:
        """Σ_r d(ε, r) over all points so far, (levels,) float64, 1/(eV Å³)."""
        return (self._total @ self._matrix + self._points * self._offsets)[: self._levels]
