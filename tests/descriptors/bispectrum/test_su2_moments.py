"""Parts of the compiled bispectrum that can be checked by themselves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import eval_jacobi

from maladist.descriptors.bispectrum.su2 import components, quadrature
from maladist.descriptors.bispectrum.su2_moments import jacobi, kappa, moment_places, self_moments
from maladist.descriptors.bispectrum.su2_nodes import h_places, n_angles, product_plan, sphere_constants, sphere_terms


def _elements(twojmax: int, nodes: np.ndarray) -> dict[tuple[int, int, int], np.ndarray]:
    """E_npq on unit quaternions, by the formula of the module's docstring."""
    a, b = nodes[:, 0] + 1j * nodes[:, 3], nodes[:, 1] + 1j * nodes[:, 2]
    t = abs(a) ** 2 - abs(b) ** 2
    keys = {key[:3] for key in moment_places(twojmax)}
    return {
        (n, p, q): a**p * (b**q if q >= 0 else b.conj() ** -q) * eval_jacobi((n - p - abs(q)) // 2, abs(q), p, t)
        for n, p, q in keys
    }


def test_the_basis_is_orthogonal_and_its_norms_are_known() -> None:
    """Two elements make a polynomial of degree 8, which the quadrature for twojmax 4 (degree 12) integrates exactly."""
    rule = quadrature(4)
    elements = _elements(4, rule.nodes)
    for first, x in elements.items():
        for second, y in elements.items():
            overlap = np.sum(rule.weights * x * y.conj())
            if (first[0] - second[0]) % 2:
                continue  # odd polynomials vanish over SU(2), not over its half
            expected = 1 / ((first[0] + 1) * kappa(*first)) if first == second else 0.0
            assert abs(overlap - expected) < 1e-14


@pytest.mark.parametrize("twojmax", range(17))
def test_there_are_as_many_moments_as_matrix_elements(twojmax: int) -> None:
    assert len(moment_places(twojmax)) == sum((n + 1) ** 2 for n in range(twojmax + 1))
    assert len(h_places(twojmax)) == (twojmax + 1) * (twojmax + 2) // 2
    at_the_identity = _elements(twojmax, np.array([[1.0, 0, 0, 0]]))
    for (n, p, q, part), place in moment_places(twojmax).items():
        value = at_the_identity[n, p, q][0]
        assert self_moments(twojmax)[place] == pytest.approx((value.real, value.imag)[part], abs=1e-13)


def test_jacobi_polynomials_are_scipys() -> None:
    t = np.linspace(-1, 1, 21)
    for alpha, beta in ((0, 0), (3, 0), (0, 5), (4, 2)):
        for k, values in enumerate(jacobi(t, alpha, beta, 6)):
            np.testing.assert_allclose(values + 0 * t, eval_jacobi(k, alpha, beta, t), rtol=1e-12, atol=1e-12)
    assert jacobi(t, 1, 1, 0) == [1.0]


@pytest.mark.parametrize("twojmax", range(17))
def test_every_component_is_made_of_a_pair_and_a_third(twojmax: int) -> None:
    plan = product_plan(twojmax, 20)
    assert all(len(group) <= 20 for group in plan)
    made = [c for group in plan for *_, c in group]
    assert sorted(made) == sorted(c for c in components(twojmax) if c[1] > 0)
    assert all(sorted((*pair, third)) == sorted(c) for group in plan for pair, third, c in group)


def test_few_pairs_serve_all_products() -> None:
    assert len({pair for group in product_plan(10, 20) for pair, *_ in group}) <= 24


@pytest.mark.parametrize("twojmax", range(17))
def test_the_nodes_of_the_sphere_carry_the_whole_weight(twojmax: int) -> None:
    """h_00 is the cube root of the weight where M_00 = 1; each pair stands for two points at all angles."""
    constants = sphere_constants(twojmax)
    assert constants.shape[1] == 2 * len(sphere_terms(twojmax))
    assert 2 * n_angles(twojmax) * np.sum(constants[:, 0] ** 3) == pytest.approx(1.0, abs=1e-13)
    assert n_angles(twojmax) % 2 == 0 and n_angles(twojmax) > 3 * twojmax // 2
