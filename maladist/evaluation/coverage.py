"""A model's σ: fitted to the errors on snapshots, and held against the errors on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from maladist.arrays import Array
from maladist.errors import InputError
from maladist.evaluation.spread import error_of
from maladist.evaluation.statistics import Evaluated
from maladist.learning.model import LDOSModel
from maladist.learning.uncertainty import GROWTH, WIDTH, Errors, Uncertainty, fit_uncertainty

_FEWEST: Final = 5  # a fit has up to three parameters
_SPREAD: Final = {"density": "density_rms"}  # where the spread that belongs to σ has another name


@dataclass(frozen=True)
class Coverage:
    """What σ is worth on snapshots.

    Attributes
    ----------
    ratio
        Root mean square of error/σ: 1 where σ is the size of the errors, larger where it is too small.
    within
        Share of the errors within ± `WIDTH` σ: 0.9 for normal errors. Of A and E_b it counts snapshots, of forces
        components, of the density points.
    count
        Number of snapshots.
    """

    ratio: float
    within: float
    count: int


def error_under(one: Evaluated, quantity: str) -> float | None:
    """Error of a snapshot in the unit of its σ: A and E_b in meV/atom; root mean squares of forces and density."""
    return error_of(one, _SPREAD.get(quantity, quantity))


def check_calibration(model: LDOSModel, snapshots: int) -> None:
    """Refuse, before anything is computed, what no σ can be fitted to.

    Raises
    ------
    InputError
        Fewer than five snapshots, or a model that does not know where it has been trained.
    """
    if snapshots < _FEWEST or model.domain is None:
        came = f"{snapshots} snapshots, and a model that {'knows' if model.domain else 'does not know'} its training"
        raise InputError("calibrate", came, f"{_FEWEST} or more, and a model that knows its training")


def calibrate(evaluated: Sequence[Evaluated]) -> Uncertainty:
    """σ of the model that these errors are of.

    Parameters
    ----------
    evaluated
        Errors on snapshots that the model was not trained on, as `evaluate` returned them; with the spread of its
        members where that is to make σ too.

    Raises
    ------
    InputError
        Fewer than five snapshots, or a model that does not know where it has been trained.
    """
    growth = [one.growth for one in evaluated if one.growth is not None]
    if len(evaluated) < _FEWEST or len(growth) < len(evaluated):
        came = f"{len(evaluated)} snapshots, {len(growth)} with a novelty"
        raise InputError("calibrate", came, f"{_FEWEST} or more, and a model that knows its training")
    errors = {}
    for quantity in GROWTH:
        unit = 1e-3 if quantity in ("total_free_energy", "band_energy") else 1.0  # meV to eV
        found = [error_under(one, quantity) for one in evaluated]
        spread = [one.spread.get(_SPREAD.get(quantity, quantity)) for one in evaluated]
        # Only what every snapshot has.
        if None not in found:
            members = None if None in spread else unit * np.array(spread, dtype=float)
            errors[quantity] = Errors(unit * np.array(found, dtype=float), members)
    return fit_uncertainty([one.n_atoms for one in evaluated], growth, errors)


def coverage(evaluated: Sequence[Evaluated]) -> dict[str, dict[str, Coverage]]:
    """What σ is worth: of all snapshots, and by number of atoms where there are several; by quantity.

    Empty where the model has no σ.
    """
    sizes = sorted({one.n_atoms for one in evaluated})
    groups = {"all": list(evaluated)}
    if len(sizes) > 1:
        groups |= {f"{n} atoms": [one for one in evaluated if one.n_atoms == n] for n in sizes}
    found = {group: {q: c for q in GROWTH if (c := _coverage(some, q))} for group, some in groups.items()}
    return {group: quantities for group, quantities in found.items() if quantities}


def _coverage(evaluated: Sequence[Evaluated], quantity: str) -> Coverage | None:
    known = [(one, e) for one in evaluated if quantity in one.sigma and (e := error_under(one, quantity)) is not None]
    if not known:
        return None
    z = np.array([e / one.sigma[quantity] for one, e in known])
    within = [_within(one, quantity, abs(value)) for (one, _), value in zip(known, z, strict=True)]
    return Coverage(float(np.sqrt(np.mean(z**2))), float(np.mean(within)), len(known))


def _within(one: Evaluated, quantity: str, z: float) -> float:
    """Share of a snapshot's errors within ± `WIDTH` σ; of one that has a single error 0 or 1."""
    if quantity == "density":
        return one.density_within or 0.0
    if quantity == "forces":
        off: Array = np.array(one.forces) - np.array(one.reference_forces)
        return float(np.mean(np.abs(off) <= WIDTH * one.sigma[quantity]))
    return float(z <= WIDTH)
