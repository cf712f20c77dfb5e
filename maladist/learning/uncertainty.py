"""What a model does not know: σ of its energies, forces and density, calibrated on cells whose DFT is known.

    g = ⟨ν⁴/(1 + ν²)⟩ / g₀           over the cell's points, ν the novelty; g₀ the calibration's mean
    σ² = x^(2γ) ((a g^q)² + (k s)²)    x = N/N_min, N within the sizes of the calibration

s is the standard deviation of an ensemble's members, where they were predicted one by one; else k is 0 and a and γ are
others. q is 5/4 for the energies, 1 for forces, ½ for the density (`GROWTH`). a, k and γ are those that make the errors
of the calibration most likely, taken for normal; σ² is then made wider by n/(n − p), of n cells and p parameters.

**Why this form.** Within the training ν is about 0.4, and errors grow steeply with it; far outside a fourth power would
tell of errors larger than any. The members agree with each other better than with the DFT, by a factor that is much
the same for cells of one size: k. Errors an atom grow with the cell where the training's cells are small, since the
long waves are not in it: γ; beyond the sizes that were calibrated nothing is known, and they are taken to stay.
q was chosen with the held-out cells of be-1000K and five cells outside of its training in sight (its card); on the
cells of the calibration 1 is most likely for the energies, 3/2 hardly less, 2 visibly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from scipy.optimize import minimize

from maladist.arrays import Array
from maladist.errors import ModelError

GROWTH: Final[Mapping[str, float]] = {"total_free_energy": 1.25, "band_energy": 1.25, "forces": 1.0, "density": 0.5}
"""q of each quantity that has a σ. Units of σ: eV/atom, eV/atom, eV/Å, 1/Å³; the last two are root mean squares."""

SHARE: Final = 0.9
"""Share of the errors that the interval ± `WIDTH` σ is to hold."""

WIDTH: Final = NormalDist().inv_cdf((1 + SHARE) / 2)
"""Half width of that interval in units of σ, for normal errors."""

_VERSION: Final = 1
_LEAST: Final = 1e-12  # of an error, so that cells without any can be fitted


@dataclass(frozen=True)
class Scale:
    """What σ of one quantity is made with.

    Attributes
    ----------
    floor
        a, in the unit of σ: of a cell of the smallest size, as novel as the calibration's.
    factor
        k, of the members' standard deviation; 0 where that is not known.
    size
        Exponent γ of the number of atoms.
    """

    floor: float
    factor: float
    size: float

    def sigma(self, x: Array, growth: Array, spread: Array) -> Array:
        """σ of cells with these numbers of atoms over the smallest, growths g^q and spreads s, all (cells,)."""
        return np.asarray(x**self.size * np.hypot(self.floor * growth, self.factor * spread))


@dataclass(frozen=True)
class Uncertainty:
    """σ of a model's predictions.

    Attributes
    ----------
    growth
        g₀, mean of ν⁴/(1 + ν²) over the points of the calibration's cells.
    sizes
        Numbers of atoms of the smallest and the largest of these cells.
    cells
        Number of them.
    alone
        Scale of each quantity for a prediction without its members.
    spread
        Scale of each quantity beside the members' standard deviation; empty where the calibration had none.

    Raises
    ------
    ModelError
        A number that is not finite or out of range, or a quantity that has no σ.
    """

    growth: float
    sizes: tuple[int, int]
    cells: int
    alone: Mapping[str, Scale]
    spread: Mapping[str, Scale]

    def __post_init__(self) -> None:
        scales = [*self.alone.values(), *self.spread.values()]
        finite = all(math.isfinite(v) for s in scales for v in asdict(s).values())
        known = set(self.alone) <= set(GROWTH) and set(self.spread) <= set(self.alone)
        positive = all(s.floor >= 0 and s.factor >= 0 and s.floor + s.factor > 0 for s in scales)
        sized = 1 <= self.sizes[0] <= self.sizes[1] and self.cells > 0
        if not (finite and known and positive and sized and math.isfinite(self.growth) and self.growth > 0):
            raise ModelError("uncertainty", "scales that do not fit or are not finite", "those of a calibration")

    def sigma(self, quantity: str, n_atoms: int, growth: float, spread: float | None = None) -> float | None:
        """σ of one quantity of `GROWTH`; None where it was not calibrated.

        Parameters
        ----------
        n_atoms
            Number of atoms of the cell.
        growth
            Mean of ν⁴/(1 + ν²) over its points.
        spread
            Standard deviation of the members, in the unit of σ; None where they were not predicted.
        """
        beside = spread is not None and quantity in self.spread
        scale = (self.spread if beside else self.alone).get(quantity)
        if scale is None:
            return None
        x, g = self._coordinates(quantity, np.array([n_atoms]), np.array([growth]))
        return float(scale.sigma(x, g, np.array([spread if beside else 0.0]))[0])

    def _coordinates(self, quantity: str, n_atoms: Array, growth: Array) -> tuple[Array, Array]:
        """N/N_min and g^q."""
        return np.clip(n_atoms, *self.sizes) / self.sizes[0], (growth / self.growth) ** GROWTH[quantity]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; see `from_dict`."""
        return {"version": _VERSION, **asdict(self), "sizes": list(self.sizes)}

    @classmethod
    def from_dict(cls, known: Mapping[str, Any]) -> Uncertainty:
        """Inverse of `to_dict`.

        Raises
        ------
        ModelError
            Another version, or values that are none of a calibration.
        """
        if known["version"] != _VERSION:
            came = f"a calibration of version {known['version']!r:.20}"
            raise ModelError("uncertainty", came, f"version {_VERSION}", "Read it with the maladist that wrote it.")
        low, high = known["sizes"]
        alone, spread = ({q: Scale(**s) for q, s in known[name].items()} for name in ("alone", "spread"))
        return cls(float(known["growth"]), (int(low), int(high)), int(known["cells"]), alone, spread)

    def __str__(self) -> str:
        low, high = self.sizes
        sizes = f"{low}" if low == high else f"{low} to {high}"
        return f"σ from {self.cells} cells of {sizes} atoms" + (", with members too" if self.spread else "")


@dataclass(frozen=True)
class Errors:
    """Errors of one quantity in some cells, to calibrate its σ on.

    Attributes
    ----------
    errors
        Errors, in the unit of σ, (cells,).
    spread
        Standard deviations of the members, (cells,); None where they were not predicted.
    """

    errors: Array
    spread: Array | None = None


def fit_uncertainty(n_atoms: Sequence[int], growth: Sequence[float], errors: Mapping[str, Errors]) -> Uncertainty:
    """σ under which errors in cells with known DFT are most likely.

    Parameters
    ----------
    n_atoms
        Number of atoms of each cell.
    growth
        Mean of ν⁴/(1 + ν²) over the points of each.
    errors
        Errors by quantity of `GROWTH`.

    Raises
    ------
    ModelError
        No cells, or none whose novelty is known.
    """
    if not errors or not len(n_atoms) or not min(growth) > 0:
        raise ModelError("data", f"{len(n_atoms)} cells", "cells with errors, and a model that knows its training")
    sizes = (min(n_atoms), max(n_atoms))
    empty = Uncertainty(float(np.mean(growth)), sizes, len(n_atoms), {}, {})
    alone, beside = {}, {}
    for quantity, one in errors.items():
        at = empty._coordinates(quantity, np.array(n_atoms), np.array(growth))
        alone[quantity] = _fit(one.errors, *at, np.zeros(len(n_atoms)))
        if one.spread is not None:
            beside[quantity] = _fit(one.errors, *at, one.spread)
    return Uncertainty(empty.growth, sizes, empty.cells, alone, beside)


def _fit(errors: Array, x: Array, growth: Array, spread: Array) -> Scale:
    """Scale with the least −log likelihood, Σ (log σ + e²/2σ²): of normal errors."""
    sized, members = bool(np.ptp(x) > 0), bool(spread.max() > 0)
    unit = max(float(np.sqrt(np.mean(errors**2))), _LEAST)

    def scale(p: Array) -> Scale:
        return Scale(unit * math.exp(p[0]), math.exp(p[1]) if members else 0.0, p[2] if sized else 0.0)

    def loss(p: Array) -> float:
        sigma = np.maximum(scale(p).sigma(x, growth, spread), _LEAST)
        return float(np.sum(np.log(sigma) + 0.5 * (errors / sigma) ** 2))

    # Bounds, so that a part that the errors do not want ends near zero and not at −∞.
    found = minimize(loss, np.zeros(3), method="L-BFGS-B", bounds=[(-7, 7), (-7, 7), (-2, 2)])
    best, n = scale(found.x), len(errors)
    # Most likely is too small a σ, by the degrees of freedom that the fit has taken; a few cells must leave one.
    wider = math.sqrt(n / max(n - 1 - sized - members, 1))
    return Scale(float(wider * best.floor), float(wider * best.factor), float(best.size))
