"""Statistics of errors: closed forms, and what cannot be told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from maladist.evaluation.statistics import Statistics, held_out, summary
from tests.evaluation.common import evaluated


def test_the_summary_is_by_size_too_and_names_bias_and_spread() -> None:
    found = summary([evaluated("a", 8, 3.0), evaluated("b", 8, -1.0), evaluated("c", 16, 10.0)])
    eight = found["8 atoms"]["total_free_energy_meV_per_atom"]
    assert (eight.mean_abs, eight.bias, eight.std, eight.max) == pytest.approx((2.0, 1.0, 2.0, 3.0))
    assert found["16 atoms"]["total_free_energy_meV_per_atom"].count == 1
    assert found["all"]["total_free_energy_meV_per_atom"].mean_abs == pytest.approx(14 / 3)


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


def test_statistics_are_in_float64() -> None:
    """Errors of a millionth beside an offset: float32 would lose them."""
    assert Statistics.of(np.float32([1.0, 1.0]) + np.array([1e-9, 3e-9])).std == pytest.approx(1e-9, rel=1e-4)


def test_a_cards_errors_are_those_of_the_summary_by_size() -> None:
    found = held_out([evaluated("a", 8, 3.0), evaluated("b", 8, -1.0), evaluated("c", 16, 10.0)])
    assert list(found) == ["8 atoms", "16 atoms"] and found["8 atoms"]["cells"] == 2
    assert found["8 atoms"]["total_free_energy_meV_per_atom"] == pytest.approx((2.0, 3.0))
    assert list(held_out([evaluated("a", 8, 3.0)])) == ["8 atoms"]  # where the summary has all in one
