"""The basis on SU(2) and the stages of moments and norms, each against its formula."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import eval_chebyu, eval_jacobi

from maladist.descriptors.bispectrum.su2 import components, quadrature
from maladist.descriptors.bispectrum.su2_moments import (
    NEIGHBOURS,
    jacobi,
    kappa,
    moment_places,
    moments,
    norms,
    powers,
    powers_size,
    self_moments,
    sin_cos,
)
from maladist.descriptors.compiled.vector_code import Vector
from tests.descriptors.bispectrum.formulas import elements, moments_of, neighbours
from tests.descriptors.compiled.interpreted import LANES, Interpreted, run


def test_the_basis_is_orthogonal_and_its_norms_are_known() -> None:
    """Two elements make a polynomial of degree 8, which the quadrature for twojmax 4 (degree 12) integrates exactly."""
    rule = quadrature(4)
    basis = elements(4, rule.nodes)
    for first, x in basis.items():
        for second, y in basis.items():
            overlap = np.sum(rule.weights * x * y.conj())
            if (first[0] - second[0]) % 2:
                continue  # odd polynomials vanish over SU(2), not over its half
            expected = 1 / ((first[0] + 1) * kappa(*first)) if first == second else 0.0
            assert abs(overlap - expected) < 1e-14


@pytest.mark.parametrize("twojmax", range(17))
def test_there_are_as_many_moments_as_matrixelements(twojmax: int) -> None:
    assert len(moment_places(twojmax)) == sum((n + 1) ** 2 for n in range(twojmax + 1))
    at_the_identity = elements(twojmax, np.array([[1.0, 0, 0, 0]]))
    for (n, p, q, part), place in moment_places(twojmax).items():
        value = at_the_identity[n, p, q][0]
        assert self_moments(twojmax)[place] == pytest.approx((value.real, value.imag)[part], abs=1e-13)


def test_jacobi_polynomials_are_scipys() -> None:
    t = np.linspace(-1, 1, 21)
    for alpha, beta in ((0, 0), (3, 0), (0, 5), (4, 2)):
        for k, values in enumerate(jacobi(t, alpha, beta, 6)):
            np.testing.assert_allclose(values + 0 * t, eval_jacobi(k, alpha, beta, t), rtol=1e-12, atol=1e-12)
    assert jacobi(t, 1, 1, 0) == [1.0]


@pytest.mark.parametrize("twojmax", [0, 1, 4, 7])
@pytest.mark.parametrize(("rmin0", "rfac0", "switch"), [(0.0, 1.0, 1.0), (0.6, 0.99363, 1.0), (1.4, 0.7, 0.0)])
def test_moments_are_the_sums_of_the_basis_over_the_neighbours(
    twojmax: int, rmin0: float, rfac0: float, switch: float
) -> None:
    """A neighbour at r is the quaternion of θ0 = rfac0 π (r − rmin0)/(r_c − rmin0), fades out, counts by element."""
    cutoff, rng = 4.0, np.random.default_rng(twojmax)
    vectors = rng.normal(size=(2 * NEIGHBOURS, LANES, 3))
    r = rng.uniform(0.5, cutoff, (2 * NEIGHBOURS, LANES))
    vectors *= (r / np.linalg.norm(vectors, axis=-1))[..., None]
    element = rng.uniform(-1, 2, r.shape)
    near = np.concatenate([np.moveaxis(vectors, -1, 1), element[:, None]], axis=1)
    buffer = np.empty((NEIGHBOURS * powers_size(twojmax), LANES))
    sums = np.zeros((len(moment_places(twojmax)), LANES))
    for first in (0, NEIGHBOURS):
        run(powers, twojmax, near, buffer, np.array([rmin0, 1 / (cutoff - rmin0), rfac0, switch]), first=first)
        run(moments, twojmax, buffer, sums)
    share = (r - rmin0) / (cutoff - rmin0)
    theta = np.pi * rfac0 * share
    fade = 0.5 * (np.cos(np.pi * np.clip(share, 0, 1)) + 1) if switch else 1.0
    # θ0 has the period π: where r < rmin0 makes it negative, the quaternion is the opposite one, as LAMMPS has it.
    sign = np.where(theta < 0, -1.0, 1.0)
    quaternion = np.concatenate([np.cos(theta)[..., None], np.sin(theta)[..., None] * vectors / r[..., None]], axis=-1)
    wanted = moments_of(twojmax, element * fade, sign[..., None] * quaternion)
    np.testing.assert_allclose(sums, wanted, rtol=0, atol=1e-12 * np.abs(wanted).max())


def test_norms_are_integrals_of_the_expansions_square() -> None:
    """B_j0j = (j+1) f_0 ∫ f_j², where f_j is U_j of the inner products with the neighbours, by quadrature."""
    weights, x = neighbours(5, seed=1)
    target, rule = np.zeros((len(components(4)), LANES)), quadrature(4)
    run(norms, 4, moments_of(4, weights, x), target)
    inner = np.clip(np.einsum("klx,gx->klg", x, rule.nodes), -1, 1)
    for place, (j, j2, _) in enumerate(components(4)):
        f = np.einsum("kl,klg->lg", weights, eval_chebyu(j, inner))
        wanted = weights.sum(axis=0) * (rule.weights * f**2).sum(axis=1) if j2 == 0 else 0.0
        np.testing.assert_allclose(target[place], wanted, rtol=1e-12)


@pytest.mark.parametrize(("itemsize", "tolerance"), [(8, 2e-16), (4, 1e-7)])
def test_sine_and_cosine_are_exact_to_the_last_place_of_either_precision(itemsize: int, tolerance: float) -> None:
    code = Interpreted()
    code.itemsize = itemsize
    for t in np.linspace(-np.pi / 2, np.pi / 2, 101):
        sin, cos = (x.value[0] for x in sin_cos(code, Vector(code, np.full(LANES, t))))
        assert abs(sin - np.sin(t)) < tolerance and abs(cos - np.cos(t)) < tolerance
