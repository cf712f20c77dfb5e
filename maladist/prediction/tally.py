"""What one block adds to the reductions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from maladist.arrays import Array
from maladist.learning.domain import Outside

STAGES: Final = ("descriptors", "network", "reductions", "io")
"""Stages of a block's work whose seconds are counted."""


@dataclass(frozen=True)
class Tally:
    """A monoid: the sum of two tallies is the tally of the two blocks together.

    Attributes
    ----------
    dos
        Σ_r d(ε, r)·voxel volume over the points of the block, (levels,) float64, 1/eV.
    electrons
        Integral of the density channel over the block; 0 from a model without one.
    n_points
        Number of points.
    seconds
        Worker seconds in each of STAGES, (4,) float64.
    outside
        Points outside of the model's training; none from a model that does not know it.
    """

    dos: Array
    electrons: float
    n_points: int
    seconds: Array
    outside: Outside = field(default_factory=Outside)

    @classmethod
    def zero(cls, levels: int) -> Tally:
        """The tally of no point."""
        return cls(np.zeros(levels), 0.0, 0, np.zeros(len(STAGES)))

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.dos + other.dos,
            self.electrons + other.electrons,
            self.n_points + other.n_points,
            self.seconds + other.seconds,
            self.outside + other.outside,
        )

    def row(self) -> Array:
        """The tally as one row of the record of finished blocks, (row_length(levels),) float64."""
        o = self.outside
        counts = [self.electrons, self.n_points, o.points, o.outside, o.farthest, o.at, o.growth]
        return np.concatenate([self.dos, counts, self.seconds])

    @classmethod
    def from_row(cls, row: Array) -> Tally:
        """Inverse of `row`."""
        # Counted from the end, so that a row tells its own number of levels.
        levels = len(row) - row_length(0)
        electrons, n, points, outside, farthest, at, growth = row[levels : -len(STAGES)]
        counted = Outside(int(points), int(outside), float(farthest), int(at), float(growth))
        return cls(row[:levels], float(electrons), int(n), row[-len(STAGES) :], counted)


def row_length(levels: int) -> int:
    """Numbers of a tally's row."""
    return levels + 7 + len(STAGES)


def add_up(tallies: Iterable[Tally], levels: int) -> Tally:
    """Add tallies in a tree, in the order in which they come: the same order gives the same bits.

    A binary counter of partial sums, so that rounding grows with the logarithm of the number of blocks and no more than
    that many tallies are held.
    """
    partial: list[Tally | None] = []
    for tally in tallies:
        # As a binary number counts up: place i holds the sum of 2^i tallies, or none.
        carry = tally
        for i, held in enumerate(partial):
            if held is None:
                partial[i] = carry
                break
            carry, partial[i] = held + carry, None
        else:
            partial.append(carry)
    total = Tally.zero(levels)
    # From the small sums to the large ones, in one order whatever the number of blocks.
    for held in partial:
        if held is not None:
            total = held + total
    return total
