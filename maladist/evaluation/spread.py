"""What an ensemble's spread says of its errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import pearsonr, spearmanr

from maladist.arrays import Array
from maladist.errors import InputError
from maladist.evaluation.statistics import Evaluated

_SAME: Final = 1e-6  # meV/atom: a term that the LDOS does not enter, such as Ewald, is the same for all members


@dataclass(frozen=True)
class Calibration:
    """What an ensemble's spread σ says of the error of its mean, over snapshots.

    Attributes
    ----------
    pearson, spearman
        Correlation of σ with |error|; NaN where σ or |error| is the same for all.
    ratio
        Root mean square of error/σ: 1 where the spread is the error's size, larger where it is too sure.
    within
        Share of snapshots with |error| ≤ 2 σ; 0.95 for normal errors of this σ.
    count
        Number of snapshots.
    """

    pearson: float
    spearman: float
    ratio: float
    within: float
    count: int


def calibration(evaluated: Sequence[Evaluated]) -> dict[str, Calibration]:
    """For every quantity with a spread, energies and 'density': what it says about the error.

    Raises
    ------
    InputError
        Fewer than three snapshots, or no spread.
    """
    names = sorted(set.intersection(*(set(one.spread) for one in evaluated))) if evaluated else []
    # A correlation of two points is always ±1.
    if len(evaluated) < 3 or not names:
        came = f"{len(evaluated)} snapshots, {'with' if names else 'without'} a spread"
        raise InputError("evaluated", came, "three or more, evaluated with spread")
    says = {}
    for name in names:
        errors = [error_of(one, name) for one in evaluated]
        spread = np.array([one.spread[name] for one in evaluated])
        if spread.max() > _SAME and all(e is not None for e in errors):
            says[name] = _says(spread, np.abs(np.array(errors, float)))
    return says


def error_of(one: Evaluated, name: str) -> float | None:
    """Error of a snapshot by the name of its spread, in the spread's unit; None where the data do not tell."""
    # These have units of their own, all others are energies per atom.
    special = {
        "density": one.density_relative,
        "density_rms": one.density_rmse,
        "fermi_energy": one.fermi_level,
        "forces": one.force_errors.get("forces_rmse_eV_per_A"),
    }
    return special[name] if name in special else one.terms.get(name)


def _says(spread: Array, error: Array) -> Calibration:
    varies = np.ptp(spread) > 0 and np.ptp(error) > 0
    pearson = float(pearsonr(spread, error).statistic) if varies else np.nan
    spearman = float(spearmanr(spread, error).statistic) if varies else np.nan
    # Members that agree to the last bit and are wrong are infinitely too sure, which is no reason to divide by zero.
    sure = np.maximum(spread, np.finfo(float).tiny)
    with np.errstate(over="ignore"):
        ratio = float(np.sqrt(np.mean((error / sure) ** 2)))
    return Calibration(pearson, spearman, ratio, float(np.mean(error <= 2 * spread)), len(error))
