"""The bispectrum as moments, matrix products and a three-fold product over the nodes; formulas in su2.py.

Any device, float32 or float64, differentiable by autograd. On a CUDA device the functions of pairs and the three-fold
products are Triton's kernels, where it is installed (`triton_kernels`); elsewhere they are torch's own operations.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from maladist.descriptors.bispectrum.spec import BispectrumSpec
from maladist.descriptors.bispectrum.su2 import radial_polynomials, tables
from maladist.descriptors.harmonics import solid_harmonics
from maladist.descriptors.moments import Pairs, map_batches, memory_budget, moments, pairs
from maladist.descriptors.spec import Request, weights_by_atom

_CPU_TILE = 2 * 2**20
"""Bytes of f_n at a time on a CPU: the three-fold product reads them (twojmax + 1) times, from the L2 cache."""


def bispectrum_torch(request: Request, spec: BispectrumSpec) -> torch.Tensor:
    """Linear components of the bispectrum, (n_points, n_linear)."""
    constants = Constants.of(spec.twojmax, request.device, request.dtype)
    fused = has_fused(request.device)
    tile, cost = _tile_and_cost(request, spec.twojmax + 1, len(constants.weights), fused)

    def kernel(points: torch.Tensor, positions: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        near = pairs(points, positions, weights, spec.cutoff)
        m_n = hyperspherical_moments(near, spec, request.dtype, fused)
        tiles = zip(*(m.split(tile) for m in m_n), strict=True)
        return torch.cat([triple_products(expand(part, constants), constants, fused) for part in tiles])

    return map_batches(request, weights_by_atom(request.numbers, spec.weights), spec.cutoff, cost, kernel)


def has_fused(device: torch.device) -> bool:
    """Whether Triton's kernels run on a device."""
    return device.type == "cuda" and torch.cuda.is_available() and importlib.util.find_spec("triton") is not None


def _tile_and_cost(request: Request, n: int, n_nodes: int, fused: bool) -> tuple[int, Callable[[int], int]]:
    """Points whose f_n are on the nodes at one time, and the bytes that a point takes in a batch, by its pairs.

    Counted in numbers of the request's dtype: radial and angular functions of a pair twice (once as they are made, once
    stacked), f_n and two sets of products of a point. A gradient keeps all that the recurrences and products went
    through, and then as much again for itself; where they are fused, their results only.
    """
    size, on_cpu = request.dtype.itemsize, request.device.type == "cpu"
    functions = size * (n * (n + 1) // 2 + n * n)
    per_pair, per_point = 12 * 8 + 2 * functions, 3 * n * n_nodes * size
    # Fewer points on the nodes at a time than in a batch: f_n there take far more memory than descriptors.
    tile = max(1, (3 * _CPU_TILE if on_cpu else memory_budget(request.device)) // per_point)
    if fused:
        per_pair, per_point = 24 * 8 + 2 * functions, 4 * n * n_nodes * size
    elif request.wants_gradient:
        per_pair, per_point = 4 * per_pair, (n * (n + 1) // 2 + 6 * n) * n_nodes * size
    elif on_cpu:
        per_point = 0  # a tile's; small
    return tile, lambda n_atoms: n_atoms * per_pair + per_point


@dataclass(frozen=True, eq=False)
class Constants:
    """`su2.Tables` on a device, and where the three-fold products of `triple_products` go."""

    harmonics: list[torch.Tensor]
    self_term: torch.Tensor
    weights: torch.Tensor
    places: torch.Tensor
    factors: torch.Tensor

    @classmethod
    def of(cls, twojmax: int, device: torch.device, dtype: torch.dtype) -> Constants:
        """Constants for a twojmax."""
        t = tables(twojmax, str(dtype).removeprefix("torch."))
        # The products of a j1 are a table (j2 ≤ j1, j ≥ j1), and the tables lie one after the other.
        before = [sum((i + 1) * (twojmax + 1 - i) for i in range(j1)) for j1 in range(twojmax + 1)]
        places = [before[j1] + j2 * (twojmax + 1 - j1) + j - j1 for j1, j2, j in t.components]
        factors = [j + 1 for *_, j in t.components]
        return cls(
            [torch.tensor(h).to(device) for h in t.harmonics],
            torch.tensor(t.self_term).to(device),
            torch.tensor(t.weights).to(device),
            torch.tensor(places).to(device),
            torch.tensor(factors, dtype=dtype).to(device),
        )


def quaternions(near: Pairs, spec: BispectrumSpec) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Quaternion of each pair, (cos θ0) and (sin θ0 r̂), and its weight w_k, all float64."""
    r = near.distances
    fraction = (r - spec.rmin0) / (spec.cutoff - spec.rmin0)
    angle = spec.rfac0 * math.pi * fraction
    sign = torch.where(angle < 0, -1.0, 1.0) if spec.rmin0 > 0 else 1.0
    weights = near.weights
    if spec.switch:
        weights = weights * 0.5 * (torch.cos(math.pi * fraction.clamp(0.0, 1.0)) + 1)
    return sign * torch.cos(angle), (sign * torch.sin(angle) / r)[..., None] * near.vectors, weights


def hyperspherical_moments(
    near: Pairs, spec: BispectrumSpec, dtype: torch.dtype, fused: bool = False
) -> list[torch.Tensor]:
    """M_nlm = Σ_k w_k Y_nlm(x_k): for each n a tensor (n_points, (n+1)²) at index l² + l + m.

    The factor sin^l θ0 of the radial function is in the solid harmonics of sin θ0 r̂, smooth at r = 0.
    """
    cos, vectors, weights = quaternions(near, spec)
    w, x, y, z = (t.to(dtype) for t in (weights, *vectors.unbind(-1)))
    if fused:
        from maladist.descriptors.bispectrum.triton_kernels import pair_functions

        of_pairs = pair_functions(cos.to(dtype), x, y, z, w.expand_as(x), spec.twojmax)
        radial_l = of_pairs[0].split(list(range(spec.twojmax + 1, 0, -1)), dim=1)
        angular_l = of_pairs[1].split(list(range(1, 2 * spec.twojmax + 2, 2)), dim=1)
        by_l = [torch.bmm(r, y_l.transpose(1, 2)) for r, y_l in zip(radial_l, angular_l, strict=True)]
    else:
        radial = [torch.stack(values) * w for values in radial_polynomials(cos.to(dtype), spec.twojmax)]
        by_l = moments(radial, solid_harmonics(x, y, z, spec.twojmax))
    return [torch.cat([by_l[l][:, n - l] for l in range(n + 1)], dim=1) for n in range(spec.twojmax + 1)]  # noqa: E741


def expand(near: tuple[torch.Tensor, ...], constants: Constants) -> torch.Tensor:
    """f_n(g) on the nodes from the moments, the point itself included: (n_points, twojmax + 1, n_nodes)."""
    neighbours = torch.stack([m @ h for m, h in zip(near, constants.harmonics, strict=True)], dim=1)
    return neighbours + constants.self_term


def triple_products(f: torch.Tensor, constants: Constants, fused: bool = False) -> torch.Tensor:
    """B_{j1 j2 j} = (j+1) Σ_g weight f_j1 f_j2 f_j: (n_points, n_linear).

    For each j1 all (j2, j) in one batched product; those whose j1 + j2 + j is odd, or that break the triangle, are left
    aside.
    """
    if fused:
        from maladist.descriptors.bispectrum import triton_kernels

        return triton_kernels.triple_products(f.contiguous(), constants.weights, len(constants.factors))
    weighted = f * constants.weights
    products = [
        torch.bmm(weighted[:, j1, None] * f[:, : j1 + 1], f[:, j1:].transpose(1, 2)).flatten(1)
        for j1 in range(f.shape[1])
    ]
    return torch.cat(products, dim=1).index_select(1, constants.places) * constants.factors
