"""The quadrature is exact, the harmonics obey the addition theorem, the components come in LAMMPS's order."""

from __future__ import annotations

import numpy as np
import pytest

from maladist.descriptors.bispectrum.su2 import components, hyperspherical_harmonics, moment_index, quadrature, tables
from maladist.descriptors.harmonics import gegenbauer

ALL = list(range(15))


def _quaternions(n: int, seed: int = 0) -> np.ndarray:
    q = np.random.default_rng(seed).normal(size=(n, 4))
    return q / np.linalg.norm(q, axis=1, keepdims=True)


def test_components_for_twojmax_2_and_3_in_the_order_that_lammps_writes() -> None:
    assert components(2) == [(0, 0, 0), (1, 0, 1), (1, 1, 2), (2, 0, 2), (2, 2, 2)]
    assert components(3) == [(0, 0, 0), (1, 0, 1), (1, 1, 2), (2, 0, 2), (2, 1, 3), (2, 2, 2), (3, 0, 3), (3, 2, 3)]


def test_number_of_components_is_that_of_lammps() -> None:
    assert [len(components(n)) for n in (4, 6, 8, 10, 12, 14)] == [14, 30, 55, 91, 140, 204]


def test_nodes_for_twojmax_10_and_8_are_as_few_as_promised() -> None:
    assert [len(quadrature(n).nodes) for n in (8, 10)] == [962, 1376]


@pytest.mark.parametrize("twojmax", ALL)
def test_nodes_are_unit_quaternions_and_weights_sum_to_one(twojmax: int) -> None:
    rule = quadrature(twojmax)
    np.testing.assert_allclose(np.linalg.norm(rule.nodes, axis=1), 1, atol=1e-14)
    assert rule.weights.sum() == pytest.approx(1, abs=1e-13)
    assert len(rule.nodes) == len(rule.directions) * len(rule.angles)


@pytest.mark.parametrize("twojmax", ALL)
def test_quadrature_integrates_the_worst_product_exactly(twojmax: int) -> None:
    """∫ U_n(⟨x,g⟩) U_n(⟨y,g⟩) dg = U_n(⟨x,y⟩)/(n+1), for the largest n whose square the rule must integrate."""
    n = 3 * twojmax // 2
    rule, (x, y) = quadrature(twojmax), _quaternions(2, twojmax)
    product = gegenbauer(rule.nodes @ x, 1, n)[n] * gegenbauer(rule.nodes @ y, 1, n)[n]
    exact = gegenbauer(np.array(x @ y), 1, n)[n] / (n + 1)
    assert rule.weights @ product == pytest.approx(float(exact), abs=1e-11 * (n + 1))


@pytest.mark.parametrize("twojmax", [4, 7, 10])
def test_three_fold_products_do_not_change_with_a_finer_quadrature(twojmax: int) -> None:
    x = _quaternions(3)
    coarse, fine = (
        q.weights @ np.prod([gegenbauer(q.nodes @ v, 1, twojmax)[j] for v, j in zip(x, top, strict=True)], axis=0)
        for top in [(twojmax, twojmax, twojmax - twojmax % 2)]
        for q in (quadrature(twojmax), quadrature(twojmax + 4))
    )
    assert coarse == pytest.approx(fine, abs=1e-11 * twojmax**3)


def test_a_quadrature_one_degree_short_would_be_noticed() -> None:
    rule, (x, y) = quadrature(4), _quaternions(2)
    product = gegenbauer(rule.nodes @ x, 1, 8)[8] * gegenbauer(rule.nodes @ y, 1, 8)[8]
    exact = gegenbauer(np.array(x @ y), 1, 8)[8] / 9
    assert abs(rule.weights @ product - exact) > 1e-6


@pytest.mark.parametrize("twojmax", ALL)
def test_addition_theorem_takes_moments_of_a_neighbour_to_its_expansion_on_the_nodes(twojmax: int) -> None:
    x = _quaternions(5)
    expected = gegenbauer(x @ quadrature(twojmax).nodes.T, 1, twojmax)
    at_x = hyperspherical_harmonics((x[:, 0], x[:, 1], x[:, 2], x[:, 3]), twojmax)
    for n, matrix in enumerate(tables(twojmax).harmonics):
        np.testing.assert_allclose(np.stack(at_x[n]).T @ matrix, expected[n], atol=1e-12 * (n + 1) ** 2)


def test_hyperspherical_harmonics_are_orthonormal() -> None:
    rule = quadrature(8)
    for n, matrix in enumerate(tables(8).harmonics):
        harmonics = matrix * (n + 1) / (2 * np.pi**2)
        gram = 2 * np.pi**2 * (harmonics * rule.weights) @ harmonics.T
        np.testing.assert_allclose(gram, np.eye((n + 1) ** 2), atol=1e-12)


def test_self_term_is_a_neighbour_at_distance_zero() -> None:
    identity = tuple(np.array([c]) for c in (1.0, 0.0, 0.0, 0.0))
    at_identity = hyperspherical_harmonics(identity, 6)
    for n, matrix in enumerate(tables(6).harmonics):
        np.testing.assert_allclose(np.stack(at_identity[n])[:, 0] @ matrix, tables(6).self_term[n], atol=1e-12)


def test_moment_index_counts_all_moments_without_gap() -> None:
    every = [moment_index(n, l, m) for n in range(11) for l in range(n + 1) for m in range(-l, l + 1)]  # noqa: E741
    assert every == list(range(506))


def test_tables_are_computed_once_and_cannot_be_changed() -> None:
    constants = tables(4, "float32")
    assert constants is tables(4, "float32")
    assert constants.harmonics[3].dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        constants.weights[0] = 1


def test_a_twojmax_beyond_the_largest_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="131"):
        quadrature(88)
