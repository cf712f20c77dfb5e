"""Baselines: closed forms, and what cannot be told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maladist.datasets.snapshots import find_snapshots
from maladist.errors import InputError
from maladist.evaluation.baselines import _linear, baselines
from tests.evaluation.common import evaluated


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
