"""The density channel of a run: its electrons held against those of the cell, and its place in n(r)."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from maladist.arrays import Array
from maladist.errors import InputError
from maladist.prediction.setup import Setup
from maladist.prediction.tally import Tally

_ELECTRONS: Final = 1e-3  # share of the electrons by which a density channel may be off without a word


class Counted(NamedTuple):
    """Electrons of a density channel: the factor that makes them N, and what the user should know of it."""

    share: float
    notes: list[str]


def count_electrons(setup: Setup, tally: Tally) -> Counted:
    """Hold the electrons of the density channel, where there is one, against those of the cell."""
    wanted = setup.system.n_electrons
    if not setup.model.has_density_channel or wanted is None:
        return Counted(1.0, [])
    # A channel of no electrons cannot be scaled to any number; NaN is caught as well.
    if not tally.electrons > 0:
        raise InputError("model", f"a density channel of {tally.electrons:g} electrons in this cell", f"{wanted:g}")
    share = wanted / tally.electrons
    if abs(share - 1) <= _ELECTRONS:
        return Counted(share, [])
    return Counted(share, [f"the density channel holds {tally.electrons:.6g} electrons, not {wanted:g}: scaled"])


def coefficients(setup: Setup, of_modes: Array, counted: Counted) -> Array:
    """What makes n(r) of the projections, (temperatures, modes); a density channel comes last."""
    if not setup.model.has_density_channel:
        return of_modes
    return np.concatenate([of_modes, np.full((len(of_modes), 1), counted.share)], axis=1)
