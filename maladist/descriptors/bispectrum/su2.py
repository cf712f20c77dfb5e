"""Functions on SU(2): an exact quadrature, hyperspherical harmonics on its nodes, the bispectrum's components.

A group element is a unit quaternion g = (cos, x, y, z). A neighbour is the quaternion x_k = (cos θ0, sin θ0 r̂); its
expansion f_n(g) = Σ_k w_k U_n(⟨x_k, g⟩) is, by the addition theorem on S³ (n = 2j, an integer),

    U_n(⟨x, g⟩) = 2π²/(n+1) Σ_{l ≤ n, m} Y_nlm(x) Y_nlm(g)
    Y_nlm       = N_nl sin^l θ0 C_{n−l}^{(l+1)}(cos θ0) Y_lm(r̂)

a product of the (n+1)² moments Σ_k w_k Y_nlm(x_k) with the constant matrix `Tables.harmonics[n]`. The self term, the
point itself as a neighbour at r = 0, is U_n(g_0): `Tables.self_term[n]`. The bispectrum (Bartók et al., Phys. Rev. B
87, 184115 (2013); components and order as LAMMPS `compute sna/grid` has them) is a three-fold product over the nodes

    B_{j1 j2 j} = (j+1) Σ_g weight_g f_{j1}(g) f_{j2}(g) f_j(g)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.integrate import lebedev_rule

from maladist.arrays import Array, Floats
from maladist.descriptors.harmonics import T, gegenbauer, solid_harmonics

_LEBEDEV_DEGREES = (*range(3, 32, 2), *range(35, 132, 6))


def components(twojmax: int) -> list[tuple[int, int, int]]:
    """Components (j1, j2, j) of the bispectrum as doubled integers, in the order of LAMMPS: j1, then j2, then j.

    j2 ≤ j1 ≤ j ≤ twojmax, |j1 − j2| ≤ j ≤ j1 + j2, j1 + j2 + j even: 91 for twojmax = 10.
    """
    return [
        (j1, j2, j)
        for j1 in range(twojmax + 1)
        for j2 in range(j1 + 1)
        for j in range(j1 - j2, min(twojmax, j1 + j2) + 1, 2)
        if j >= j1
    ]


def moment_index(n: int, l: int, m: int) -> int:  # noqa: E741
    """Place of the moment (n, l, m) among all moments: n, then l, then m."""
    return n * (n + 1) * (2 * n + 1) // 6 + l * l + l + m


def radial_norm(n: int, l: int) -> float:  # noqa: E741
    """N_nl, which makes N_nl sin^l θ C_{n−l}^{(l+1)}(cos θ) Y_lm orthonormal on S³ (∫ sin²θ dθ dΩ)."""
    ratio = math.factorial(n - l) / math.factorial(n + l + 1)
    return math.factorial(l) * 2**l * math.sqrt(2 * (n + 1) * ratio / math.pi)


def radial_polynomials(cos: T, twojmax: int) -> list[list[T]]:
    """N_nl C_{n−l}^{(l+1)}(cos θ0) for all l ≤ n ≤ twojmax; times sin^l θ0 it is the radial function R_nl.

    Returns
    -------
    list of list
        For each l the arrays n = l … twojmax, of the shape of ``cos``.
    """
    return [
        [radial_norm(l + k, l) * c for k, c in enumerate(gegenbauer(cos, l + 1, twojmax - l))]
        for l in range(twojmax + 1)  # noqa: E741
    ]


def hyperspherical_harmonics(quaternion: tuple[T, T, T, T], twojmax: int) -> list[list[T]]:
    """Real hyperspherical harmonics Y_nlm of unit quaternions (cos, x, y, z).

    Returns
    -------
    list of list
        For each n ≤ twojmax the (n+1)² arrays at index l² + l + m.
    """
    cos, x, y, z = quaternion
    radial, solid = radial_polynomials(cos, twojmax), solid_harmonics(x, y, z, twojmax)
    return [
        [radial[l][n - l] * solid[i] for l in range(n + 1) for i in range(l * l, (l + 1) ** 2)]  # noqa: E741
        for n in range(twojmax + 1)
    ]


@dataclass(frozen=True, eq=False)
class Quadrature:
    """Nodes and weights on SO(3): g = R_z(φ) R_y(θ) R_z(γ), (θ, φ) Lebedev points, γ equidistant on [0, 2π).

    Exact for even polynomials of the quaternion of degree ≤ 2·degree, that is for D^l of integer l ≤ degree.

    Attributes
    ----------
    nodes
        Unit quaternions, (n_directions·n_angles, 4) float64; node of direction a and angle c at a·n_angles + c.
    weights
        (n_nodes,) float64, sum 1. Some Lebedev rules have negative weights (degrees 13, 25, 27): take no root.
    directions
        Lebedev points, unit vectors, (n_directions, 3) float64.
    angles
        γ, (n_angles,) float64.
    """

    nodes: Array
    weights: Array
    directions: Array
    angles: Array


@lru_cache(maxsize=16)
def quadrature(twojmax: int) -> Quadrature:
    """Quadrature that integrates three-fold products f_{j1} f_{j2} f_j, j ≤ twojmax, exactly: 86 × 16 nodes for 10."""
    degree = 3 * twojmax // 2
    rule = next((d for d in _LEBEDEV_DEGREES if d >= degree), None)
    if rule is None:
        raise ValueError(f"twojmax {twojmax} needs a Lebedev rule of degree {degree}; the largest has degree 131")
    points, weights = lebedev_rule(rule)
    directions = np.ascontiguousarray(points.T)
    angles = 2 * np.pi * np.arange(degree + 1) / (degree + 1)
    theta = np.arctan2(np.hypot(points[0], points[1]), points[2])[:, None]
    phi = np.arctan2(points[1], points[0])[:, None]
    plus, minus = (phi + angles) / 2, (phi - angles) / 2
    nodes = np.stack(
        [
            np.cos(theta / 2) * np.cos(plus),
            -np.sin(theta / 2) * np.sin(minus),
            np.sin(theta / 2) * np.cos(minus),
            np.cos(theta / 2) * np.sin(plus),
        ],
        axis=-1,
    )
    per_node = np.repeat(weights / weights.sum() / len(angles), len(angles))
    return Quadrature(nodes.reshape(-1, 4), per_node, directions, angles)


@dataclass(frozen=True, eq=False)
class Tables:
    """Constants of the bispectrum for one twojmax and precision; shared by the backends, never changed.

    Attributes
    ----------
    components
        (j1, j2, j) in the order of LAMMPS.
    harmonics
        For each n the matrix 2π²/(n+1) Y_nlm(g) that takes moments to f_n on the nodes, ((n+1)², n_nodes).
    self_term
        U_n(g_0), (twojmax + 1, n_nodes).
    weights
        Quadrature weights, (n_nodes,).
    """

    components: tuple[tuple[int, int, int], ...]
    harmonics: tuple[Floats, ...]
    self_term: Floats
    weights: Floats


@lru_cache(maxsize=16)
def tables(twojmax: int, dtype: str = "float64") -> Tables:
    """Tables for a twojmax, computed in float64 and rounded to ``dtype`` ('float32' or 'float64')."""
    rule = quadrature(twojmax)
    nodes = (rule.nodes[:, 0], rule.nodes[:, 1], rule.nodes[:, 2], rule.nodes[:, 3])
    harmonics = hyperspherical_harmonics(nodes, twojmax)
    return Tables(
        tuple(components(twojmax)),
        tuple(_frozen(2 * np.pi**2 / (n + 1) * np.stack(h), dtype) for n, h in enumerate(harmonics)),
        _frozen(np.stack(gegenbauer(nodes[0], 1, twojmax)), dtype),
        _frozen(rule.weights, dtype),
    )


def _frozen(values: Floats, dtype: str) -> Floats:
    constant = np.ascontiguousarray(values, dtype=dtype)
    constant.setflags(write=False)
    return constant
