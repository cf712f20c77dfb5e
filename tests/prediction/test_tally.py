"""Tallies: a monoid whose sums have the same bits in the same order, whatever was interrupted."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from maladist.learning.domain import Outside
from maladist.prediction.tally import STAGES, Tally, add_up, row_length

LEVELS = 5


def tally(seed: int, n_points: int = 10) -> Tally:
    random = np.random.default_rng(seed)
    outside = Outside(n_points, seed % 3, float(random.random()), seed)
    return Tally(random.standard_normal(LEVELS), float(random.random()), n_points, random.random(4), outside)


def equal(a: Tally, b: Tally) -> bool:
    return bool((a.row() == b.row()).all())


def test_a_row_gives_the_tally_back_to_the_bit() -> None:
    one = tally(7)
    assert len(one.row()) == row_length(LEVELS)
    assert equal(Tally.from_row(one.row()), one)
    assert Tally.from_row(one.row()).outside == one.outside
    assert len(one.seconds) == len(STAGES)


def test_the_tally_of_no_point_changes_nothing() -> None:
    one, nothing = tally(3), Tally.zero(LEVELS)
    assert equal(nothing + one, one) and equal(one + nothing, one)
    assert equal(add_up([], LEVELS), nothing)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 100])
def test_the_sum_in_a_tree_is_the_sum(n: int) -> None:
    many = [tally(i) for i in range(n)]
    total = add_up(iter(many), LEVELS)
    assert total.n_points == 10 * n
    assert total.outside.farthest == max(t.outside.farthest for t in many)
    assert total.outside.outside == sum(t.outside.outside for t in many)
    np.testing.assert_allclose(total.dos, np.sum([t.dos for t in many], axis=0), rtol=1e-12, atol=1e-12)
    assert equal(total, add_up(many, LEVELS))  # the same order, the same bits


def test_rounding_grows_with_the_logarithm_of_the_number_of_blocks() -> None:
    """2¹⁶ numbers of one sign: a plain sum is off by thousands of roundings, a tree by some sixteen."""
    values = np.random.default_rng(0).random(2**16)
    exact = float(sum(map(Fraction, values.tolist())))
    rows = (Tally(np.array([v]), 0.0, 1, np.zeros(4)) for v in values)
    total = float(add_up(rows, 1).dos[0])
    assert abs(total - exact) <= 16 * math.ulp(exact)
