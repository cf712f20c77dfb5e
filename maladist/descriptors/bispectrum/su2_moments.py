"""First half of the bispectrum on a CPU: moments of the neighbours on SU(2), as vector code in which a lane is a point.

A neighbour, the quaternion (cos θ0, sin θ0 r̂) of su2.py, is written as two complex numbers

    a = cos θ0 + i sin θ0 ẑ,    b = sin θ0 (x̂ + i ŷ),    |a|² + |b|² = 1.

In these the matrix elements of SU(2) are products. For integers p, q with |p| + |q| ≤ n and n − p − q even,

    E_npq = a^p b^q P_k^(|q|,|p|)(|a|² − |b|²),    k = (n − |p| − |q|)/2,    a^(−p) meaning the conjugate of a^p,

P the Jacobi polynomials; ∫ |E_npq|² dg = 1/((n+1) κ_npq) with κ = k! (n−k)! / ((k+|p|)! (k+|q|)!). The moments, (n+1)²
real numbers for each n since (−p, −q) is the conjugate of (p, q), and the expansion of the neighbours' density are

    M_npq  = Σ_k w_k E_npq(x_k)                                                         `powers`, `moments`
    f_n(g) = Σ_k w_k U_n(⟨x_k, g⟩) = Σ_pq κ_npq E_npq(g) conj M_npq                     su2_nodes.py
    B_{j 0 j} = (j+1) f_0 ∫ f_j² dg = f_0 Σ_pq κ_jpq |M_jpq|²                           `norms`

The basis is that of su2.py's Y_nlm up to a rotation among equal n; this one makes f_n on the nodes a separable sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from maladist.arrays import Array
from maladist.descriptors.bispectrum.su2 import components
from maladist.descriptors.compiled.vector_code import Code, Vector, stage

Complex = tuple[Vector, Vector]

NEIGHBOURS = 8
"""Neighbours that `powers` and `moments` take at a time: what they share stays in the L1 cache."""


def powers_size(twojmax: int) -> int:
    """Vectors for each neighbour between `powers` and `moments`."""
    return 1 + 4 * (twojmax + 1)


@lru_cache(maxsize=32)
def moment_places(twojmax: int) -> dict[tuple[int, int, int, int], int]:
    """Places of M_npq, p ≥ 0 (and q ≥ 0 if p = 0), in its buffer: by (n, p, q, part), part 0 real, 1 imaginary."""
    keys = [
        (p + size + 2 * k, p, q, part)
        for p in range(twojmax + 1)
        for size in range(twojmax + 1 - p)
        for k in range((twojmax - p - size) // 2 + 1)
        for q in ((size, -size) if p and size else (size,))
        for part in ((0, 1) if p or size else (0,))
    ]
    return {key: place for place, key in enumerate(keys)}


def self_moments(twojmax: int) -> Array:
    """Moments of the point itself, a = 1 and b = 0, by place."""
    values = np.zeros(len(moment_places(twojmax)))
    values[[place for (_, _, q, part), place in moment_places(twojmax).items() if q == 0 and part == 0]] = 1.0
    return values


def kappa(n: int, p: int, q: int) -> float:
    """κ_npq of the module's docstring."""
    k = (n - abs(p) - abs(q)) // 2
    return math.factorial(k) * math.factorial(n - k) / (math.factorial(k + abs(p)) * math.factorial(k + abs(q)))


def jacobi(t: Any, alpha: int, beta: int, k_max: int, fma: Any = lambda a, b, c: a * b + c) -> list[Any]:
    """Jacobi polynomials P_k^(α,β)(t), k ≤ k_max, by their recurrence (DLMF 18.9.2); the first is the number 1."""
    values: list[Any] = [1.0, fma(0.5 * (alpha + beta + 2), t, 0.5 * (alpha - beta))]
    for k in range(1, k_max):
        s = 2 * k + alpha + beta
        scale = 2 * (k + 1) * (k + alpha + beta + 1) * s
        slope, shift = s * (s + 1) * (s + 2) / scale, (s + 1) * (alpha**2 - beta**2) / scale
        behind = -2 * (k + alpha) * (k + beta) * (s + 2) / scale
        values.append(fma(fma(slope, t, shift), values[-1], behind * values[-2]))
    return values[: k_max + 1]


def sin_cos(code: Code, t: Vector) -> tuple[Vector, Vector]:
    """Return sin t and cos t for |t| ≤ π/2: Taylor series, to the last place."""
    terms = 7 if code.itemsize == 4 else 11
    square, sin, cos = t * t, code.constant(0.0), code.constant(0.0)
    for k in reversed(range(terms)):
        sign = (-1) ** k
        sin, cos = (
            code.fma(sin, square, sign / math.factorial(2 * k + 1)),
            code.fma(cos, square, sign / math.factorial(2 * k)),
        )
    return sin * t, cos


class Angle(NamedTuple):
    """A neighbour's vector and element weight, 1/r, the share of the range that r is at, and θ0/π."""

    vector: tuple[Vector, Vector, Vector]
    element: Vector
    inverse: Vector
    fraction: Vector
    turn: Vector

    @classmethod
    def load(cls, code: Code, near: ir.Value, at: ir.Value, map_: tuple[Vector, Vector, Vector]) -> Angle:
        """Neighbour ``at`` of what `neighbours` wrote; ``map_`` is rmin0, 1/(r_c − rmin0) and rfac0. r is never 0."""
        rmin0, scale, rfac0 = map_
        x, y, z, element = (code.load(near, code.at(at, 4, i)) for i in range(4))
        square = code.fma(x, x, code.fma(y, y, z * z))
        inverse = 1.0 / code.call("sqrt", square)
        fraction = (square * inverse - rmin0) * scale
        turn = rfac0 * fraction
        turn = turn - code.call("floor", turn * (1 - 2.0**-20))  # keeps a rounded r = r_c at θ0 = π
        return cls((x, y, z), element, inverse, fraction, turn)


def _quaternion(code: Code, near: ir.Value, at: ir.Value, map_: ir.Value) -> tuple[Vector, Complex, Complex]:
    """Weight, a and b of a neighbour from its vector and element weight.

    ``map_`` holds rmin0, 1/(r_c − rmin0), rfac0 and switch. The sign is that of sin θ0, as in LAMMPS, so the quaternion
    has the period π in θ0. r is never 0.
    """
    rmin0, scale, rfac0, switch = (code.splat(map_, i) for i in range(4))
    (x, y, z), weight, inverse, fraction, turn = Angle.load(code, near, at, (rmin0, scale, rfac0))
    sin, cos = sin_cos(code, math.pi * (turn - 0.5))  # of θ0 − π/2: −cos θ0 and sin θ0
    per_length = cos * inverse
    inside = code.call("maxnum", code.call("minnum", fraction, 1.0), 0.0)
    fade, _ = sin_cos(code, math.pi * (inside - 0.5))  # −cos(π fraction)
    weight = weight * (1.0 - switch * code.fma(0.5, fade, 0.5))
    return weight, (-sin, per_length * z), (per_length * x, per_length * y)


def _times(code: Code, c: Complex, d: Complex) -> Complex:
    return code.fma(c[0], d[0], -(c[1] * d[1])), code.fma(c[0], d[1], c[1] * d[0])


@stage
def powers(code: Code, twojmax: int, near: ir.Value, target: ir.Value, map_: ir.Value, first: ir.Value) -> None:
    """Write |a|² − |b|² and, for each p, w a^p and b^p of `NEIGHBOURS` neighbours."""

    def one(i: ir.Value, _: list[Vector]) -> list[Vector]:
        neighbour = _quaternion(code, near, code.at(first, 1, i), map_)
        write_powers(code, twojmax, neighbour, target, code.at(i, powers_size(twojmax)))
        return []

    code.loop(NEIGHBOURS, [], one)


def write_powers(
    code: Code, twojmax: int, neighbour: tuple[Vector, Complex, Complex], target: ir.Value, first: ir.Value
) -> None:
    """Write the `powers_size` numbers of a neighbour, its weight, a and b given, from place ``first`` on."""
    weight, a, b = neighbour

    def put(x: Vector, place: int) -> None:
        code.store(x, target, code.at(first, 1, place))

    put(code.fma(a[0], a[0], a[1] * a[1]) - code.fma(b[0], b[0], b[1] * b[1]), 0)
    put(weight, 1)
    a_p, b_p = (weight * a[0], weight * a[1]), b
    for p in range(1, twojmax + 1):
        for part in (0, 1):
            put(a_p[part], 1 + 4 * p + part)
            put(b_p[part], 3 + 4 * p + part)
        a_p, b_p = _times(code, a_p, a), _times(code, b_p, b)


def _angular(code: Code, p: int, q: int, get: Callable[[int], Vector]) -> list[Vector]:
    """Return w a^p b^q and, if it is another, w a^p b^−q: real and imaginary parts."""
    if not q:
        return [get(1 + 4 * p), get(2 + 4 * p)] if p else [get(1)]
    if not p:
        return [get(1) * get(3 + 4 * q), get(1) * get(4 + 4 * q)]
    a, b = (get(1 + 4 * p), get(2 + 4 * p)), (get(3 + 4 * q), get(4 + 4 * q))
    real, imaginary = a[0] * b[0], a[0] * b[1]
    return [
        code.fma(-a[1], b[1], real),
        code.fma(a[1], b[0], imaginary),
        code.fma(a[1], b[1], real),
        code.fma(a[1], b[0], -imaginary),
    ]


@stage
def moments(code: Code, twojmax: int, source: ir.Value, sums: ir.Value, _: ir.Value, __: ir.Value) -> None:
    """Add `NEIGHBOURS` neighbours to the moments; those of one (p, q) stay in registers meanwhile."""
    places = moment_places(twojmax)
    for p in range(twojmax + 1):
        for q in range(twojmax + 1 - p):
            degrees = range(p + q, twojmax + 1, 2)
            signs = (q, -q) if p and q else (q,)
            keys = [(n, p, s, part) for n in degrees for s in signs for part in ((0, 1) if p or q else (0,))]

            def add(i: ir.Value, state: list[Vector], p: int = p, q: int = q, n_k: int = len(degrees)) -> list[Vector]:
                def get(place: int) -> Vector:
                    return code.load(source, code.at(i, powers_size(twojmax), place))

                radial, angular = jacobi(get(0), q, p, n_k - 1, code.fma), _angular(code, p, q, get)
                terms = [(r, e) for r in radial for e in angular]
                return [s + e if r == 1.0 else code.fma(r, e, s) for s, (r, e) in zip(state, terms, strict=True)]

            state = code.loop(NEIGHBOURS, [code.load(sums, places[key]) for key in keys], add)
            for key, x in zip(keys, state, strict=True):
                code.store(x, sums, places[key])


@stage
def norms(code: Code, twojmax: int, source: ir.Value, target: ir.Value, _: ir.Value, __: ir.Value) -> None:
    """B_{j0j}/(j + 1), written to the components' places."""
    squares: dict[int, Vector] = {}
    for (n, p, q, _part), place in moment_places(twojmax).items():
        m = code.load(source, place)
        factor = kappa(n, p, q) / (n + 1) * (2 if p or q else 1)  # (−p, −q) has the same square
        squares[n] = code.fma(factor * m, m, squares.get(n))
    f_0 = code.load(source, moment_places(twojmax)[0, 0, 0, 0])
    for place, (j, j2, _j) in enumerate(components(twojmax)):
        if j2 == 0:
            code.store(f_0 * squares[j], target, place)
