"""Real solid harmonics and Gegenbauer polynomials, by recurrences that are nothing but sums and products.

They take numpy arrays and torch tensors alike: the tables of a quadrature are made with the one, neighbours with the
other (on any device, differentiable). Convention: orthonormal on the sphere, real, no Condon-Shortley phase, Y_lm at
index l² + l + m; m > 0 goes with cos(mφ), m < 0 with sin(|m|φ).
"""

from __future__ import annotations

import math
from typing import TypeVar

import torch

from maladist.arrays import Floats

T = TypeVar("T", Floats, torch.Tensor)


def solid_harmonics(x: T, y: T, z: T, l_max: int) -> list[T]:
    """Real solid harmonics r^l Y_lm(r̂) for l ≤ l_max: polynomials, smooth at the origin.

    Parameters
    ----------
    x, y, z
        Cartesian components, of one shape; those of a unit vector give Y_lm itself.
    l_max
        Highest degree.

    Returns
    -------
    list
        The harmonics, (l_max + 1)² arrays of that shape, at index l² + l + m.
    """
    r2 = x * x + y * y + z * z
    table: list[T | None] = [None] * (l_max + 1) ** 2
    cos_m, sin_m = 1.0 + 0.0 * x, 0.0 * x  # r^m sin^m(θ) cos(mφ) and sin(mφ)
    diagonal = math.sqrt(1 / (4 * math.pi))
    for m in range(l_max + 1):
        if m > 0:
            cos_m, sin_m = x * cos_m - y * sin_m, x * sin_m + y * cos_m
            # The norm of Y_mm; √2 once, since real harmonics share what the complex ones of ±m have.
            diagonal *= math.sqrt((2 * m + 1) / (2 * m)) * (math.sqrt(2) if m == 1 else 1.0)
        before, legendre = 0.0 * z, diagonal + 0.0 * z
        for l in range(m, l_max + 1):  # noqa: E741  (the degree's name everywhere)
            if l > m:
                a = math.sqrt((4 * l * l - 1) / (l * l - m * m))
                b = math.sqrt(((l - 1) ** 2 - m * m) / (4 * (l - 1) ** 2 - 1))
                before, legendre = legendre, a * (z * legendre - b * r2 * before)
            table[l * l + l + m] = legendre * cos_m
            if m > 0:
                table[l * l + l - m] = legendre * sin_m
    return [t for t in table if t is not None]


def solid_gradient(l: int, m: int) -> tuple[list[tuple[float, int]], ...]:  # noqa: E741
    """Derivatives of the solid harmonic r^l Y_lm by x, y and z, which are sums of those of degree l − 1.

    Returns
    -------
    tuple
        For x, y and z the terms (factor, m′), each a factor of r^(l−1) Y_(l−1)m′. From those of the complex harmonics,
        (∂_x ∓ i∂_y) r^l Y_lm ∝ r^(l−1) Y_(l−1)(m∓1) and ∂_z r^l Y_lm ∝ r^(l−1) Y_(l−1)m.
    """
    k, ratio = abs(m), (2 * l + 1) / (2 * l - 1) if l else 0.0
    # The root of 2 is that of the norm, which m = 0 has not.
    down = 0.5 * math.sqrt(ratio * (l + k) * (l + k - 1)) * (math.sqrt(2) if k == 1 else 1.0)
    up = 0.5 * math.sqrt(ratio * (l - k) * (l - k - 1))
    along_z = [(math.sqrt(ratio * (l * l - k * k)), m)]
    down_sin = down if k > 1 else 0.0  # Y_l0 has no partner that goes with the sine
    if m == 0:
        x, y = [(-math.sqrt(2) * up, 1)], [(-math.sqrt(2) * up, -1)]
    elif m > 0:
        x, y = [(down, k - 1), (-up, k + 1)], [(-down_sin, 1 - k), (-up, -k - 1)]
    else:
        x, y = [(down_sin, 1 - k), (-up, -k - 1)], [(down, k - 1), (up, k + 1)]
    return tuple([(factor, at) for factor, at in terms if factor] for terms in (x, y, along_z))


def gegenbauer(t: T, alpha: int, k_max: int) -> list[T]:
    """Gegenbauer polynomials C_k^(α)(t) for k ≤ k_max (α = 1: Chebyshev polynomials of the second kind).

    Parameters
    ----------
    t
        Argument, any shape.
    alpha
        Order, ≥ 1.
    k_max
        Highest degree, ≥ 0.

    Returns
    -------
    list
        The polynomials, k_max + 1 arrays of the shape of t.
    """
    values = [1.0 + 0.0 * t, 2.0 * alpha * t]
    for k in range(2, k_max + 1):
        values.append((2 * (k + alpha - 1) / k) * t * values[-1] - ((k + 2 * alpha - 2) / k) * values[-2])
    return values[: k_max + 1]
