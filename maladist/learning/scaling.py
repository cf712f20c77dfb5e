"""Scaling of descriptors and LDOS for the network, fitted from moments that merge.

A scaler is x → (x − shift) / scale, with one pair for all features or one for each:

    none      shift 0,    scale 1
    standard  shift mean, scale standard deviation (n − 1 in the denominator)
    minmax    shift min,  scale max − min: the data it was fitted to lies in [0, 1]
    whiten    standard, feature by feature, then x → (x Q) / scale with the eigenvectors Q of the correlation matrix and
              the square roots of its eigenvalues as scale: features without correlation, of variance 1

Descriptors of one density are almost collinear; whitened ones let a network see the directions that hardly vary. Those
whose variance is below 1e-9 of the largest are the rounding of float32, and are scaled to 0.

The moments (count, mean, M2 = Σ(x − mean)², min, max of each feature, in float64; for 'whiten' also the
matrix Σ(x − mean)(x − mean)ᵀ) of two sets of data merge into those
of both together (Chan, Golub and LeVeque, Am. Stat. 37, 242 (1983)). The merge is commutative, associative up to
rounding and has a zero, so moments can be summed in a tree over blocks in any order.

A feature that never varies (its spread is below 1e-10 of its magnitude) has scale 0: it is scaled to 0, and unscaled to
the value that it always had. A network cannot have learnt anything from it.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

import torch

from maladist.errors import ModelError

Kind = Literal["none", "standard", "minmax", "whiten"]

_DEGENERATE = 1e-10
_LARGEST = 1e20  # float32 squares of it are finite still; no descriptor and no LDOS comes near
_ROUNDING = 1e-9  # of the largest eigenvalue; float32 descriptors carry 1e-6 of their spread


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, mean, sum of squared deviations, minimum and maximum of each feature: a commutative monoid under ``+``.

    Attributes
    ----------
    count
        Number of points.
    mean, m2, low, high
        Statistics of each feature, (n_features,) float64 each.
    cross
        Sum of the products of deviations, (n_features, n_features) float64; None where it was not asked for.
    """

    count: int
    mean: torch.Tensor
    m2: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    cross: torch.Tensor | None = None

    @classmethod
    def zero(cls, n_features: int, *, cross: bool = False) -> Moments:
        """Moments of no data."""
        nothing = torch.zeros(n_features, dtype=torch.float64)
        products = torch.zeros(n_features, n_features, dtype=torch.float64) if cross else None
        return cls(0, nothing, nothing, nothing + torch.inf, nothing - torch.inf, products)

    @classmethod
    def of(cls, data: torch.Tensor, *, cross: bool = False) -> Moments:
        """Moments of data of shape (n_points, n_features).

        Parameters
        ----------
        data
            Numbers of any floating point type, on any device.
        cross
            Whether the products of different features are wanted too, which 'whiten' needs.

        Raises
        ------
        ModelError
            The data have another shape, or are not finite.
        """
        if data.ndim != 2:
            raise ModelError("data", f"an array of shape {tuple(data.shape)}", "one of shape (points, features)")
        if len(data) == 0:
            return cls.zero(data.shape[1], cross=cross)
        x = data.detach().to(torch.float64)
        if not bool(torch.isfinite(x).all()):
            raise ModelError("data", "values that are not finite", "finite numbers", "Look for NaN in the data set.")
        mean = x.mean(0)
        products = ((x - mean).T @ (x - mean)).cpu() if cross else None
        m2 = ((x - mean) ** 2).sum(0)
        return cls(len(x), mean.cpu(), m2.cpu(), x.amin(0).cpu(), x.amax(0).cpu(), products)

    def __add__(self, other: Moments) -> Moments:
        count = self.count + other.count
        if len(self.mean) != len(other.mean):
            raise ModelError("moments", f"{len(self.mean)} and {len(other.mean)} features", "moments of equal features")
        # Chan, Golub and LeVeque's update: nothing is subtracted that is much larger than the result.
        delta = other.mean - self.mean
        share = other.count / max(count, 1)
        cross = None
        if self.cross is not None and other.cross is not None:
            cross = self.cross + other.cross + torch.outer(delta, delta) * (self.count * share)
        return Moments(
            count,
            self.mean + delta * share,
            self.m2 + other.m2 + delta**2 * (self.count * share),
            torch.minimum(self.low, other.low),
            torch.maximum(self.high, other.high),
            cross,
        )

    def first(self, n: int) -> Moments:
        """Moments of the first n features alone."""
        cross = None if self.cross is None else self.cross[:n, :n]
        return Moments(self.count, self.mean[:n], self.m2[:n], self.low[:n], self.high[:n], cross)

    def whole(self) -> Moments:
        """Moments of all features taken together, as one feature."""
        mean = self.mean.mean(0, keepdim=True)
        m2 = (self.m2 + self.count * (self.mean - mean) ** 2).sum(0, keepdim=True)
        low, high = self.low.amin(0, keepdim=True), self.high.amax(0, keepdim=True)
        return Moments(self.count * len(self.mean), mean, m2, low, high)


def _no_shift() -> torch.Tensor:
    return torch.zeros(1, dtype=torch.float64)


def _no_scale() -> torch.Tensor:
    return torch.ones(1, dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class Scaler:
    """Maps data to what the network sees and back; differentiable, of the data's own dtype and device.

    Attributes
    ----------
    kind
        Kind of scaling: 'none', 'standard', 'minmax' or 'whiten'.
    feature_wise
        Whether every feature has its own shift and scale.
    shift, scale
        Numbers in the unit of the data, float64, (n_features,) where feature-wise, else (1,).
    rotation
        Matrix (n_features, n_features) float64: x → ((x − shift) rotation) / scale. Of 'whiten' only, else None.

    Raises
    ------
    ModelError
        The kind is unknown, or shift and scale are of another shape, not finite, or negative.
    """

    kind: Kind = "none"
    feature_wise: bool = False
    shift: torch.Tensor = field(default_factory=_no_shift)
    scale: torch.Tensor = field(default_factory=_no_scale)
    rotation: torch.Tensor | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ModelError("scaler", f"kind {self.kind!r:.40}", f"one of {', '.join(get_args(Kind))}")
        # Nothing is scaled, so that it cannot be by features: equal scalers then have equal files.
        if self.kind == "none" and self.feature_wise:
            object.__setattr__(self, "feature_wise", False)
        came = f"shift and scale of shapes {tuple(self.shift.shape)} and {tuple(self.scale.shape)}"
        if (
            self.shift.ndim != 1
            or self.shift.shape != self.scale.shape
            or not (self.feature_wise or len(self.shift) == 1)
        ):
            raise ModelError("scaler", came, "two vectors, of length 1 unless feature-wise")
        if not bool((self.shift.abs() + self.scale <= _LARGEST).all() and (self.scale >= 0).all()):
            came = f"a shift or scale that is not finite or beyond {_LARGEST:.0e}, or a scale below zero"
            raise ModelError("scaler", came, "finite numbers")
        object.__setattr__(self, "shift", self.shift.detach().to(torch.float64))
        object.__setattr__(self, "scale", self.scale.detach().to(torch.float64))
        if (self.kind == "whiten") != (self.rotation is not None):
            raise ModelError(
                "scaler", f"kind {self.kind!r} with rotation {self.rotation is not None}", "one for 'whiten'"
            )
        if self.rotation is not None:
            n = len(self.shift)
            if self.rotation.shape != (n, n) or not bool(torch.isfinite(self.rotation).all()):
                raise ModelError(
                    "scaler", "a rotation that does not fit or is not finite", f"{n} by {n} finite numbers"
                )
            object.__setattr__(self, "feature_wise", True)
            object.__setattr__(self, "rotation", self.rotation.detach().to(torch.float64))

    @classmethod
    def fit(cls, moments: Moments, kind: Kind, *, feature_wise: bool) -> Scaler:
        """Scaler for the data that ``moments`` describe.

        Raises
        ------
        ModelError
            The moments are of no data, or lack the products of features for 'whiten'.
        """
        if kind == "none":
            return cls()
        if moments.count == 0:
            raise ModelError("data", "no points", "at least one point to fit a scaler to")
        if kind == "whiten":
            return cls._whiten(moments)
        m = moments if feature_wise else moments.whole()
        # n − 1: an estimate from a sample of the points; of one point there is no spread.
        shift, scale = (m.mean, (m.m2 / max(m.count - 1, 1)).sqrt()) if kind == "standard" else (m.low, m.high - m.low)
        varies = scale > _DEGENERATE * torch.maximum(m.low.abs(), m.high.abs())
        return cls(kind, feature_wise, shift, torch.where(varies, scale, 0.0))

    @classmethod
    def _whiten(cls, m: Moments) -> Scaler:
        if m.cross is None:
            raise ModelError("moments", "no products of features", "Moments.of(data, cross=True)")
        deviation = cls.fit(m, "standard", feature_wise=True).scale
        inverse = torch.where(deviation > 0, 1 / deviation, 0.0)
        # Of features of unit variance: descriptors differ by orders of magnitude, and rounding in
        # the largest would hide the smallest.
        correlation = m.cross / max(m.count - 1, 1) * torch.outer(inverse, inverse)
        variances, vectors = torch.linalg.eigh(correlation)
        scale = torch.where(variances > _ROUNDING * variances[-1], variances.clamp(min=0), 0.0).sqrt()
        return cls("whiten", True, m.mean, scale.flip(0), (inverse[:, None] * vectors).flip(1))

    @cached_property
    def _back(self) -> torch.Tensor | None:
        """Inverse of the rotation R = σ⁻¹ Q, which is Qᵀ σ = Rᵀ σ²; the rows of R have the lengths 1/σ."""
        if self.rotation is None:
            return None
        squares = (self.rotation**2).sum(1)
        return self.rotation.T * torch.where(squares > 0, 1 / squares, 0.0)

    @property
    def of_differences(self) -> Scaler:
        """The scaler without its shift: what it does to differences and to slopes."""
        other = copy.copy(self)  # checked already, and a check would make a GPU wait
        object.__setattr__(other, "shift", torch.zeros_like(self.shift))
        return other

    @property
    def n_features(self) -> int | None:
        """Number of features that the scaler was made for; None where it takes any."""
        return len(self.shift) if self.feature_wise else None

    def transform(self, x: torch.Tensor) -> torch.Tensor:
        """Scale data of shape (n, n_features)."""
        if self.kind == "none":
            return x
        # Features that never vary become 0: a network has learnt nothing from them.
        inverse = torch.where(self.scale > 0, 1 / self.scale, 0.0)
        centred = x - self.shift.to(x)
        return centred * inverse.to(x) if self.rotation is None else centred @ (self.rotation * inverse).to(x)

    def inverse(self, y: torch.Tensor) -> torch.Tensor:
        """Undo ``transform``; of what it scaled to 0 the mean is returned."""
        if self.kind == "none":
            return y
        deviation = y * self.scale.to(y)
        return (deviation if self._back is None else deviation @ self._back.to(y)) + self.shift.to(y)

    def to(self, device: torch.device | str) -> Scaler:
        """The same scaler with its tensors on a device; they stay float64."""
        rotation = None if self.rotation is None else self.rotation.to(device)
        return Scaler(self.kind, self.feature_wise, self.shift.to(device), self.scale.to(device), rotation)
