"""Moments of the neighbours' density, radial function × Y_lm: what families of descriptors share.

    M_nlm(r) = Σ_k w_k R_nl(r_k) Y_lm(r̂_k)

in torch, on any device, differentiable with respect to points and positions, also where an atom lies on a point. The
points come in batches that are compact in space and small in memory: they are halved along their longest extent until
a batch fits a budget and is small compared with the cutoff, and the atoms are narrowed down on the way. So a batch
pairs its points with about twice the atoms of a cutoff sphere, whatever the block holds, and every array has a shape
that is known before the device computes: no index lists, no transfer back from a GPU. Pairs beyond the cutoff have
weight 0. A GPU, which a batch of some hundred points would leave idle most of the time, takes many batches at once:
each point then brings the atoms of its batch, filled up to one length with atoms of weight 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.autograd.function import FunctionCtx, once_differentiable

from maladist.arrays import Array, Indices
from maladist.descriptors.harmonics import solid_harmonics
from maladist.descriptors.spec import COINCIDENT, Request

_CPU_BUDGET = 64 * 2**20
_GPU_BUDGET, _GPU_SHARE = 8 * 2**30, 0.25  # bytes at most, and of what is free
_FEWEST = 128  # points below which a batch is not halved for compactness: overhead would outweigh the pairs saved


@dataclass(frozen=True, eq=False)
class Pairs:
    """Points of a batch and the atoms near them, each with each.

    Attributes
    ----------
    vectors
        Vectors from point to atom, (n_points, n_atoms, 3) float64, Å; never zero.
    distances
        Their lengths, (n_points, n_atoms) float64, Å.
    weights
        Weight of the atom, 0 beyond the cutoff, (n_points, n_atoms) float64.
    """

    vectors: torch.Tensor
    distances: torch.Tensor
    weights: torch.Tensor


def pairs(points: torch.Tensor, positions: torch.Tensor, weights: torch.Tensor, cutoff: float) -> Pairs:
    """Pair points (p, 3) with atoms at positions (p or 1, a, 3) and of weights (p or 1, a), all float64."""
    vectors = positions - points[:, None]
    # An atom on a point has no direction, and its gradient would be NaN: it is seen a little above.
    coincident = vectors.square().sum(-1, keepdim=True) < 1e-20
    vectors = vectors + coincident * vectors.new_tensor([0.0, 0.0, COINCIDENT])
    distances = vectors.norm(dim=-1)
    return Pairs(vectors, distances, torch.where(distances < cutoff, weights, 0.0))


def spherical_harmonics(pairs: Pairs, l_max: int, dtype: torch.dtype) -> list[torch.Tensor]:
    """Y_lm(r̂) of all pairs, (l_max + 1)² tensors (n_points, n_atoms) at index l² + l + m."""
    x, y, z = (pairs.vectors / pairs.distances[..., None]).to(dtype).unbind(-1)
    return solid_harmonics(x, y, z, l_max)


def moments(radial: Sequence[torch.Tensor], angular: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Sum radial × angular functions over the atoms.

    Parameters
    ----------
    radial
        For each l, w R_nl of all pairs, (n_radial, n_points, n_atoms).
    angular
        Y_lm, or solid harmonics, of all pairs at index l² + l + m, (n_points, n_atoms) each.

    Returns
    -------
    list of torch.Tensor
        For each l, M_nlm as (n_points, n_radial, 2l + 1).
    """
    return [
        torch.bmm(values.transpose(0, 1), torch.stack(list(angular[l * l : (l + 1) ** 2])).permute(1, 2, 0))
        for l, values in enumerate(radial)  # noqa: E741
    ]


Batch = tuple[Indices, Indices]
"""Indices of points, and of the atoms near them."""

BatchKernel = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Points (p, 3), positions (p or 1, a, 3) and weights (p or 1, a, …), float64, to descriptors (p, n_features)."""


def map_batches(
    request: Request, weights: Array, cutoff: float, cost: Callable[[int], int], kernel: BatchKernel
) -> torch.Tensor:
    """Run a kernel over compact batches of a request's points; with a gradient, a batch is recomputed for it.

    Parameters
    ----------
    request
        Points and atoms.
    weights
        Numbers that the kernel wants to know of each atom, (n_atoms, …).
    cutoff
        Distance up to which an atom is seen, Å.
    cost
        Bytes that one point takes if it is paired with a number of atoms.
    kernel
        Function that gives the descriptors of a batch.
    """
    device = request.device
    points, positions = (v.to(device) for v in request.variables)
    order, parts = [], []
    compact = batches(request.points, request.positions, cutoff, cost, memory_budget(device))
    for together in joined(compact, cost, at_once(device)):
        rows, near, of_near = _filled_up(together, weights)
        here, atoms, numbers = (torch.as_tensor(x).to(device) for x in (rows, near, of_near))
        seen = positions.index_select(0, atoms.flatten()).reshape(*atoms.shape, 3)
        if len(together) > 1:
            batch_of = np.repeat(np.arange(len(together)), [len(r) for r, _ in together])
            which = torch.as_tensor(batch_of).to(device)
            seen, numbers = seen.index_select(0, which), numbers.index_select(0, which)
        inputs = (points.index_select(0, here), seen, numbers)
        parts.append(_Recomputed.apply(kernel, *inputs) if request.wants_gradient else kernel(*inputs))
        order.append(rows)
    # The batches took the points in another order.
    back = torch.as_tensor(np.argsort(np.concatenate(order))).to(device)
    return torch.cat(parts).index_select(0, back)


def joined(batches: Iterable[Batch], cost: Callable[[int], int], budget: int) -> Iterator[list[Batch]]:
    """Batches that fit a budget together, all with as many atoms as the one with the most; at least one at a time."""
    together: list[Batch] = []
    points = atoms = 0
    for batch in batches:
        points, atoms = points + len(batch[0]), max(atoms, len(batch[1]))
        if together and points * cost(atoms) > budget:
            yield together
            together, points, atoms = [], len(batch[0]), len(batch[1])
        together.append(batch)
    if together:
        yield together


def _filled_up(together: list[Batch], weights: Array) -> tuple[Indices, Indices, Array]:
    """Points of all batches; atoms of each, (batches, most atoms), and their weights, 0 for what fills up."""
    most = max(len(near) for _, near in together)
    atoms = np.zeros((len(together), most), np.int64)
    of_atoms = np.zeros((len(together), most, *weights.shape[1:]))
    for i, (_, near) in enumerate(together):
        atoms[i, : len(near)], of_atoms[i, : len(near)] = near, weights[near]
    return np.concatenate([rows for rows, _ in together]), atoms, of_atoms


class _Kept(FunctionCtx):
    """What the forward pass leaves to the backward one."""

    kernel: BatchKernel
    saved_tensors: tuple[torch.Tensor, ...]
    needs_input_grad: tuple[bool, ...]


class _Recomputed(torch.autograd.Function):
    """A batch whose graph exists only while its gradient is taken: memory as for one batch, first derivatives only.

    `torch.utils.checkpoint` keeps hooks on every saved tensor: with the thousand small ones of a batch, 2000 points of
    twojmax 10 took twice the time, and memory grew with their number (100 kB a point; here 10 kB).
    """

    @staticmethod
    def forward(ctx: _Kept, kernel: BatchKernel, *inputs: torch.Tensor) -> torch.Tensor:
        ctx.kernel = kernel
        ctx.save_for_backward(*inputs)
        return kernel(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: _Kept, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        needed = ctx.needs_input_grad[1:]
        inputs = [x.detach().requires_grad_(n) for x, n in zip(ctx.saved_tensors, needed, strict=True)]
        with torch.enable_grad():
            values = ctx.kernel(*inputs)
        grads = iter(torch.autograd.grad(values, [x for x in inputs if x.requires_grad], gradient))
        return (None, *(next(grads) if n else None for n in needed))


def memory_budget(device: torch.device) -> int:
    """Bytes that a batch may take: a part of a GPU's free memory; on a CPU about what its last cache holds."""
    if device.type == "cuda" and torch.cuda.is_available():
        return min(_GPU_BUDGET, int(_GPU_SHARE * torch.cuda.mem_get_info(device)[0]))
    return _CPU_BUDGET


def at_once(device: torch.device) -> int:
    """Bytes of the batches that are computed at once: on a CPU one batch is enough to do."""
    return 0 if device.type == "cpu" else memory_budget(device)


def batches(points: Array, positions: Array, cutoff: float, cost: Callable[[int], int], budget: int) -> Iterator[Batch]:
    """Cut points into compact batches.

    Yields
    ------
    tuple
        Indices of the batch's points, and of all atoms within the cutoff of any of them. A single point is never
        refused, whatever it costs.
    """
    # Axis by axis: numpy finds extremes of contiguous numbers many times faster than of the rows of a table.
    xyz, of_atoms = np.ascontiguousarray(points.T), np.ascontiguousarray(positions.T)
    stack = [(np.arange(len(points)), np.arange(len(positions)))] if len(points) else []
    while stack:
        rows, atoms = stack.pop()
        here, near = xyz.take(rows, axis=1), of_atoms.take(atoms, axis=1)  # in rows, as indexing would not
        low, high = here.min(axis=1), here.max(axis=1)
        outside = near - np.clip(near, low[:, None], high[:, None])
        # Narrowed down at each halving: the last batches look at few atoms only.
        atoms = atoms[np.einsum("ij,ij->j", outside, outside) < cutoff**2]
        extent = high - low
        compact = extent.max() <= cutoff / 3 or len(rows) <= _FEWEST
        if len(rows) == 1 or (compact and len(rows) * cost(len(atoms)) <= budget):
            yield rows, atoms
            continue
        half = len(rows) // 2
        # Halves of as many points, by the longest extent: no sort is needed for that.
        rows = rows[np.argpartition(here[extent.argmax()], half)]
        stack += [(rows[half:], atoms), (rows[:half], atoms)]
