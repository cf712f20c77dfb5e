"""Configurations drawn around a crystal: reproducible, with the variances and bounds that were asked for."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from maladist.errors import InputError
from maladist.sampling.crystal import displaced

CRYSTAL = bulk("Be", "hcp", a=2.2866, c=3.5833) * (2, 2, 1)


def test_a_seed_gives_the_same_configurations_and_a_longer_series_begins_with_the_shorter() -> None:
    short = displaced(CRYSTAL, 2, displacement=0.1, strain=0.02, vacancies=1, seed=7)
    long = displaced(CRYSTAL, 5, displacement=0.1, strain=0.02, vacancies=1, seed=7)
    other = displaced(CRYSTAL, 2, displacement=0.1, strain=0.02, vacancies=1, seed=8)
    for a, b, c in zip(short, long, other, strict=False):
        np.testing.assert_array_equal(a.positions, b.positions)
        np.testing.assert_array_equal(a.cell.array, b.cell.array)
        assert not np.allclose(a.cell.array, c.cell.array)
    assert not np.allclose(long[0].positions, long[1].positions)


def test_displacements_have_the_variance_that_was_asked_for() -> None:
    drawn = displaced(CRYSTAL, 400, displacement=0.1, seed=3)
    moved = np.array([a.positions - CRYSTAL.positions for a in drawn])
    fractional = moved @ np.linalg.inv(CRYSTAL.cell.array)
    moved = (fractional - np.round(fractional)) @ CRYSTAL.cell.array
    n = moved.size
    assert moved.var() == pytest.approx(0.01, rel=4 * np.sqrt(2 / n))  # four standard errors of a variance
    assert abs(moved.mean()) < 4 * 0.1 / np.sqrt(n)
    per_axis = moved.reshape(-1, 3).var(axis=0)
    np.testing.assert_allclose(per_axis, 0.01, rtol=4 * np.sqrt(6 / n))  # of each axis, so of no direction more


def test_strains_are_symmetric_and_fill_their_bounds() -> None:
    drawn = displaced(CRYSTAL, 300, displacement=0.0, strain=0.02, seed=1)
    tensors = np.array([np.linalg.solve(CRYSTAL.cell.array, a.cell.array) - np.eye(3) for a in drawn])
    np.testing.assert_allclose(tensors, tensors.transpose(0, 2, 1), atol=1e-14)
    diagonal = tensors[:, range(3), range(3)]
    shear = tensors[:, [0, 0, 1], [1, 2, 2]]
    assert 0.95 * 0.02 < np.abs(diagonal).max() <= 0.02
    assert 0.8 * 0.01 < np.abs(shear).max() <= 0.01
    # without displacements every atom stays on its lattice site
    sites = CRYSTAL.get_scaled_positions()
    apart = drawn[0].get_scaled_positions() - sites
    np.testing.assert_allclose(apart - np.round(apart), 0, atol=1e-12)


def test_each_configuration_loses_other_atoms() -> None:
    drawn = displaced(CRYSTAL, 20, displacement=0.0, vacancies=2, seed=5)
    assert {len(a) for a in drawn} == {len(CRYSTAL) - 2}
    assert len({np.round(np.sort(a.positions, axis=0), 6).tobytes() for a in drawn}) > 5


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"count": 0, "displacement": 0.1}, "count"),
        ({"count": 1, "displacement": -0.1}, "displacement"),
        ({"count": 1, "displacement": float("nan")}, "displacement"),
        ({"count": 1, "displacement": 0.1, "strain": 0.7}, "strain"),
        ({"count": 1, "displacement": 0.1, "vacancies": len(CRYSTAL)}, "vacancies"),
        ({"count": 1, "displacement": 0.1, "vacancies": -1}, "vacancies"),
        ({"count": 1, "displacement": 0.1, "seed": -1}, "seed"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, float], named: str) -> None:
    count = int(arguments.pop("count"))
    with pytest.raises(InputError, match=named):
        displaced(CRYSTAL, count, **arguments)  # type: ignore[arg-type]
