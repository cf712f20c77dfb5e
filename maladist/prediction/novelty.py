"""Whether a cell lies where its model has been trained: of the cell at once, of its points when they are computed."""

from __future__ import annotations

from typing import Final

import numpy as np

from maladist.attributes import OutsideAttributes
from maladist.errors import DomainError
from maladist.learning.cell_range import CellRange
from maladist.learning.domain import Outside
from maladist.learning.model import LDOSModel
from maladist.physics.system import System

NOVELTY: Final = "novelty"
"""Array of the store: distance of every point from the training, 1 where it ends."""

OUTSIDE: Final = "outside of the model's training"
UNKNOWN: Final = "the model does not know where it has been trained: nothing tells whether it may answer here"
_TRAINED: Final = "a cell like those of the model's training"


def check_cell(model: LDOSModel, system: System, strict: bool) -> list[str]:
    """What the user should know of a cell before anything is computed: volume, distances, temperatures.

    Parameters
    ----------
    strict
        Whether a cell outside of the training is refused.

    Raises
    ------
    DomainError
        Such a cell, or a model that does not know where it has been trained, if ``strict``.
    """
    # MALA's models and old files know no domain: that is said, and refused only where it was asked for.
    if model.domain is None:
        if strict:
            raise DomainError("strict", UNKNOWN, "a model that knows it", "Leave out --strict.")
        return [UNKNOWN]
    departures = "; ".join(model.domain.cells.departures(CellRange.of(system)))
    if departures and strict:
        raise DomainError("atoms", f"{OUTSIDE} ({departures})", _TRAINED, "Or leave out --strict.")
    return [f"{OUTSIDE}: {departures}"] if departures else []


def check_points(outside: Outside, strict: bool) -> list[str]:
    """What the user should know of the points, once all are computed.

    Raises
    ------
    DomainError
        More points outside of the training, or farther outside, than cells like the training's have, if ``strict``.
    """
    # Some points of every cell are farther out than the training's: only more than that is news.
    if not outside.much:
        return []
    if strict:
        raise DomainError("atoms", f"{OUTSIDE} at {outside}", _TRAINED, "Or leave out --strict.")
    return [f"{OUTSIDE}: {outside}; the result may be wrong there (novelty in the store)"]


def check_sample(outside: Outside) -> None:
    """Refuse, before a cell is paid for, what the check of all its points would refuse in the end.

    Parameters
    ----------
    outside
        Of a random sample of its points.

    Raises
    ------
    DomainError
        The sample leaves no doubt; else the check of all points decides.
    """
    if outside.surely_much:
        came = f"{OUTSIDE} at {outside} of a sample"
        raise DomainError("atoms", came, _TRAINED, "Or leave out --strict. Nothing else was computed.")


def outside_attributes(outside: Outside, system: System) -> OutsideAttributes:
    """Figures for a store and ``--json``: points outside, share, largest novelty and its place, Å, growth of errors."""
    grid = system.grid
    at = np.array(np.unravel_index(outside.at, grid.shape)) / np.array(grid.shape) @ grid.cell_array
    return {
        "points": outside.outside,
        "share": outside.share,
        "largest_novelty": outside.farthest,
        "largest_at_A": [float(x) for x in at],
        "growth": outside.mean_growth,
    }
