"""What the torch kernel computes of pairs and of nodes, each in one pass over the memory of a GPU; formulas in su2.py.

By torch's own operations every step of a recurrence, and every product of two functions, is an array of its own that is
written and read again; a GPU then waits for its memory. Triton (which torch for CUDA brings along) makes a kernel of
what belongs together: the radial and angular functions of a pair, the three-fold products of a point. The functions
here have the derivatives that forces need. On a CPU Triton's interpreter runs them, for tests.

The recurrences are those of `maladist.descriptors.harmonics`; Triton unrolls its loops over `static_range` when a
kernel is compiled, once for each twojmax and precision.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import torch
import triton
import triton.language as tl
from torch.autograd.function import FunctionCtx, once_differentiable

from maladist.descriptors.bispectrum.su2 import radial_norm

_PAIRS: int = 128  # that one program takes


def pair_functions(
    cos: torch.Tensor, x: torch.Tensor, y: torch.Tensor, z: torch.Tensor, weights: torch.Tensor, twojmax: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Radial and angular functions of pairs.

    Parameters
    ----------
    cos, x, y, z, weights
        cos θ0, sin θ0 r̂ and weight of each pair, (n_points, n_atoms), float32 or float64.
    twojmax
        Highest order.

    Returns
    -------
    tuple
        w N_nl C_{n−l}^{(l+1)}(cos θ0), l before n, (n_points, (twojmax+1)(twojmax+2)/2, n_atoms), and the solid
        harmonics at index l² + l + m, (n_points, (twojmax+1)², n_atoms). Differentiable once.
    """
    values: tuple[torch.Tensor, torch.Tensor] = _PairFunctions.apply(cos, x, y, z, weights, twojmax)
    return values


def triple_products(f: torch.Tensor, weights: torch.Tensor, count: int) -> torch.Tensor:
    """B_{j1 j2 j} = (j+1) Σ_g weight f_j1 f_j2 f_j, (n_points, count), from f (n_points, twojmax + 1, n_nodes).

    In the order of `su2.components`; differentiable once, by f.
    """
    products: torch.Tensor = _TripleProducts.apply(f, weights, count)
    return products


class _Kept(FunctionCtx):
    """What a forward pass leaves to the backward one."""

    saved_tensors: tuple[torch.Tensor, ...]
    twojmax: int


class _PairFunctions(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Kept, *given: Any) -> tuple[torch.Tensor, torch.Tensor]:
        *inputs, twojmax = given
        inputs = [t.contiguous() for t in inputs]
        ctx.save_for_backward(*inputs)
        ctx.twojmax, n = twojmax, twojmax + 1
        points, atoms = inputs[0].shape
        radial = inputs[0].new_empty(points, n * (n + 1) // 2, atoms)
        angular = inputs[0].new_empty(points, n * n, atoms)
        constants = _coefficients(twojmax, radial.device, radial.dtype)
        count = points * atoms
        _functions[(triton.cdiv(count, _PAIRS),)](*inputs, radial, angular, *constants, count, atoms, n, _PAIRS)
        return radial, angular

    @staticmethod
    @once_differentiable
    def backward(ctx: _Kept, radial: torch.Tensor, angular: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        inputs = ctx.saved_tensors
        gradients = [torch.empty_like(t) for t in inputs]
        constants = _coefficients(ctx.twojmax, radial.device, radial.dtype)
        count, atoms = inputs[0].numel(), inputs[0].shape[1]
        cotangents = (radial.contiguous(), angular.contiguous())
        grid = (triton.cdiv(count, _PAIRS),)
        _pull_functions[grid](*inputs, *cotangents, *gradients, *constants, count, atoms, ctx.twojmax + 1, _PAIRS)
        return (*gradients, None)


class _TripleProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Kept, f: torch.Tensor, weights: torch.Tensor, count: int) -> torch.Tensor:
        ctx.save_for_backward(f, weights)
        points, n, nodes = f.shape
        out = f.new_empty(points, count)
        _products[(points,)](f, weights, out, n, nodes, count, triton.next_power_of_2(nodes))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: _Kept, cotangent: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        f, weights = ctx.saved_tensors
        points, n, nodes = f.shape
        gradient, c = torch.empty_like(f), cotangent.contiguous()
        block = min(512, triton.next_power_of_2(nodes))
        grid = (points, triton.cdiv(nodes, block))
        _pull_products[grid](f, weights, c, gradient, n, nodes, c.shape[1], block)
        return gradient, None, None


@lru_cache(maxsize=8)
def _coefficients(twojmax: int, device: torch.device, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Factors of the recurrence of the harmonics, in the order of its steps, and the norms of the radial functions."""
    steps, diagonal = [], math.sqrt(1 / (4 * math.pi))
    for m in range(twojmax + 1):
        if m > 0:
            diagonal *= math.sqrt((2 * m + 1) / (2 * m)) * (math.sqrt(2) if m == 1 else 1.0)
        steps.append(diagonal)
        for l in range(m + 1, twojmax + 1):  # noqa: E741
            steps.append(math.sqrt((4 * l * l - 1) / (l * l - m * m)))
            steps.append(math.sqrt(((l - 1) ** 2 - m * m) / (4 * (l - 1) ** 2 - 1)))
    norms = [radial_norm(n, l) for l in range(twojmax + 1) for n in range(l, twojmax + 1)]  # noqa: E741
    return torch.tensor(steps, dtype=dtype, device=device), torch.tensor(norms, dtype=dtype, device=device)


@triton.jit
def _functions(  # type: ignore[no-untyped-def]
    cos, x, y, z, weights, radial, angular, steps, norms, count, atoms, N: tl.constexpr, BLOCK: tl.constexpr
):
    """Functions of a block of pairs; those of a point lie together, each of them with all its atoms."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = i < count
    point, atom = i // atoms, i % atoms
    x, y, z = (tl.load(x + i, inside, 0.0), tl.load(y + i, inside, 0.0), tl.load(z + i, inside, 0.0))
    r2 = x * x + y * y + z * z
    to = angular + point * (N * N) * atoms + atom
    cos_m, sin_m, step = 1.0 + 0.0 * x, 0.0 * x, steps
    for m in tl.static_range(N):
        if m > 0:
            cos_m, sin_m = x * cos_m - y * sin_m, x * sin_m + y * cos_m
        before, legendre = 0.0 * z, tl.load(step) + 0.0 * z
        step += 1
        for l in tl.static_range(m, N):  # noqa: E741
            if l > m:
                before, legendre = legendre, tl.load(step) * (z * legendre - tl.load(step + 1) * r2 * before)
                step += 2
            tl.store(to + (l * l + l + m) * atoms, legendre * cos_m, inside)
            if m > 0:
                tl.store(to + (l * l + l - m) * atoms, legendre * sin_m, inside)
    t, weight = tl.load(cos + i, inside, 0.0), tl.load(weights + i, inside, 0.0)
    to = radial + point * (N * (N + 1) // 2) * atoms + atom
    for l in tl.static_range(N):  # noqa: E741
        before, gegenbauer = 0.0 * t, weight
        for k in tl.static_range(N - l):
            if k > 0:
                before, gegenbauer = (
                    gegenbauer,
                    (2.0 * (k + l) / k) * t * gegenbauer - ((k + 2.0 * l) / k) * before,
                )
            tl.store(to, gegenbauer * tl.load(norms), inside)
            to += atoms
            norms += 1


@triton.jit
def _pull_functions(  # type: ignore[no-untyped-def]
    cos, x, y, z, weights, radial, angular, by_cos, by_x, by_y, by_z, by_weights, steps, norms, count, atoms,
    N: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Cotangents of the functions of a block of pairs, back to what they are functions of.

    Of Y = P(z, r²) (cos_m or sin_m) the derivatives of P go along with its recurrence, and those of (x + iy)^m are
    m (x + iy)^(m−1).
    """
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = i < count
    point, atom = i // atoms, i % atoms
    x, y, z = (tl.load(x + i, inside, 0.0), tl.load(y + i, inside, 0.0), tl.load(z + i, inside, 0.0))
    r2 = x * x + y * y + z * z
    of = angular + point * (N * N) * atoms + atom
    g_x, g_y, g_z, g_r2 = 0.0 * x, 0.0 * x, 0.0 * x, 0.0 * x
    cos_m, sin_m, step = 1.0 + 0.0 * x, 0.0 * x, steps
    cos_before, sin_before = 0.0 * x, 0.0 * x
    for m in tl.static_range(N):
        if m > 0:
            cos_before, sin_before = cos_m, sin_m
            cos_m, sin_m = x * cos_before - y * sin_before, x * sin_before + y * cos_before
        before, legendre = 0.0 * z, tl.load(step) + 0.0 * z
        before_z, legendre_z, before_r2, legendre_r2 = 0.0 * z, 0.0 * z, 0.0 * z, 0.0 * z
        step += 1
        g_cos, g_sin = 0.0 * x, 0.0 * x
        for l in tl.static_range(m, N):  # noqa: E741
            if l > m:
                a, b = tl.load(step), tl.load(step + 1)
                step += 2
                new_z = a * (legendre + z * legendre_z - b * r2 * before_z)
                new_r2 = a * (z * legendre_r2 - b * (before + r2 * before_r2))
                before, legendre = legendre, a * (z * legendre - b * r2 * before)
                before_z, legendre_z, before_r2, legendre_r2 = legendre_z, new_z, legendre_r2, new_r2
            c = tl.load(of + (l * l + l + m) * atoms, inside, 0.0)
            g_cos += c * legendre
            along = c * cos_m
            if m > 0:
                s = tl.load(of + (l * l + l - m) * atoms, inside, 0.0)
                g_sin += s * legendre
                along += s * sin_m
            g_z += along * legendre_z
            g_r2 += along * legendre_r2
        g_x += m * (g_cos * cos_before + g_sin * sin_before)
        g_y += m * (g_sin * cos_before - g_cos * sin_before)
    tl.store(by_x + i, g_x + 2 * x * g_r2, inside)
    tl.store(by_y + i, g_y + 2 * y * g_r2, inside)
    tl.store(by_z + i, g_z + 2 * z * g_r2, inside)
    t, weight = tl.load(cos + i, inside, 0.0), tl.load(weights + i, inside, 0.0)
    of = radial + point * (N * (N + 1) // 2) * atoms + atom
    g_t, g_weight = 0.0 * t, 0.0 * t
    for l in tl.static_range(N):  # noqa: E741
        before, gegenbauer, before_t, gegenbauer_t = 0.0 * t, 1.0 + 0.0 * t, 0.0 * t, 0.0 * t
        for k in tl.static_range(N - l):
            if k > 0:
                new_t = (2.0 * (k + l) / k) * (gegenbauer + t * gegenbauer_t) - ((k + 2.0 * l) / k) * before_t
                before, gegenbauer = (
                    gegenbauer,
                    (2.0 * (k + l) / k) * t * gegenbauer - ((k + 2.0 * l) / k) * before,
                )
                before_t, gegenbauer_t = gegenbauer_t, new_t
            c = tl.load(of, inside, 0.0) * tl.load(norms)
            g_t += c * gegenbauer_t
            g_weight += c * gegenbauer
            of += atoms
            norms += 1
    tl.store(by_cos + i, g_t * weight, inside)
    tl.store(by_weights + i, g_weight, inside)


@triton.jit
def _products(  # type: ignore[no-untyped-def]
    f, weights, out, N: tl.constexpr, NODES: tl.constexpr, COUNT: tl.constexpr, BLOCK: tl.constexpr
):
    """All products of a point: its f_n are read again and again, from the cache next to the units."""
    point = tl.program_id(0).to(tl.int64)
    node = tl.arange(0, BLOCK)
    inside = node < NODES
    f += point * N * NODES + node
    out += point * COUNT
    weight = tl.load(weights + node, inside, 0.0)
    for j1 in tl.static_range(N):
        one = weight * tl.load(f + j1 * NODES, inside, 0.0)
        for j2 in tl.static_range(j1 + 1):
            two = one * tl.load(f + j2 * NODES, inside, 0.0)
            for j in tl.static_range(j1, N):
                if (j1 + j2 + j) % 2 == 0 and j <= j1 + j2:
                    three = two * tl.load(f + j * NODES, inside, 0.0)
                    tl.store(out, (j + 1) * tl.sum(three, axis=0))
                    out += 1


@triton.jit
def _pull_products(  # type: ignore[no-untyped-def]
    f, weights, cotangent, gradient, N: tl.constexpr, NODES: tl.constexpr, COUNT: tl.constexpr, BLOCK: tl.constexpr
):
    """Derivatives of Σ c B of a point by each of its f_n, on a block of nodes."""
    point = tl.program_id(0).to(tl.int64)
    node = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = node < NODES
    f += point * N * NODES + node
    gradient += point * N * NODES + node
    weight = tl.load(weights + node, inside, 0.0)
    for n in tl.static_range(N):
        total = 0.0 * weight
        c = cotangent + point * COUNT
        for j1 in tl.static_range(N):
            for j2 in tl.static_range(j1 + 1):
                for j in tl.static_range(j1, N):
                    if (j1 + j2 + j) % 2 == 0 and j <= j1 + j2:
                        scale = (j + 1) * tl.load(c)
                        c += 1
                        if n == j1:
                            a, b = tl.load(f + j2 * NODES, inside, 0.0), tl.load(f + j * NODES, inside, 0.0)
                            total += scale * a * b
                        if n == j2:
                            a, b = tl.load(f + j1 * NODES, inside, 0.0), tl.load(f + j * NODES, inside, 0.0)
                            total += scale * a * b
                        if n == j:
                            a, b = tl.load(f + j1 * NODES, inside, 0.0), tl.load(f + j2 * NODES, inside, 0.0)
                            total += scale * a * b
        tl.store(gradient + n * NODES, weight * total, inside)
