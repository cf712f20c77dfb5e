"""Where a model has been trained, and how far from there a point or a cell is.

**A point.** z are its descriptors, whitened over the training's points: no correlation, variance 1 in each of the f
directions. Its distance from the training and its novelty are

    s² = (|z|² + Σ_k w_k (u_k·z − c_k)²) / f,        novelty = s / limit

|z|² is Mahalanobis' distance. Points that are rare in the training, those of a few vacancies say, widen it in the
directions in which they stick out, and so hide themselves. Therefore mean and covariance are taken once more without
the 5 % of the points that are farthest away, and again (the concentration steps of Rousseeuw and Van Driessen,
Technometrics 41, 212 (1999)); the eight directions u_k whose variance σ_k² has shrunk most then count with w_k =
1/σ_k² − 1 more, around their new mean c_k. ``limit`` is 1.15 times what one in a thousand of held-out points exceeds.

The network's input is whitened already where the model says so, and then the novelty costs one pass over it and a
product with eight columns.

**Why this one.** Percent of the points outside, all limits made alike from the ten validation cells of be-1000K: the
highest of 270 new cells like the training's, the lowest of 20 with a vacancy in 16 or 54 sites, of 10 cells with
displacements of 0.2 Å, and of bcc and fcc of the same density (`notebooks/model_domain.py`). Of a slab's points
each puts the 63 to 66 % outside that see the vacuum; of 0.6 Å, and of twice the volume, all or nearly.

    distance                    like the training's  vacancy, 16  vacancy, 54  0.2 Å  bcc  fcc
    the one here                               0.50          5.5          1.3   11.2  2.5  2.0
    |z|²                                       0.68          0.9          0.2   15.4  3.2  4.0
    the first 20 of z alone                    0.14          0.0          0.0    2.4  0.8  1.0
    largest |z_i|                              1.04          0.8          0.4   13.4  3.8  3.7
    largest z_i beyond its quantiles           0.63          0.3          0.1   10.1  3.4  4.6

**A cell**, before anything is computed: `maladist.learning.cell_range`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from maladist.errors import ModelError
from maladist.learning.cell_range import CellRange
from maladist.learning.scaling import Moments, Scaler

TAIL: Final = 1e-3
"""Share of the held-out points that lies beyond the distance from which the limit is made."""

MARGIN: Final = 1.15
"""Of the limit above that distance: held-out cells are few, and some cells of the same recipe reach farther than all
of them."""

SHARE: Final = 0.01
"""Share of a cell's points that may be outside before it is said to be."""

FAR: Final = 2.0
"""Novelty at which a single point is said to be outside: one in 10,000 points of cells like the training's reaches 1.2,
one in a million 1.6."""

_TRIM, _ROUNDS, _DIRECTIONS = 0.05, 3, 8
_FLOOR: Final = 1e-9  # of the largest variance: float32 descriptors carry 1e-12 of it
_NARROWEST: Final = 0.01  # σ_k², so that no direction counts more than a hundred times


@dataclass(frozen=True)
class Outside:
    """Points that lie outside of a training, and the farthest of all points: a monoid under ``+``.

    Attributes
    ----------
    points
        Number of points that were looked at.
    outside
        Number of those with a novelty above 1.
    farthest
        Largest novelty.
    at
        Number of that point in its grid, C order.
    growth
        Sum of ν⁴/(1 + ν²) over the points, ν the novelty: what errors grow with, see `maladist.learning.uncertainty`.
    """

    points: int = 0
    outside: int = 0
    farthest: float = 0.0
    at: int = 0
    growth: float = 0.0

    @classmethod
    def of(cls, novelty: torch.Tensor) -> Outside:
        """Outside of points with these novelties, (n,), numbered from 0."""
        if not len(novelty):
            return cls()
        worst = int(novelty.argmax())
        squares = novelty.double().square()
        growth = float((squares * squares / (1 + squares)).sum())
        return cls(len(novelty), int((novelty > 1).sum()), float(novelty[worst]), worst, growth)

    def __add__(self, other: Outside) -> Outside:
        # ≥ and not >: of equal ones the first in the order of the blocks, whoever was first to finish.
        far = self if self.farthest >= other.farthest else other
        points, outside = self.points + other.points, self.outside + other.outside
        return Outside(points, outside, far.farthest, far.at, self.growth + other.growth)

    @property
    def share(self) -> float:
        """Share of the points that are outside."""
        return self.outside / self.points if self.points else 0.0

    @property
    def mean_growth(self) -> float:
        """Mean of ν⁴/(1 + ν²) over the points."""
        return self.growth / self.points if self.points else 0.0

    @property
    def much(self) -> bool:
        """Whether the user must hear of it."""
        return self.share > SHARE or self.farthest > FAR

    @property
    def surely_much(self) -> bool:
        """Whether a cell of which these points are a random sample is `much` outside, by three standard errors."""
        error = math.sqrt(self.share / self.points) if self.points else 0.0
        return self.share - 3 * error > SHARE or self.farthest > FAR

    def __str__(self) -> str:
        many = f"{self.outside:,} of {self.points:,} points ({100 * self.share:.3g} %)"
        return f"{many}, the farthest at {self.farthest:.3g} times its limit"


@dataclass(frozen=True, eq=False)
class Domain:
    """Where a model has been trained: the training's cells and its descriptors.

    Attributes
    ----------
    cells
        Range of what the training's cells are like.
    limit
        Distance s at which the novelty is 1.
    directions
        Directions √w_k u_k, (n_features, k) float64.
    offsets
        Their means √w_k c_k, (k,) float64.
    whitening
        Scaler from descriptors to z; None where the model's own input scaler does that.

    Raises
    ------
    ModelError
        The parts do not fit one another or are not finite.
    """

    cells: CellRange
    limit: float
    directions: torch.Tensor
    offsets: torch.Tensor
    whitening: Scaler | None = None

    def __post_init__(self) -> None:
        fits = self.directions.ndim == 2 and self.offsets.shape == self.directions.shape[1:]
        finite = fits and bool(torch.isfinite(self.directions).all() and torch.isfinite(self.offsets).all())
        if not (finite and math.isfinite(self.limit) and self.limit > 0):
            raise ModelError("domain", "parts that do not fit or are not finite", "a limit, directions and offsets")
        # As they lie in a file: the last bits of a product depend on it.
        object.__setattr__(self, "directions", self.directions.double().contiguous())

    @property
    def n_features(self) -> int:
        """Number of features of the descriptors."""
        return len(self.directions)

    def novelty(self, z: torch.Tensor) -> torch.Tensor:
        """Novelty of points, (n,), from their whitened descriptors, (n, n_features)."""
        # One product with eight columns: the directions carry the square roots of their weights.
        rare = torch.addmm(-self.offsets.to(z), z, self.directions.to(z))
        squares = torch.linalg.vecdot(z, z) + torch.linalg.vecdot(rare, rare)
        return squares.sqrt_() / (self.limit * math.sqrt(self.n_features))

    def to(self, device: torch.device | str) -> Domain:
        """The same with its tensors on a device; they stay float64."""
        whitening = None if self.whitening is None else self.whitening.to(device)
        return Domain(self.cells, self.limit, self.directions.to(device), self.offsets.to(device), whitening)


def fit_domain(cells: CellRange, train: torch.Tensor, held_out: torch.Tensor, inputs: Scaler) -> Domain:
    """Domain of a training.

    Parameters
    ----------
    cells
        Range of the training's cells.
    train, held_out
        Descriptors of points, (n, n_features): of the training, and of cells that are like it but not in it, from which
        the limit is made.
    inputs
        Input scaler of the model.

    Raises
    ------
    ModelError
        There are fewer than two points of the training, or none held out.
    """
    if len(train) < 2 or not len(held_out):
        raise ModelError("data", f"{len(train)} and {len(held_out)} points", "points of the training, and held out")
    whitening = None if inputs.kind == "whiten" and bool((inputs.scale > 0).all()) else _whitening(train)
    z, held = ((whitening or inputs).transform(rows.double()) for rows in (train, held_out))
    directions, offsets = _rare_directions(z)
    # With a limit of 1 its novelty is the distance itself, from whose tail the limit is then made.
    loose = Domain(cells, 1.0, directions, offsets, whitening)
    tail = float(np.quantile(loose.novelty(held).numpy(), 1 - TAIL))
    return Domain(cells, MARGIN * max(tail, math.ulp(1.0)), directions, offsets, whitening)


def _whitening(rows: torch.Tensor) -> Scaler:
    """Whitening in which no direction is blind: in one that the training does not fill, the least step is large."""
    scaler = Scaler.fit(Moments.of(rows, cross=True), "whiten", feature_wise=True)
    # A direction of no variance would make every step along it infinitely far.
    least = math.sqrt(_FLOOR) * float(scaler.scale.max())
    return Scaler("whiten", True, scaler.shift, scaler.scale.clamp(min=least), scaler.rotation)


def _rare_directions(z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Directions √w_k u_k (n_features, k) in which few points stick out, and √w_k c_k (k,)."""
    mean, variances, axes = _principal(z)
    # Concentration steps: without the points that are farthest away, mean and axes are those of the many.
    for _ in range(_ROUNDS):
        distances = (((z - mean) @ axes) ** 2 / variances).sum(1)
        mean, variances, axes = _principal(z[distances <= np.quantile(distances.numpy(), 1 - _TRIM)])
    narrow = slice(_DIRECTIONS)  # eigenvalues ascend
    directions = axes[:, narrow] * (1 / variances[narrow] - 1).clamp(min=0).sqrt()
    return directions, mean @ directions


def _principal(z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean, variances along the principal axes from the smallest on, and these axes as columns."""
    mean = z.mean(0)
    variances, axes = torch.linalg.eigh((z - mean).T @ (z - mean) / max(len(z) - 1, 1))
    return mean, variances.clamp(min=_NARROWEST), axes
