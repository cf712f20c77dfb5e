"""σ of a result: what its model's calibration makes of the cell's novelty and, where there are any, of its members."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from maladist import schema
from maladist.learning.uncertainty import Uncertainty
from maladist.prediction.values import Values


def sigma_values(
    known: Uncertainty | None,
    growth: float,
    n_atoms: int,
    there: Mapping[str, npt.ArrayLike],
    spread: Mapping[str, npt.ArrayLike] = {},
) -> Values:
    """Variables of a store with the σ of what it holds; none where the model has not been calibrated.

    Parameters
    ----------
    growth
        Mean of ν⁴/(1 + ν²) over the cell's points, ν the novelty.
    there
        Values of what the store holds, by name; one that is not known is NaN and has no σ.
    spread
        Standard deviations of an ensemble's members by the names of `schema.SIGMAS`, of the cell's energies, eV, and
        root mean squares of those of forces and density; of one temperature, or one for each.
    """
    values: Values = {}
    for name, one in schema.SIGMAS.items():
        if known is None or one.of not in there or not np.isfinite(there[one.of]).all():
            continue
        size = n_atoms if one.extensive else 1
        members = np.atleast_1d(spread.get(name, np.nan)) / size
        found = [known.sigma(one.quantity, n_atoms, growth, None if np.isnan(s) else float(s)) for s in members]
        if all(sigma is not None for sigma in found):
            sigmas = size * np.array(found, dtype=np.float64)
            several = np.ndim(spread.get(name, 0.0)) > 0
            values[name] = (("temperature",) if several else (), sigmas if several else sigmas[0], one.units)
    return values
