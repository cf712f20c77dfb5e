"""The power spectrum in torch: any device, float32 or float64, differentiable by autograd; formulas in spec.py."""

from __future__ import annotations

import math

import numpy as np
import torch

from maladist.descriptors.harmonics import solid_harmonics
from maladist.descriptors.moments import Pairs, map_batches, moments, pairs
from maladist.descriptors.power_spectrum.spec import PowerSpectrumSpec
from maladist.descriptors.spec import Request


def power_spectrum_torch(request: Request, spec: PowerSpectrumSpec) -> torch.Tensor:
    """Features of the request's atoms, all alike: (n_points, n_features)."""

    def kernel(points: torch.Tensor, positions: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        near = pairs(points, positions, weights, spec.cutoff)
        m_l = moments(*pair_functions(near, spec, request.dtype))
        products = [torch.bmm(m, m.transpose(1, 2)) for m in m_l[1:]]
        upper = [torch.triu_indices(n, n, device=request.device) for n in spec.radial[1:]]
        return torch.cat([m_l[0][..., 0]] + [p[:, i, k] for p, (i, k) in zip(products, upper, strict=True)], dim=1)

    # Radial functions of each degree and harmonics, as they are made and once more as they are stacked.
    numbers = 2 * (sum(spec.radial) + len(spec.radial) ** 2) * request.dtype.itemsize
    per_pair = (12 * 8 + numbers) * (4 if request.wants_gradient else 1)
    return map_batches(request, np.ones(len(request.positions)), spec.cutoff, lambda n: n * per_pair, kernel)


def pair_functions(
    near: Pairs, spec: PowerSpectrumSpec, dtype: torch.dtype
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Radial functions of each degree, and solid harmonics of sin θ r̂, as `moments` takes them."""
    angle = math.pi / spec.cutoff * near.distances
    cos, sines = torch.cos(angle), (torch.sin(angle) / near.distances)[..., None] * near.vectors
    radial = [near.weights * 0.5 * (1 + cos)]
    radial.append(cos * radial[0])
    for _ in range(2, max(spec.radial)):
        radial.append(2 * cos * radial[-1] - radial[-2])  # cos (n + 1)θ = 2 cos θ cos nθ − cos (n − 1)θ
    stacked = torch.stack(radial[: max(spec.radial)]).to(dtype)
    x, y, z = sines.to(dtype).unbind(-1)
    return [stacked[:n] for n in spec.radial], solid_harmonics(x, y, z, len(spec.radial) - 1)
