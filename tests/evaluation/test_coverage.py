"""A model's σ against its errors: closed forms, and what it cannot be fitted to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from maladist.errors import InputError
from maladist.evaluation.coverage import calibrate, coverage
from maladist.evaluation.statistics import Evaluated
from maladist.learning.uncertainty import WIDTH
from tests.evaluation.common import evaluated


def drawn(n: int, seed: int = 0, **rest: object) -> list[Evaluated]:
    """Cells whose errors of A, meV/atom, are normal with σ = 4."""
    errors = 4 * np.random.default_rng(seed).standard_normal(n)
    return [evaluated(f"s{i}", 8, float(e), growth=0.03, **rest) for i, e in enumerate(errors)]


def test_normal_errors_of_their_own_sigma_are_covered_as_normal_ones_are() -> None:
    """4000 errors tell the coverage to 0.5 % and their root mean square to 1 %."""
    found = coverage(drawn(4000, sigma={"total_free_energy": 4.0}))["all"]
    assert set(found) == {"total_free_energy"}
    one = found["total_free_energy"]
    assert one.within == pytest.approx(0.9, abs=0.015) and one.ratio == pytest.approx(1, abs=0.04)
    assert one.count == 4000
    half = coverage(drawn(4000, sigma={"total_free_energy": 2.0}))["all"]["total_free_energy"]
    assert half.ratio == pytest.approx(2 * one.ratio)
    assert half.within < 0.62  # P(|z| < 1.645/2) = 0.589


def test_what_is_calibrated_on_some_covers_others() -> None:
    known = calibrate(drawn(400))
    sigma = known.sigma("total_free_energy", 8, 0.03)
    assert sigma == pytest.approx(4e-3, rel=0.1)  # eV
    others = coverage(drawn(400, seed=1, sigma={"total_free_energy": 1e3 * sigma}))["all"]["total_free_energy"]
    assert 0.85 < others.within < 0.95 and 0.9 < others.ratio < 1.1


def test_forces_are_counted_by_component_and_the_density_by_point() -> None:
    forces = {"forces": [[0.0, 0.0, WIDTH - 0.01]], "reference_forces": [[0.0, WIDTH + 0.01, 0.0]]}
    one = evaluated("a", 8, 1.0, sigma={"forces": 1.0, "density": 0.1}, density_rmse=0.2, density_within=0.8, **forces)
    other = replace(one, name="b", n_atoms=16)
    found = coverage([one, other])
    assert set(found) == {"all", "8 atoms", "16 atoms"}
    assert found["all"]["forces"].within == pytest.approx(2 / 3)
    assert (found["all"]["density"].within, found["all"]["density"].ratio) == pytest.approx((0.8, 2.0))


def test_without_a_sigma_nothing_is_said_and_too_few_are_refused() -> None:
    assert coverage(drawn(3)) == {}
    with pytest.raises(InputError, match="5 or more"):
        calibrate(drawn(4))
    with pytest.raises(InputError, match="0 with a novelty"):
        calibrate([replace(one, growth=None) for one in drawn(8)])
