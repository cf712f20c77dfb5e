"""What an ensemble's spread says of its errors: draws of which it is known."""

from __future__ import annotations

import numpy as np
import pytest

from maladist.errors import InputError
from maladist.evaluation.spread import calibration
from maladist.evaluation.statistics import Evaluated
from tests.evaluation.common import evaluated


def test_the_spread_of_an_ensemble_that_knows_its_error_says_so() -> None:
    """Errors drawn with the spread as their σ; and errors that the spread does not know of."""
    rng = np.random.default_rng(1)
    sigma = rng.uniform(1, 20, 300)
    draws = rng.standard_normal(300)

    def ensemble(scale: np.ndarray) -> list[Evaluated]:
        return [
            evaluated(f"{i}", 8, e * d, spread={"total_free_energy": s})
            for i, (e, d, s) in enumerate(zip(scale, draws, sigma, strict=True))
        ]

    knows = calibration(ensemble(sigma))["total_free_energy"]
    assert knows.spearman > 0.4
    assert knows.ratio == pytest.approx(1.0, abs=0.1)  # 300 draws: 1 ± 0.04
    assert knows.within == pytest.approx(0.954, abs=0.04)
    ignorant = calibration(ensemble(np.full(300, 50.0)))["total_free_energy"]
    assert abs(ignorant.spearman) < 0.2  # of 300 independent pairs, 0.06 is σ
    assert ignorant.ratio > 3
    with pytest.raises(InputError, match="without a spread"):
        calibration([evaluated("a", 8, 1.0)] * 3)


def test_members_that_agree_and_are_wrong_are_infinitely_too_sure() -> None:
    spread = ({"total_free_energy": s} for s in (0.0, 1.0, 1.0))
    found = calibration([evaluated("a", 8, 2.0, spread=s) for s in spread])["total_free_energy"]
    assert found.ratio > 1e100 or np.isinf(found.ratio)
    assert found.within == pytest.approx(2 / 3)
    assert np.isnan(found.pearson)  # the same error everywhere correlates with nothing


def test_a_quantity_that_the_members_share_is_not_calibrated() -> None:
    rows = [evaluated("a", 8, e, spread={"total_free_energy": 1.0, "ewald": 0.0}) for e in (1.0, 2.0, 3.0)]
    assert set(calibration(rows)) == {"total_free_energy"}
