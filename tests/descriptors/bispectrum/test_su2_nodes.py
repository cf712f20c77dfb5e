"""The expansion on the nodes and its triple products: plans, constants, and each stage against its formula."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import eval_chebyu

from maladist.descriptors.bispectrum.su2 import components, quadrature
from maladist.descriptors.bispectrum.su2_nodes import (
    circle,
    h_places,
    n_angles,
    product_plan,
    products,
    sphere,
    sphere_constants,
    sphere_terms,
)
from tests.descriptors.bispectrum.formulas import moments_of, neighbours
from tests.descriptors.compiled.interpreted import LANES, run


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


@pytest.mark.parametrize("twojmax", range(17))
def test_there_are_as_many_h_as_orders_that_are_not_each_others_conjugates(twojmax: int) -> None:
    assert len(h_places(twojmax)) == (twojmax + 1) * (twojmax + 2) // 2


@pytest.mark.parametrize("twojmax", [1, 4, 7])
def test_the_expansion_on_the_circle_is_its_fourier_series(twojmax: int) -> None:
    """f_n(γ) = Σ_s cos(sγ/2) Re h_ns − sin(sγ/2) Im h_ns, γ = ±(t + ½)π/half by turns, of both points of the pair."""
    places, angles = h_places(twojmax), n_angles(twojmax)
    h = np.random.default_rng(0).normal(size=(2, len(places), LANES))
    f = np.empty((2, angles, twojmax + 1, LANES))
    run(circle, twojmax, h, f)
    step = (np.arange(angles // 2) + 0.5) * 2 * np.pi / angles
    gamma = np.concatenate([step, -step[::-1]])[:, None, None]
    for n in range(twojmax + 1):
        wanted = np.zeros((2, angles, LANES))
        for (m, s, part), place in places.items():
            if m == n:
                wave = -np.sin(s * gamma / 2) if part else np.cos(s * gamma / 2)
                wanted += wave[:, 0] * h[:, place][:, None]
        np.testing.assert_allclose(f[:, :, n], wanted, rtol=0, atol=1e-13)


@pytest.mark.parametrize("twojmax", [0, 1, 2, 5, 8])  # 8: rules with and without the poles, some weights negative
def test_products_summed_over_all_pairs_of_points_are_the_bispectrum_by_its_definition(twojmax: int) -> None:
    """B = (j+1) ∫ f_j1 f_j2 f_j dg with f_n(g) = Σ_k w_k U_n(⟨x_k, g⟩), by the quadrature of su2.py."""
    weights, x = neighbours(4, seed=twojmax)
    m, constants, found = moments_of(twojmax, weights, x), sphere_constants(twojmax), np.zeros((99, LANES))
    h = np.empty((2, len(h_places(twojmax)), LANES))
    f = np.empty((2 * n_angles(twojmax), twojmax + 1, LANES))
    for pair in range(len(constants)):
        run(sphere, twojmax, m, h, constants, first=pair * constants.shape[1])
        run(circle, twojmax, h, f)
        run(products, twojmax, f, found)
    rule = quadrature(twojmax)
    inner = np.clip(np.einsum("klx,gx->klg", x, rule.nodes), -1, 1)
    f_n = [np.einsum("kl,klg->lg", weights, eval_chebyu(n, inner)) for n in range(twojmax + 1)]
    for place, (j1, j2, j) in enumerate(components(twojmax)):
        wanted = (rule.weights * f_n[j1] * f_n[j2] * f_n[j]).sum(axis=1) if j2 else 0.0  # the others are `norms`
        np.testing.assert_allclose(found[place], wanted, rtol=0, atol=1e-11)
