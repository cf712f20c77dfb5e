"""The power spectrum on a CPU as vector code in which a lane is a point; formulas in spec.py.

With x = (R − r)/r_c and u = |x|² the functions of a neighbour need neither root nor quotient: sin(θ/2)/√u and cos(θ/2),
θ = π √u, are power series of u, and everything follows from these two:

    cos θ = 1 − 2 u s²,    (sin θ/√u) x = 2 s c x = sin θ r̂,    ½ (1 + cos θ) = c²,    s = sin(θ/2)/√u, c = cos(θ/2).

An atom on the point is nothing special. Neighbours are those of a tile of points: what a point does not see has weight
0 there and adds 0, so that its sums are the same to the last bit whatever other points are in its tile.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from llvmlite import ir

from maladist.descriptors.compiled.vector_code import Code, Vector, stage
from maladist.descriptors.power_spectrum.spec import MOST_RADIAL, pair_products

NEIGHBOURS = 8
"""Neighbours that the stages take at a time: what they share stays in the L1 cache."""

_REGISTERS = 24  # sums that are kept in registers at a time


def encode(radial: Sequence[int]) -> int:
    """Numbers of radial functions as one integer, which is how a stage is told at compile time."""
    return sum(n * (MOST_RADIAL + 1) ** l for l, n in enumerate(radial))  # noqa: E741


def decode(order: int) -> list[int]:
    """Inverse of `encode`."""
    radial = []
    while order:
        order, n = divmod(order, MOST_RADIAL + 1)
        radial.append(n)
    return radial


def functions_size(radial: Sequence[int]) -> int:
    """Vectors of a neighbour between `functions` and `moments`: radial functions, then solid harmonics."""
    return max(radial) + len(radial) ** 2


@lru_cache(maxsize=32)
def moment_places(radial: tuple[int, ...]) -> dict[tuple[int, int, int], int]:
    """Places of M_nlm in its buffer, by (l, m, n)."""
    keys = [(l, m, n) for l, count in enumerate(radial) for m in range(-l, l + 1) for n in range(count)]  # noqa: E741
    return {key: place for place, key in enumerate(keys)}


def blocks(radial: Sequence[int], registers: int = _REGISTERS) -> list[tuple[int, list[int]]]:
    """Degrees l, each with a few m at a time, whose moments fit into so many registers."""
    found = []
    for l, n in enumerate(radial):  # noqa: E741
        step = max(1, registers // n)
        found += [(l, list(range(first, min(first + step, l + 1)))) for first in range(-l, l + 1, step)]
    return found


def _sine_series(code: Code) -> list[tuple[int, float]]:
    """(k, factor) of u^k in Taylor's series of s, to the last place; the highest k first."""
    terms = 7 if code.itemsize == 4 else 11
    return [(k, (-1) ** k * (math.pi / 2) ** (2 * k + 1) / math.factorial(2 * k + 1)) for k in reversed(range(terms))]


class Neighbour(NamedTuple):
    """A neighbour of each lane: x, weight, u, s and c of the module's head."""

    x: tuple[Vector, Vector, Vector]
    weight: Vector
    u: Vector
    s: Vector
    c: Vector

    @classmethod
    def load(cls, code: Code, near: ir.Value, at: ir.Value, map_: ir.Value) -> Neighbour:
        """Neighbour ``at`` of the buffer of vectors and weights; ``map_`` holds 1/r_c."""
        scale = code.splat(map_, 0)
        x, y, z = (scale * code.load(near, code.at(at, 4, i)) for i in range(3))
        # Beyond the cutoff the weight is 0, and the series is not to overflow.
        u = code.call("minnum", code.fma(x, x, code.fma(y, y, z * z)), 1.0)
        s, c = code.constant(0.0), code.constant(0.0)
        for k, factor in _sine_series(code):
            s, c = code.fma(s, u, factor), code.fma(c, u, factor * (2 * k + 1) / (math.pi / 2))
        return cls((x, y, z), code.load(near, code.at(at, 4, 3)), u, s, c)

    def s_slope(self, code: Code) -> Vector:
        """Return ds/du."""
        slope = code.constant(0.0)
        for k, factor in _sine_series(code)[:-1]:
            slope = code.fma(slope, self.u, k * factor)
        return slope

    def radial(self, code: Code, count: int) -> list[Vector]:
        """Return w c² cos nθ for n < count."""
        values = [self.weight * (self.c * self.c)]
        cos = self.cos(code)
        values.append(cos * values[0])
        for _ in range(2, count):
            values.append(code.fma(2.0 * cos, values[-1], -values[-2]))
        return values[:count]

    def cos(self, code: Code) -> Vector:
        """Return cos θ."""
        return code.fma(-2.0 * self.s, self.s * self.u, 1.0)

    def harmonics(self, code: Code, l_max: int) -> list[Vector]:
        """Solid harmonics of sin θ r̂ by the recurrences of `maladist.descriptors.harmonics`, fused."""
        x, y, z = ((2.0 * self.s * self.c) * component for component in self.x)
        square = code.fma(x, x, code.fma(y, y, z * z))
        table: dict[int, Vector] = {}
        cos_m, sin_m, diagonal = code.constant(1.0), code.constant(0.0), math.sqrt(1 / (4 * math.pi))
        for m in range(l_max + 1):
            if m:
                cos_m, sin_m = code.fma(x, cos_m, -(y * sin_m)), code.fma(x, sin_m, y * cos_m)
                diagonal *= math.sqrt((2 * m + 1) / (2 * m)) * (math.sqrt(2) if m == 1 else 1.0)
            before, legendre = code.constant(0.0), code.constant(diagonal)
            for l in range(m, l_max + 1):  # noqa: E741
                if l > m:
                    a = math.sqrt((4 * l * l - 1) / (l * l - m * m))
                    b = math.sqrt(((l - 1) ** 2 - m * m) / (4 * (l - 1) ** 2 - 1))
                    before, legendre = legendre, code.fma(a * z, legendre, (-a * b) * square * before)
                table[l * l + l + m] = legendre * cos_m
                if m:
                    table[l * l + l - m] = legendre * sin_m
        return [table[i] for i in range((l_max + 1) ** 2)]


@stage
def functions(code: Code, order: int, near: ir.Value, target: ir.Value, map_: ir.Value, _: ir.Value) -> None:
    """Write radial functions and solid harmonics of `NEIGHBOURS` neighbours."""
    radial = decode(order)

    def one(i: ir.Value, _: list[Vector]) -> list[Vector]:
        neighbour = Neighbour.load(code, near, i, map_)
        values = neighbour.radial(code, max(radial)) + neighbour.harmonics(code, len(radial) - 1)
        for place, value in enumerate(values):
            code.store(value, target, code.at(i, functions_size(radial), place))
        return []

    code.loop(NEIGHBOURS, [], one)


@stage
def moments(code: Code, order: int, source: ir.Value, sums: ir.Value, _: ir.Value, __: ir.Value) -> None:
    """Add `NEIGHBOURS` neighbours to the moments."""
    radial, size = decode(order), functions_size(decode(order))
    places = moment_places(tuple(radial))
    for l, some in blocks(radial):  # noqa: E741
        mine = [places[l, m, n] for m in some for n in range(radial[l])]

        def add(i: ir.Value, state: list[Vector], l: int = l, some: list[int] = some) -> list[Vector]:  # noqa: E741
            r = [code.load(source, code.at(i, size, n)) for n in range(radial[l])]
            y = [code.load(source, code.at(i, size, max(radial) + l * l + l + m)) for m in some]
            terms = [(r_n, y_m) for y_m in y for r_n in r]
            return [code.fma(r_n, y_m, before) for before, (r_n, y_m) in zip(state, terms, strict=True)]

        for place, value in zip(mine, code.loop(NEIGHBOURS, [code.load(sums, p) for p in mine], add), strict=True):
            code.store(value, sums, place)


@stage
def products(code: Code, order: int, sums: ir.Value, target: ir.Value, _: ir.Value, __: ir.Value) -> None:
    """Write the features from the moments."""
    radial = decode(order)
    places = moment_places(tuple(radial))
    for n in range(radial[0]):
        code.store(code.load(sums, places[0, 0, n]), target, n)
    for place, (l, n, k) in enumerate(pair_products(radial), radial[0]):  # noqa: E741
        m_n, m_k = ([code.load(sums, places[l, m, i]) for m in range(-l, l + 1)] for i in (n, k))
        code.store(code.dot(m_n, m_k), target, place)
