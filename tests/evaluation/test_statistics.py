"""Statistics of errors, baselines and calibration: closed forms, and what cannot be told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maladist.datasets.snapshots import find_snapshots
from maladist.errors import InputError
from maladist.evaluation.statistics import Evaluated, Statistics, _linear, baselines, calibration, held_out, summary
from tests.evaluation.common import evaluated


def test_the_summary_is_by_size_too_and_names_bias_and_spread() -> None:
    found = summary([evaluated("a", 8, 3.0), evaluated("b", 8, -1.0), evaluated("c", 16, 10.0)])
    eight = found["8 atoms"]["total_free_energy_meV_per_atom"]
    assert (eight.mean_abs, eight.bias, eight.std, eight.max) == pytest.approx((2.0, 1.0, 2.0, 3.0))
    assert found["16 atoms"]["total_free_energy_meV_per_atom"].count == 1
    assert found["all"]["total_free_energy_meV_per_atom"].mean_abs == pytest.approx(14 / 3)


def test_the_linear_baseline_is_exact_where_the_energies_are_linear(small_data_set: Path) -> None:
    """Training snapshots of two atoms whose energies are made to follow volume and Ewald; others are predicted."""
    base = find_snapshots([str(small_data_set)], "train")[0]
    rng, training = np.random.default_rng(0), []
    for _ in range(6):
        cell = base.system.grid.cell_array * (1 + 0.05 * rng.standard_normal())
        n, grid, ewald = (
            base.system.n_atoms,
            replace(base.system.grid, cell=cell.tolist()),
            -40.0 + rng.standard_normal(),
        )
        energy = 1.0 + 0.3 * grid.volume / n + 0.2 * ewald
        terms = {"total_free_energy_eV": n * energy, "band_energy_eV": -n * energy, "ewald_eV": n * ewald}
        training.append(replace(base, system=replace(base.system, grid=grid), terms=terms))
    found = baselines([evaluated("a", 8, 3.0, 8.3, -39.0), evaluated("b", 16, 3.0, 7.5, -41.5)], training, {})
    assert found.errors["A: linear"] == pytest.approx((0.0, 0.0), abs=1e-6)
    mean = np.mean([s.terms["total_free_energy_eV"] / s.system.n_atoms for s in training])
    assert found.errors["A: mean of training"][0] == pytest.approx(1e3 * (mean - (1 + 0.3 * 8.3 - 0.2 * 39)))
    assert found.summary["16 atoms"]["A: linear"].count == 1
    with pytest.raises(InputError, match="three or more"):
        baselines([evaluated("a", 8, 3.0)], training[:2], {})


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


def test_one_snapshot_has_statistics_and_one_size_has_no_group_of_its_own() -> None:
    found = summary([evaluated("a", 8, -3.0)])
    assert set(found) == {"all"}
    one = found["all"]["total_free_energy_meV_per_atom"]
    assert (one.mean_abs, one.bias, one.std, one.max, one.count) == pytest.approx((3.0, -3.0, 0.0, 3.0, 1))


def test_an_error_that_some_snapshots_lack_is_counted_over_the_others() -> None:
    known = evaluated("a", 8, 1.0)
    found = summary([known, replace(known, density_relative=None)])
    assert found["all"]["density_relative"].count == 1
    assert found["all"]["dos_relative"].count == 2


def test_a_crystal_at_rest_has_no_ratio_of_forces() -> None:
    one = evaluated("a", 2, 1.0, forces=[[0.01, 0.0, 0.0], [-0.01, 0.0, 0.0]], reference_forces=[[0.0] * 3] * 2)
    assert set(one.force_errors) == {"forces_rmse_eV_per_A", "forces_worst_eV_per_A"}
    assert one.force_errors["forces_worst_eV_per_A"] == pytest.approx(0.01)


def test_figures_tell_the_errors_against_the_dft_and_against_the_datas_own_ldos_apart() -> None:
    one = evaluated("a", 8, 5.0, data_error={"total_free_energy": 2e-3})
    assert one.terms["total_free_energy"] == pytest.approx(5.0)
    assert one.from_data == pytest.approx({"total_free_energy": 3.0})
    assert one.figures()["total_free_energy_of_data_meV_per_atom"] == pytest.approx(2.0)
    assert one.to_dict()["errors"] == one.figures()


def test_where_no_ewald_energy_is_known_the_mean_is_the_only_baseline(small_data_set: Path) -> None:
    training = find_snapshots([str(small_data_set)], "train")[:3]
    unknown: Any = replace(evaluated("a", 8, 1.0), ewald=None)
    assert set(baselines([unknown], training, {}).errors) == {"A: mean of training", "E_b: mean of training"}


def test_equal_volumes_leave_their_coefficient_at_zero() -> None:
    """All cells of one volume: a fit with a constant and a volume would have no single answer."""
    x = np.array([[1.0, 8.0, e] for e in (-40.0, -41.0, -43.0)])
    at = np.array([[1.0, 8.0, -42.0], [1.0, 9.0, -42.0]])
    np.testing.assert_allclose(_linear(x, 3.0 - 2.0 * x[:, 2], at), [87.0, 87.0], rtol=1e-12)
    assert np.isnan(_linear(np.where(x == -41.0, np.nan, x), x[:, 2], at)).all()


def test_members_that_agree_and_are_wrong_are_infinitely_too_sure() -> None:
    spread = ({"total_free_energy": s} for s in (0.0, 1.0, 1.0))
    found = calibration([evaluated("a", 8, 2.0, spread=s) for s in spread])["total_free_energy"]
    assert found.ratio > 1e100 or np.isinf(found.ratio)
    assert found.within == pytest.approx(2 / 3)
    assert np.isnan(found.pearson)  # the same error everywhere correlates with nothing


def test_a_quantity_that_the_members_share_is_not_calibrated() -> None:
    rows = [evaluated("a", 8, e, spread={"total_free_energy": 1.0, "ewald": 0.0}) for e in (1.0, 2.0, 3.0)]
    assert set(calibration(rows)) == {"total_free_energy"}


def test_statistics_are_in_float64() -> None:
    """Errors of a millionth beside an offset: float32 would lose them."""
    assert Statistics.of(np.float32([1.0, 1.0]) + np.array([1e-9, 3e-9])).std == pytest.approx(1e-9, rel=1e-4)


def test_a_cards_errors_are_those_of_the_summary_by_size() -> None:
    found = held_out([evaluated("a", 8, 3.0), evaluated("b", 8, -1.0), evaluated("c", 16, 10.0)])
    assert list(found) == ["8 atoms", "16 atoms"] and found["8 atoms"]["cells"] == 2
    assert found["8 atoms"]["total_free_energy_meV_per_atom"] == pytest.approx((2.0, 3.0))
    assert list(held_out([evaluated("a", 8, 3.0)])) == ["8 atoms"]  # where the summary has all in one
