"""Adjoints of the stages of su2_moments.py, as vector code: from the cotangents of moments to gradients by neighbours.

With dx for the derivative of L = Σ_B c_B B by x, what M_npq = Σ_k w_k E_npq(x_k) gives a neighbour is

    L_k = w_k Λ(a_k, b_k),    Λ = Σ_npq dM_npq·E_npq.

For each p, q the sums Σ_n dM P_k(t) and Σ_n dM P_k′(t) with t = |a|² − |b|² are what a^p b^q and t get
(`contractions`); powers, t and θ0(r) follow (`gradients`). Norms: dM gets
2 κ/(n+1) M f_0 k, k = (j+1) c (`norms_adjoint`).
Cotangents of complex numbers are dRe + i dIm; that of x in z = F(x) is dz · conj F′(x).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from llvmlite import ir

from maladist.descriptors.bispectrum.su2 import components
from maladist.descriptors.bispectrum.su2_moments import (
    NEIGHBOURS,
    Angle,
    Complex,
    jacobi,
    kappa,
    moment_places,
    powers_size,
    sin_cos,
    write_powers,
)
from maladist.descriptors.compiled.vector_code import Code, Vector, stage


def pair_size(twojmax: int) -> int:
    """Vectors of a neighbour: |a|² − |b|² and powers as `powers` leaves them, and then their cotangents."""
    return 2 * powers_size(twojmax)


@stage
def norms_adjoint(code: Code, twojmax: int, moments: ir.Value, target: ir.Value, k: ir.Value, _: ir.Value) -> None:
    """Write the share of B_{j0j} in dM; ``k``: the cotangents by component, the factor j + 1 included."""
    places = moment_places(twojmax)
    of_norm = {j: code.load(k, place) for place, (j, j2, _j) in enumerate(components(twojmax)) if j2 == 0}
    f_0 = code.load(moments, places[0, 0, 0, 0])
    twice = {j: 2.0 * f_0 * x for j, x in of_norm.items()}
    squares: dict[int, Vector] = {}
    for (n, p, q, _part), place in places.items():
        m = code.load(moments, place)
        weighted = kappa(n, p, q) / (n + 1) * (2 if p or q else 1) * m
        squares[n] = code.fma(weighted, m, squares.get(n))
        if n:
            code.store(weighted * twice[n], target, place)
        else:
            by_f_0 = weighted * twice[0]
    by_f_0 = code.dot(list(of_norm.values()), [squares[j] for j in of_norm], by_f_0)
    code.store(by_f_0, target, places[0, 0, 0, 0])


@stage
def fold(code: Code, twojmax: int, dm: ir.Value, _: ir.Value, __: ir.Value, ___: ir.Value) -> None:
    """Replace dM of q and −q, p and q > 0, by sums and differences: `contractions` wants no others."""
    places = moment_places(twojmax)
    for n, p, q, part in places:
        if p and q > 0 and not part:
            keys = [places[n, p, s, part] for s in (q, -q) for part in (0, 1)]
            a0, a1, a2, a3 = (code.load(dm, key) for key in keys)
            for key, x in zip(keys, (a0 + a2, a1 + a3, a2 - a0, a1 - a3), strict=True):
                code.store(x, dm, key)


@dataclass(frozen=True)
class _Neighbour:
    """A neighbour of each lane: unit vector, quaternion, weight, and derivatives by r of its angle and weight.

    sin θ0 comes from half the angle, so that sin θ0/r is right to the last place however small r is.
    """

    direction: tuple[Vector, Vector, Vector]
    cos: Vector
    sin: Vector
    sin_per_length: Vector
    angle_slope: Vector
    weight: Vector
    weight_slope: Vector
    vector: tuple[Vector, Vector, Vector]

    @classmethod
    def load(cls, code: Code, near: ir.Value, at: ir.Value, map_: ir.Value) -> _Neighbour:
        """Neighbour ``at`` of what `neighbours` wrote; ``map_`` as for `powers`, and its remarks on signs."""
        rmin0, scale, rfac0, switch = (code.splat(map_, i) for i in range(4))
        (x, y, z), element, inverse, fraction, turn = Angle.load(code, near, at, (rmin0, scale, rfac0))
        half_sin, half_cos = sin_cos(code, 0.5 * math.pi * turn)
        sin, cos = 2.0 * half_sin * half_cos, 1.0 - 2.0 * half_sin * half_sin
        inside = code.call("maxnum", code.call("minnum", fraction, 1.0), 0.0)
        fade, slope = sin_cos(code, math.pi * (inside - 0.5))  # −cos and sin of π fraction
        return cls(
            (x * inverse, y * inverse, z * inverse),
            cos,
            sin,
            sin * inverse,
            math.pi * rfac0 * scale,
            element * (1.0 - switch * code.fma(0.5, fade, 0.5)),
            -0.5 * math.pi * element * switch * scale * slope,
            (x, y, z),
        )


@stage
def unit_powers(code: Code, twojmax: int, near: ir.Value, target: ir.Value, map_: ir.Value, first: ir.Value) -> None:
    """Write |a|² − |b|², a^p and b^p of `NEIGHBOURS` neighbours, without weights."""

    def one(i: ir.Value, _: list[Vector]) -> list[Vector]:
        k = _Neighbour.load(code, near, code.at(first, 1, i), map_)
        x, y, z = (k.sin_per_length * v for v in k.vector)
        write_powers(code, twojmax, (code.constant(1.0), (k.cos, z), (x, y)), target, code.at(i, pair_size(twojmax)))
        return []

    code.loop(NEIGHBOURS, [], one)


@stage
def contractions(code: Code, twojmax: int, pairs: ir.Value, dm: ir.Value, _: ir.Value, __: ir.Value) -> None:
    """Write the cotangents of |a|² − |b|², a^p and b^q of `NEIGHBOURS` neighbours, and Λ in a place of its own."""
    for p in range(twojmax + 1):

        def one(i: ir.Value, _: list[Vector], p: int = p) -> list[Vector]:
            _contract(code, twojmax, p, (pairs, dm), code.at(i, pair_size(twojmax)))
            return []

        code.loop(NEIGHBOURS, [], one)


def _contract(code: Code, twojmax: int, p: int, buffers: tuple[ir.Value, ir.Value], at: ir.Value) -> None:
    """All q of one p, for the neighbour whose powers start at ``at``; p = 0 sets what the others add to."""
    (pairs, dm), moment, size = buffers, moment_places(twojmax), powers_size(twojmax)

    def load(place: int) -> Vector:
        return code.load(pairs, code.at(at, 1, place))

    def add(x: Vector, place: int) -> None:
        code.store(load(size + place) + x if p else x, pairs, code.at(at, 1, size + place))

    t, a = load(0), ((load(1 + 4 * p), load(2 + 4 * p)) if p else None)
    by_a: list[Vector] = []  # cotangent of a^p
    by_t: list[Vector] = []  # the same with P_k′ in place of P_k
    for q in range(twojmax + 1 - p):
        b = (load(3 + 4 * q), load(4 + 4 * q)) if q else None
        k_max = (twojmax - p - q) // 2
        radial = jacobi(t, q, p, k_max, code.fma)
        # P_k^(α,β)′ = (k + α + β + 1)/2 P_{k−1}^(α+1,β+1), DLMF 18.9.15
        slopes = [0.5 * (k + p + q + 1) * x for k, x in enumerate(jacobi(t, q + 1, p + 1, k_max - 1, code.fma), 1)]
        signs, parts = ((q, -q) if p and q else (q,)), ((0, 1) if p or q else (0,))
        rows = [[code.load(dm, moment[p + q + 2 * k, p, s, i]) for k in range(k_max + 1)] for s in signs for i in parts]
        sums = [code.dot(radial[1:], row[1:], row[0]) for row in rows]
        by_a = _times_b(code, sums, b, by_a)
        if k_max:
            by_t = _times_b(code, [code.dot(slopes, row[1:]) for row in rows], b, by_t)
        if q:
            for part, x in enumerate(sums if a is None else _times_a(code, sums, a)):
                add(x, 3 + 4 * q + part)
    if by_t or not p:
        add(_real(code, by_t, a) if by_t else code.constant(0.0), 0)
    add(_real(code, by_a, a), 1)
    if p:
        for part, x in enumerate(by_a):
            code.store(x, pairs, code.at(at, 1, size + 1 + 4 * p + part))


def _times_b(code: Code, sums: list[Vector], b: Complex | None, before: list[Vector]) -> list[Vector]:
    """Add the cotangent of a^p in one q to that in those before; ``sums`` for p, q > 0 as `fold` orders them."""
    if b is None:
        return sums
    if len(sums) == 2:  # p = 0: a^0 is real
        return [code.fma(sums[0], b[0], code.fma(sums[1], b[1], before[0]))]
    return [
        code.fma(sums[0], b[0], code.fma(sums[3], b[1], before[0])),
        code.fma(sums[1], b[0], code.fma(sums[2], b[1], before[1])),
    ]


def _times_a(code: Code, sums: list[Vector], a: Complex) -> Complex:
    """Cotangent of b^q in one p > 0."""
    return code.fma(sums[0], a[0], sums[1] * a[1]), code.fma(sums[3], a[0], sums[2] * a[1])


def _real(code: Code, c: list[Vector], z: Complex | None) -> Vector:
    """Re c z*; c where z is the number 1."""
    return c[0] if z is None else code.fma(c[0], z[0], c[1] * z[1])


@stage
def gradients(code: Code, twojmax: int, near: ir.Value, pairs: ir.Value, map_: ir.Value, first: ir.Value) -> None:
    """Put the gradient of `NEIGHBOURS` neighbours in the first three places of each; add to the virial behind them."""
    virial = [NEIGHBOURS * pair_size(twojmax) + i for i in range(9)]

    def one(i: ir.Value, state: list[Vector]) -> list[Vector]:
        def load(place: int) -> Vector:
            return code.load(pairs, code.at(i, pair_size(twojmax), place))

        k = _Neighbour.load(code, near, code.at(first, 1, i), map_)
        by_a, by_b = (_by_base(code, twojmax, load, place) for place in (1, 3))
        twice_t = 2.0 * load(powers_size(twojmax))
        x, y, z = (k.sin_per_length * v for v in k.vector)
        by_cos, by_z = code.fma(twice_t, k.cos, by_a[0]), code.fma(twice_t, z, by_a[1])
        by_x, by_y = code.fma(-twice_t, x, by_b[0]), code.fma(-twice_t, y, by_b[1])
        by_vector = (by_x, by_y, by_z)
        radial = code.dot(k.direction, by_vector)
        # Along r̂ by θ0 and by the weight; across it by the length of sin θ0 r̂, which is sin θ0.
        by_angle = k.angle_slope * code.fma(k.cos, radial, -(k.sin * by_cos))
        along = code.fma(k.weight_slope, load(powers_size(twojmax) + 1), k.weight * by_angle)
        across = k.weight * k.sin_per_length
        along = code.fma(-across, radial, along)
        g = [code.fma(across, v, along * u) for u, v in zip(k.direction, by_vector, strict=True)]
        for axis, component in enumerate(g):
            code.store(component, pairs, code.at(i, pair_size(twojmax), axis))
        return [code.fma(g[a], k.vector[b], state[3 * a + b]) for a in range(3) for b in range(3)]

    sums = code.loop(NEIGHBOURS, [code.load(pairs, place) for place in virial], one)
    for place, x in zip(virial, sums, strict=True):
        code.store(x, pairs, place)


def _by_base(code: Code, twojmax: int, load: Callable[[int], Vector], place: int) -> Complex:
    """Cotangent of a (place 1) or b (place 3) from those of its powers: Σ_p p c_p conj a^(p−1)."""
    if not twojmax:
        return code.constant(0.0), code.constant(0.0)
    real, imaginary = (load(powers_size(twojmax) + place + 4 + part) for part in (0, 1))
    for p in range(2, twojmax + 1):
        c = [float(p) * load(powers_size(twojmax) + place + 4 * p + part) for part in (0, 1)]
        z = [load(place + 4 * (p - 1) + part) for part in (0, 1)]
        real = code.fma(c[0], z[0], code.fma(c[1], z[1], real))
        imaginary = code.fma(c[1], z[0], code.fma(-c[0], z[1], imaginary))
    return real, imaginary
