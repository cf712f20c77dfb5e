"""Adjoints of the stages of stages.py: from cotangents of the features to gradients by neighbours.

With dx for the derivative of L = Σ c·features by x, and for a neighbour R_n = w c² cos nθ and S_lm, the solid harmonic
of v = sin θ r̂,

    dM_n00 = c_n,   dM_nlm = Σ_k (1 + δ_nk) c_nkl M_klm                                     `products_adjoint`
    dS_lm  = Σ_n dM_nlm R_n,   d cos θ = Σ_nlm dM_nlm S_lm ∂R_n/∂cos θ                      `contractions`
    dv     = Σ_lm dS_lm ∇S_lm,   dx = q dv + (2 q′ (x·dv) − π q d cos θ) x                  `gradients`

where q = sin θ/√u = 2 s c and q′ = dq/du. Nothing is divided by a distance, here neither.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from llvmlite import ir

from maladist.descriptors.compiled.vector_code import Code, Vector, stage
from maladist.descriptors.harmonics import solid_gradient
from maladist.descriptors.power_spectrum.spec import pair_products
from maladist.descriptors.power_spectrum.stages import NEIGHBOURS, Neighbour, blocks, decode, moment_places

_REGISTERS = 12  # cotangents of moments that are kept in registers at a time, beside what they are multiplied with


class Places(NamedTuple):
    """Where the vectors of a neighbour are: R_n, ∂R_n/∂cos θ, S_lm, dS_lm, d cos θ; the gradient takes the first."""

    slopes: int
    harmonics: int
    by_harmonics: int
    by_cos: int
    size: int

    @classmethod
    def of(cls, radial: Sequence[int]) -> Places:
        """Places for these numbers of radial functions."""
        n, square = max(radial), len(radial) ** 2
        # A gradient has three numbers, whatever else there is.
        return cls(n, 2 * n, 2 * n + square, 2 * n + 2 * square, max(3, 2 * n + 2 * square + 1))


@stage
def products_adjoint(code: Code, order: int, sums: ir.Value, target: ir.Value, c: ir.Value, _: ir.Value) -> None:
    """Write dM from the moments and the cotangents ``c`` of the features."""
    radial = decode(order)
    places = moment_places(tuple(radial))
    for n in range(radial[0]):
        code.store(code.load(c, n), target, places[0, 0, n])
    of_pair = {key: place for place, key in enumerate(pair_products(radial), radial[0])}
    for l, count in enumerate(radial):  # noqa: E741
        for m in range(-l, l + 1) if l else ():
            of_m = [code.load(sums, places[l, m, k]) for k in range(count)]
            for n in range(count):
                factors = [code.load(c, of_pair[l, min(n, k), max(n, k)]) for k in range(count)]
                factors[n] = 2.0 * factors[n]
                code.store(code.dot(factors, of_m), target, places[l, m, n])


@stage
def functions_and_slopes(code: Code, order: int, near: ir.Value, target: ir.Value, map_: ir.Value, _: ir.Value) -> None:
    """Write radial functions, their derivatives and solid harmonics of `NEIGHBOURS` neighbours, and d cos θ = 0."""
    radial = decode(order)
    at = Places.of(radial)

    def one(i: ir.Value, _: list[Vector]) -> list[Vector]:
        neighbour = Neighbour.load(code, near, i, map_)
        count = max(radial)
        values, cos = neighbour.radial(code, max(2, count)), neighbour.cos(code)
        slopes = [0.5 * neighbour.weight]
        slopes.append(code.fma(cos, slopes[0], values[0]))
        for n in range(2, count):
            slopes.append(code.fma(2.0 * cos, slopes[-1], code.fma(2.0, values[n - 1], -slopes[-2])))
        harmonics = neighbour.harmonics(code, len(radial) - 1)
        for place, value in enumerate(values[:count] + slopes[:count] + harmonics):
            code.store(value, target, code.at(i, at.size, place))
        code.store(code.constant(0.0), target, code.at(i, at.size, at.by_cos))
        return []

    code.loop(NEIGHBOURS, [], one)


@stage
def contractions(code: Code, order: int, dm: ir.Value, pairs: ir.Value, _: ir.Value, __: ir.Value) -> None:
    """Write dS_lm and d cos θ of `NEIGHBOURS` neighbours from dM."""
    radial = decode(order)
    places, at = moment_places(tuple(radial)), Places.of(radial)
    for l, some in blocks(radial, _REGISTERS):  # noqa: E741
        rows = [[code.load(dm, places[l, m, n]) for n in range(radial[l])] for m in some]

        def add(
            i: ir.Value,
            _: list[Vector],
            l: int = l,  # noqa: E741
            some: list[int] = some,
            rows: list[list[Vector]] = rows,
        ) -> list[Vector]:
            def place(first: int, offset: int = 0) -> ir.Value:
                return code.at(i, at.size, first + offset)

            values = [code.load(pairs, place(n)) for n in range(radial[l])]
            slopes = [code.load(pairs, place(at.slopes, n)) for n in range(radial[l])]
            by_cos = code.load(pairs, place(at.by_cos))
            for m, row in zip(some, rows, strict=True):
                code.store(code.dot(row, values), pairs, place(at.by_harmonics, l * l + l + m))
                harmonic = code.load(pairs, place(at.harmonics, l * l + l + m))
                by_cos = code.fma(code.dot(row, slopes), harmonic, by_cos)
            code.store(by_cos, pairs, place(at.by_cos))
            return []

        code.loop(NEIGHBOURS, [], add)


@stage
def gradients(code: Code, order: int, near: ir.Value, pairs: ir.Value, map_: ir.Value, _: ir.Value) -> None:
    """Put the gradient of `NEIGHBOURS` neighbours in the first three places of each; add to the virial behind them."""
    radial = decode(order)
    at = Places.of(radial)
    virial = [NEIGHBOURS * at.size + i for i in range(9)]

    def one(i: ir.Value, state: list[Vector]) -> list[Vector]:
        k, scale = Neighbour.load(code, near, i, map_), code.splat(map_, 0)
        by_v = [code.constant(0.0)] * 3
        for l in range(1, len(radial)):  # noqa: E741
            below = {m: code.load(pairs, code.at(i, at.size, at.harmonics + (l - 1) * l + m)) for m in range(1 - l, l)}
            for m in range(-l, l + 1):
                by_harmonic = code.load(pairs, code.at(i, at.size, at.by_harmonics + l * l + l + m))
                for axis, terms in enumerate(solid_gradient(l, m)):
                    for factor, m_below in terms:
                        by_v[axis] = code.fma(factor * by_harmonic, below[m_below], by_v[axis])
        by_cos = code.load(pairs, code.at(i, at.size, at.by_cos))
        q = 2.0 * k.s * k.c
        twice_q_slope = 4.0 * code.fma(k.s_slope(code), k.c, (-math.pi / 4) * k.s * k.s)  # dc/du = −(π/4) s
        along = code.fma(twice_q_slope, code.dot(k.x, by_v), (-math.pi) * q * by_cos)
        g = [scale * code.fma(q, v, along * x) for v, x in zip(by_v, k.x, strict=True)]
        for axis, component in enumerate(g):
            code.store(component, pairs, code.at(i, at.size, axis))
        vector = [code.load(near, code.at(i, 4, axis)) for axis in range(3)]
        return [code.fma(g[a], vector[b], state[3 * a + b]) for a in range(3) for b in range(3)]

    sums = code.loop(NEIGHBOURS, [code.load(pairs, place) for place in virial], one)
    for place, value in zip(virial, sums, strict=True):
        code.store(value, pairs, place)
