"""Second half of the bispectrum on a CPU: f_n on the nodes and their triple products, as vector code.

At g = (α, β, γ) the complex numbers of su2_moments.py are a = cos(β/2) e^{i(α+γ)/2} and b = sin(β/2) e^{i(α−γ)/2}: the
phase of E_npq is (σα + sγ)/2 with σ = p + q, s = p − q, and the sum over p and q separates into points (α, β) of a
Lebedev rule and equidistant angles γ:

    h_ns(α, β)   = Σ_σ κ_npq E_npq(α, β, 0) conj M_npq                           `sphere`
    f_n(α, β, γ) = Σ_s cos(sγ/2) Re h_ns − sin(sγ/2) Im h_ns                     `circle`
    B_{j1 j2 j}  = (j+1) Σ_g weight_g f_j1 f_j2 f_j                              `products`

α + π multiplies a term by i^σ, so sums by the class of σ modulo 4 serve two points; γ and −γ share their sums up to a
sign. The weights are in the constants of `sphere`, as cube roots: those of negative weights are real too.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir

from maladist.arrays import Array
from maladist.descriptors.bispectrum.su2 import components, quadrature
from maladist.descriptors.bispectrum.su2_moments import jacobi, kappa, moment_places
from maladist.descriptors.compiled.vector_code import Code, Vector, register_file, stage

Triple = tuple[int, int, int]


def n_angles(twojmax: int) -> int:
    """Number of angles γ, even: at least degree + 1 for a quadrature of that degree."""
    return 2 * (3 * twojmax // 2 // 2 + 1)


@lru_cache(maxsize=32)
def h_places(twojmax: int) -> dict[Triple, int]:
    """Places of h_ns, s ≥ 0, in its buffer: by (n, s, part); h_n0 is real. (twojmax+1)(twojmax+2)/2 places."""
    keys = [
        (n, s, part) for n in range(twojmax + 1) for s in range(n % 2, n + 1, 2) for part in ((0, 1) if s else (0,))
    ]
    return {key: place for place, key in enumerate(keys)}


@lru_cache(maxsize=32)
def sphere_terms(twojmax: int) -> list[tuple[int, int, int, int]]:
    """Terms (n, s, p, q) of all h_ns, s ≥ 0, in the order of their constants; for s = 0 only σ ≥ 0, its real part."""
    return [
        (n, s, (sigma + s) // 2, (sigma - s) // 2)
        for n in range(twojmax + 1)
        for s in range(n % 2, n + 1, 2)
        for sigma in range(-n if s else n % 2, n + 1, 2)
    ]


def sphere_constants(twojmax: int) -> Array:
    """Constants of `sphere`, (pairs of points, 2 × terms): real and imaginary by turns.

    One point of each pair (α, β), (α + π, β) of the Lebedev rule. A pole makes a pair with itself, at half its weight.
    """
    rule = quadrature(twojmax)
    x, y, z = rule.directions.T
    weights = rule.weights.reshape(len(x), -1).sum(axis=1)
    pole = np.hypot(x, y) < 1e-12
    first = pole | (y > 1e-12) | ((np.abs(y) <= 1e-12) & (x > 0))
    alpha, beta = np.where(pole, 0.0, np.arctan2(y, x))[first], np.arctan2(np.hypot(x, y), z)[first]
    scale = np.cbrt(np.where(pole, 0.5, 1.0) * weights / n_angles(twojmax))[first]
    columns = []
    for n, _s, p, q in sphere_terms(twojmax):
        k = (n - abs(p) - abs(q)) // 2
        real = np.cos(beta / 2) ** abs(p) * np.sin(beta / 2) ** abs(q) * jacobi(np.cos(beta), abs(q), abs(p), k)[k]
        factor = kappa(n, p, q) * (2 if p or q else 1)  # the real part stands for (−p, −q) too
        columns.append(factor * scale * real * np.exp(0.5j * (p + q) * alpha))
    return np.ascontiguousarray(np.stack(columns, axis=1)).view(np.float64)


@stage
def sphere(code: Code, twojmax: int, source: ir.Value, h: ir.Value, constants: ir.Value, first: ir.Value) -> None:
    """h_ns at a pair of points, α and α + π, from the moments; ``first``: where the pair's constants start."""
    place_of, places = moment_places(twojmax), h_places(twojmax)
    sums: dict[tuple[int, int, int, int], Vector] = {}  # by (n, s, class of σ, part)
    for row, (n, s, p, q) in enumerate(sphere_terms(twojmax)):
        conjugate = (n, p, q, 0) not in place_of  # then (−p, −q) is there
        key = (n, -p, -q) if conjugate else (n, p, q)
        c = [code.splat(constants, code.at(first, 1, 2 * row + part)) for part in (0, 1)]
        real = code.load(source, place_of[*key, 0])
        group = (p + q) % 4 // 2
        for part in (0, 1) if s else (0,):
            sums[n, s, group, part] = code.fma(c[part], real, sums.get((n, s, group, part)))
        if not (p or q):
            continue
        imaginary = code.load(source, place_of[*key, 1])
        for part in (0, 1) if s else (0,):  # c·conj(m): + c_i m_i to the real part, − c_r m_i to the imaginary part
            factor = c[1 - part] if (part == 0) != conjugate else -c[1 - part]
            sums[n, s, group, part] = code.fma(factor, imaginary, sums[n, s, group, part])
    for n, s in dict.fromkeys((n, s) for n, s, _ in places):
        even, odd = ([sums.get((n, s, group, part), code.constant(0.0)) for part in (0, 1)] for group in (0, 1))
        here, there = ([f(e, o) for e, o in zip(even, odd, strict=True)] for f in (Vector.__add__, Vector.__sub__))
        if n % 2:
            there = [-there[1], there[0]]  # i^σ = ±i
        for part in (0, 1) if s else (0,):
            code.store(here[part], h, places[n, s, part])
            code.store(there[part], h, len(places) + places[n, s, part])


@stage
def circle(code: Code, twojmax: int, h: ir.Value, f: ir.Value, _: ir.Value, __: ir.Value) -> None:
    """f_n at all angles γ of a pair of points: vectors by node, then n."""
    places, half = h_places(twojmax), n_angles(twojmax) // 2

    def point(i: ir.Value, _: list[Vector]) -> list[Vector]:
        for n in range(twojmax + 1):
            values = {key[1:]: code.load(h, code.at(i, len(places), at)) for key, at in places.items() if key[0] == n}
            for t in range(half):
                angle = (t + 0.5) * math.pi / half
                cos: Vector | None = None
                sin: Vector | None = None
                for s in range(n % 2, n + 1, 2):
                    cos = code.fma(math.cos(s * angle / 2), values[s, 0], cos) if s else values[0, 0]
                    sin = code.fma(math.sin(s * angle / 2), values[s, 1], sin) if s else None
                assert cos is not None
                for node, x in ((t, cos - sin if sin else cos), (2 * half - 1 - t, cos + sin if sin else cos)):
                    code.store(x, f, code.at(i, 2 * half * (twojmax + 1), node * (twojmax + 1) + n))
        return []

    code.loop(2, [], point)


@lru_cache(maxsize=32)
def product_plan(twojmax: int, sums: int) -> list[list[tuple[tuple[int, int], int, Triple]]]:
    """Components with j2 > 0 as (pair, third, component), in groups of at most ``sums`` whose sums stay in registers.

    Few pairs, chosen greedily, are in all triples: 23 for the 80 triples of twojmax = 10, where j1 and j2 make 50.
    """
    left = [c for c in components(twojmax) if c[1]]
    plan = []
    while left:
        pairs = [{(a, b), (a, c), (b, c)} for b, a, c in left]
        # Ties go to the larger pair: those of a group then share their factors.
        pair = max({x for of in pairs for x in of}, key=lambda x: (sum(x in of for of in pairs), x))
        chosen = [c for c, of in zip(left, pairs, strict=True) if pair in of]
        plan += [(pair, sum(c) - sum(pair), c) for c in chosen]
        left = [c for c in left if c not in chosen]
    n_groups = -(-len(plan) // sums)
    plan.sort()
    size = -(-len(plan) // max(1, n_groups))
    return [plan[i : i + size] for i in range(0, len(plan), max(1, size))]


@stage
def products(code: Code, twojmax: int, f: ir.Value, sums: ir.Value, _: ir.Value, __: ir.Value) -> None:
    """Add the triple products at the nodes of a pair of points to the components.

    The sums start from zero for each pair of points, which keeps float32 at 3e-6 of a column's maximum.
    """
    places = {c: place for place, c in enumerate(components(twojmax))}
    for group in product_plan(twojmax, 20 if register_file()[1] == 32 else 9):

        def node(i: ir.Value, state: list[Vector], group: Any = group) -> list[Vector]:
            used = sorted({n for _, _, c in group for n in c})
            f_n = {n: code.load(f, code.at(i, twojmax + 1, n)) for n in used}
            pairs = {pair: f_n[pair[0]] * f_n[pair[1]] for pair, _, _ in group}
            return [code.fma(pairs[pair], f_n[n], s) for (pair, n, _), s in zip(group, state, strict=True)]

        for (_, _, c), x in zip(
            group, code.loop(2 * n_angles(twojmax), [code.constant(0.0)] * len(group), node), strict=True
        ):
            code.store(x + code.load(sums, places[c]), sums, places[c])
