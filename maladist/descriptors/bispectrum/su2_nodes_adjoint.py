"""Adjoints of the stages of su2_nodes.py, as vector code: from the cotangents of products to those of the moments.

With dx for the derivative of L = Σ_B c_B B by x, and k = (j+1) c, at each node

    t_ab = Σ_c k_abc f_c,    df_c += k_abc f_a f_b,    df_a += t_ab f_b,    df_b += t_ab f_a     `products_adjoint`

and then the transposed sums over γ give dh (`circle_adjoint`), those over the sphere dM (`sphere_adjoint`). The weights
of the nodes are in f. f_0 is in no product, so nothing here is for n = 0.
"""

from __future__ import annotations

import math

from llvmlite import ir

from maladist.descriptors.bispectrum.su2 import components
from maladist.descriptors.bispectrum.su2_moments import moment_places
from maladist.descriptors.bispectrum.su2_nodes import h_places, n_angles, product_plan, sphere_terms
from maladist.descriptors.compiled.vector_code import Code, Vector, register_file, stage

PAIRS = 8
"""Pairs of points of the sphere that `sphere_adjoint` takes at a time."""


@stage
def products_adjoint(code: Code, twojmax: int, k: ir.Value, f: ir.Value, _: ir.Value, __: ir.Value) -> None:
    """Put df in the place of f at the nodes of a pair of points; f_0 is in no product, its place is left alone.

    f and df of one node stay in registers, n ≤ 12 of each; k is read from the L1 cache for each node.
    """
    places = {c: place for place, c in enumerate(components(twojmax))}
    thirds: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for pair, third, c in (term for group in product_plan(twojmax, len(places)) for term in group):
        thirds.setdefault(pair, []).append((third, places[c]))

    def node(i: ir.Value, _: list[Vector]) -> list[Vector]:
        f_n = {n: code.load(f, code.at(i, twojmax + 1, n)) for n in range(1, twojmax + 1)}
        df: dict[int, Vector] = {}
        for (a, b), of_pair in thirds.items():
            product, t = f_n[a] * f_n[b], None
            for c, place in of_pair:
                k_c = code.load(k, place)
                t = code.fma(k_c, f_n[c], t)
                df[c] = code.fma(k_c, product, df.get(c))
            assert t is not None
            df[a] = code.fma(t, f_n[b], df.get(a))
            df[b] = code.fma(t, f_n[a], df.get(b))
        for n in f_n:
            code.store(df.get(n, code.constant(0.0)), f, code.at(i, twojmax + 1, n))
        return []

    code.loop(2 * n_angles(twojmax), [], node)


@stage
def circle_adjoint(code: Code, twojmax: int, f: ir.Value, h: ir.Value, _: ir.Value, __: ir.Value) -> None:
    """Put dh, n ≥ 1, in the place of h of a pair of points, from df at all angles γ."""
    places, half = h_places(twojmax), n_angles(twojmax) // 2

    def point(i: ir.Value, _: list[Vector]) -> list[Vector]:
        for n in range(1, twojmax + 1):
            dh: dict[tuple[int, int], Vector] = {}
            for t in range(half):
                angle = (t + 0.5) * math.pi / half
                minus, plus = (
                    code.load(f, code.at(i, 2 * half * (twojmax + 1), node * (twojmax + 1) + n))
                    for node in (t, 2 * half - 1 - t)
                )
                cos, sin = plus + minus, plus - minus
                for s in range(n % 2, n + 1, 2):
                    dh[s, 0] = code.fma(math.cos(s * angle / 2), cos, dh.get((s, 0)))
                    if s:
                        dh[s, 1] = code.fma(math.sin(s * angle / 2), sin, dh.get((s, 1)))
            for key, x in dh.items():
                code.store(x, h, code.at(i, len(places), places[n, *key]))
        return []

    if twojmax:
        code.loop(2, [], point)


@stage
def sphere_adjoint(
    code: Code, twojmax: int, h: ir.Value, target: ir.Value, constants: ir.Value, first: ir.Value
) -> None:
    """Add to dM, n ≥ 1, from dh of `PAIRS` pairs of points; ``first``: where the constants of the first start."""
    at_once = 11 if register_file()[1] == 32 else 3  # terms whose two sums stay in registers
    rows: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for row, (n, s, p, q) in enumerate(sphere_terms(twojmax)):
        if n:
            rows.setdefault((n, s), []).append((row, p, q))
    for (n, s), terms in rows.items():
        for start in range(0, len(terms), at_once):
            _sphere_sums(code, twojmax, (n, s), terms[start : start + at_once], (h, target, constants, first))


def _sphere_sums(
    code: Code, twojmax: int, order: tuple[int, int], terms: list[tuple[int, int, int]], buffers: tuple[ir.Value, ...]
) -> None:
    """The terms (row of the constants, p, q) of one (n, s), summed over the pairs of points in registers."""
    (n, s), (h, target, constants, first) = order, buffers
    place_of, places, stride = moment_places(twojmax), h_places(twojmax), 2 * len(sphere_terms(twojmax))

    def pair(i: ir.Value, state: list[Vector]) -> list[Vector]:
        def load(point: int, part: int) -> Vector:
            if part and not s:
                return code.constant(0.0)  # h_n0 is real
            return code.load(h, code.at(i, 2 * len(places), point * len(places) + places[n, s, part]))

        here, there = ((load(point, 0), load(point, 1)) for point in (0, 1))
        if n % 2:
            there = (there[1], -there[0])  # times conj i
        groups = [[f(x, y) for x, y in zip(here, there, strict=True)] for f in (Vector.__add__, Vector.__sub__)]
        result = []
        for (row, p, q), (real, imaginary) in zip(terms, zip(state[::2], state[1::2], strict=True), strict=True):
            c = [code.splat(constants, code.at(i, stride, code.at(first, 1, 2 * row + part))) for part in (0, 1)]
            d = groups[(p + q) % 4 // 2]
            real, imaginary = code.fma(c[0], d[0], real), code.fma(c[1], d[0], imaginary)
            if s:
                real, imaginary = code.fma(c[1], d[1], real), code.fma(-c[0], d[1], imaginary)
            result += [real, imaginary]
        return result

    sums = code.loop(PAIRS, [code.constant(0.0)] * (2 * len(terms)), pair)
    for (_, p, q), real, imaginary in zip(terms, sums[::2], sums[1::2], strict=True):
        conjugate = (n, p, q, 0) not in place_of  # then (−p, −q) is there
        key = (n, -p, -q) if conjugate else (n, p, q)
        code.store(code.load(target, place_of[*key, 0]) + real, target, place_of[*key, 0])
        if p or q:
            total = code.load(target, place_of[*key, 1])
            code.store(total - imaginary if conjugate else total + imaginary, target, place_of[*key, 1])
