"""σ of a model: what is fitted is what errors were drawn with, it grows where it must, and damage is refused."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest

from maladist.errors import ModelError
from maladist.learning.uncertainty import GROWTH, WIDTH, Errors, Scale, Uncertainty, fit_uncertainty

N = 4000  # cells: parameters are then known to some per cent


@pytest.fixture
def known() -> Uncertainty:
    scales = {q: Scale(0.003, 0.0, 0.5) for q in GROWTH}
    return Uncertainty(0.03, (8, 32), 20, scales, {"total_free_energy": Scale(0.003, 2.0, 0.5)})


def test_a_fit_finds_the_sigma_that_errors_were_drawn_with() -> None:
    rng = np.random.default_rng(0)
    n_atoms, growth = rng.choice([8, 16, 32], N), rng.uniform(0.01, 0.05, N)
    spread = rng.uniform(0.0, 0.01, N)
    x, g = n_atoms / 8, growth / growth.mean()
    sigma = x**0.4 * np.hypot(0.004 * g, 1.5 * spread)
    errors = sigma * rng.standard_normal(N)
    fitted = fit_uncertainty(n_atoms.tolist(), growth.tolist(), {"band_energy": Errors(errors, spread)})
    one = fitted.spread["band_energy"]
    assert (one.floor, one.factor, one.size) == pytest.approx((0.004, 1.5, 0.4), rel=0.1)
    cells = zip(n_atoms, growth, spread, strict=True)
    ours = np.array([fitted.sigma("band_energy", int(n), float(g), float(s)) for n, g, s in cells])
    assert np.mean((errors / ours) ** 2) == pytest.approx(1, abs=0.05)
    # 90 % of normal errors lie within the interval: 4000 of them tell it to 0.5 %.
    assert np.mean(np.abs(errors) <= WIDTH * ours) == pytest.approx(0.9, abs=0.015)


def test_of_equal_cells_sigma_is_the_root_mean_square_with_one_degree_of_freedom_taken() -> None:
    errors = np.array([1.0, -2.0, 3.0, 0.5, -1.0])
    fitted = fit_uncertainty([8] * 5, [0.03] * 5, {"forces": Errors(errors)})
    assert not fitted.spread
    assert fitted.sigma("forces", 8, 0.03) == pytest.approx(math.sqrt(np.sum(errors**2) / 4), rel=1e-4)


def test_the_width_holds_ninety_per_cent_of_a_normal() -> None:
    assert math.erf(WIDTH / math.sqrt(2)) == pytest.approx(0.9, abs=1e-12)


@pytest.mark.parametrize("quantity", sorted(GROWTH))
def test_sigma_grows_with_novelty_and_size_and_spread(known: Uncertainty, quantity: str) -> None:
    plain = known.sigma(quantity, 8, 0.03)
    assert plain == pytest.approx(0.003)
    assert known.sigma(quantity, 8, 100 * 0.03) == pytest.approx(0.003 * 100 ** GROWTH[quantity])
    assert known.sigma(quantity, 32, 0.03) == pytest.approx(0.006)
    assert known.sigma(quantity, 4000, 0.03) == pytest.approx(0.006)  # no more than of the largest that was calibrated
    with_spread = known.sigma(quantity, 8, 0.03, 0.002)
    wanted = 0.005 if quantity == "total_free_energy" else 0.003  # √(3² + (2·2)²); none was calibrated for the others
    assert with_spread == pytest.approx(wanted)


def test_what_was_not_calibrated_has_no_sigma(known: Uncertainty) -> None:
    some = Uncertainty(0.03, (8, 8), 5, {"forces": Scale(0.1, 0.0, 0.0)}, {})
    assert some.sigma("band_energy", 8, 0.03) is None
    assert Uncertainty.from_dict(known.to_dict()) == known


@pytest.mark.parametrize(
    "damage",
    [
        {"growth": 0.0},
        {"growth": math.inf},
        {"sizes": [32, 8]},
        {"cells": 0},
        {"version": 2},
        {"alone": {"entropy": {"floor": 1.0, "factor": 0.0, "size": 0.0}}},
        {"alone": {"forces": {"floor": -1.0, "factor": 0.0, "size": 0.0}}},
        {"alone": {"forces": {"floor": math.nan, "factor": 0.0, "size": 0.0}}},
    ],
)
def test_a_damaged_calibration_is_refused(known: Uncertainty, damage: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="uncertainty"):
        Uncertainty.from_dict({**copy.deepcopy(known.to_dict()), **damage})


def test_a_calibration_on_nothing_is_refused() -> None:
    with pytest.raises(ModelError, match="cells with errors"):
        fit_uncertainty([], [], {})
    with pytest.raises(ModelError, match="knows its training"):
        fit_uncertainty([8], [0.0], {"forces": Errors(np.ones(1))})
