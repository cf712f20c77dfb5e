"""One door to every descriptor: validates what comes, chooses the backend, returns a tensor."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from maladist.arrays import Array
from maladist.descriptors.spec import Adjoint, AdjointKernel, Kernel, Request, Spec
from maladist.errors import AtomsError, GridError, InputError
from maladist.neighbors import LocalAtoms
from maladist.numerics import CPU, Numerics, cores

BATCH = 8192
"""Points whose descriptors and LDOS exist at one time on a CPU."""

_BATCH_OTHER = 2**17
"""On another device, which a few thousand points would leave idle most of the time."""


def evaluate(
    points: npt.ArrayLike | torch.Tensor,
    atoms: LocalAtoms,
    spec: Spec,
    *,
    backend: str = "auto",
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    threads: int | None = None,
    positions: torch.Tensor | None = None,
) -> torch.Tensor:
    """Descriptors of points.

    Parameters
    ----------
    points
        Positions of the points, (n_points, 3), taken as float64, Å.
    atoms
        The atoms that the points can see, images written out; those beyond the cutoff do no harm.
    spec
        Specification of the descriptors.
    backend
        Kernel that the family has ('torch', 'cpu', 'lammps'), or 'auto': 'cpu' on a CPU where the family has it and
        no gradient is wanted, else 'torch'.
    device, dtype
        Device and type of the result: torch.float32 or torch.float64. Differences of positions are always taken in
        float64.
    threads
        Number of threads of backend 'cpu'; None: OMP_NUM_THREADS, or else one for each core of this process. 'torch'
        takes what `torch.set_num_threads` says, 'lammps' one.
    positions
        The atoms' positions as a tensor, (n_atoms, 3) float64, to differentiate with respect to; in place of
        ``atoms.positions``. Backend 'torch' only; first derivatives.

    Returns
    -------
    torch.Tensor
        The descriptors, (n_points, n_features).

    Raises
    ------
    InputError
        Points or positions that are not finite or of the wrong shape, a backend that the family does not have or
        that cannot do what is asked, a dtype that is neither, an element that the descriptor has no weight for.
    DependencyError
        A backend whose packages are not installed.
    """
    request = _request(points, atoms, device, dtype, threads, positions)
    kernel = _kernel(spec, backend, request)
    # A block may have no points of a selection: kernels need not know of that.
    if not len(request.points):
        return torch.empty(0, spec.n_features, device=request.device, dtype=dtype)
    return kernel(request)


def adjoint(
    points: npt.ArrayLike | torch.Tensor,
    atoms: LocalAtoms,
    spec: Spec,
    cotangent: npt.ArrayLike | torch.Tensor,
    *,
    backend: str = "auto",
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    threads: int | None = None,
) -> Adjoint:
    """Derivatives of Σ_r c(r)·B(r) by the atoms' positions and by a strain, for a cotangent c of the descriptors B.

    Parameters
    ----------
    points, atoms, spec, device, dtype, threads
        Points, atoms and how to compute, as for :func:`evaluate`; ``dtype`` is that of the work.
    cotangent
        c, (n_points, n_features).
    backend
        An adjoint kernel that the family has, 'torch' (autograd, any family and device), or 'auto': 'cpu' on a CPU
        where the family has it, else 'torch'.

    Returns
    -------
    Adjoint
        Gradient of each atom, images apart, and virial, both float64.

    Raises
    ------
    InputError
        For the reasons of :func:`evaluate`, and a cotangent of the wrong shape or one that is not finite.
    """
    request = _request(points, atoms, device, dtype, threads)
    c = torch.as_tensor(cotangent).detach().to(request.device, dtype)
    if c.shape != (len(request.points), spec.n_features) or not bool(torch.isfinite(c).all()):
        wanted = f"finite numbers of shape ({len(request.points)}, {spec.n_features})"
        raise InputError("cotangent", f"an array of shape {tuple(c.shape)}, or values that are not finite", wanted)
    kernel = _adjoint_kernel(spec, backend, request)
    if not len(request.points) or not len(atoms):
        return Adjoint(np.zeros((len(atoms), 3)), np.zeros((3, 3)))
    return kernel(request, c)


def batches(
    points: Array, atoms: LocalAtoms, spec: Spec, numerics: Numerics = CPU
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Descriptors of any number of points, on one thread, a batch of them at a time: (rows, (n, n_features))."""
    size = BATCH if numerics.device == "cpu" else _BATCH_OTHER
    for first in range(0, len(points), size):
        rows = slice(first, min(first + size, len(points)))
        features = evaluate(
            points[rows],
            atoms,
            spec,
            backend=numerics.backend,
            device=numerics.device,
            dtype=numerics.dtype,
            threads=1,
        )
        yield rows, features


def _request(
    points: npt.ArrayLike | torch.Tensor,
    atoms: LocalAtoms,
    device: str | torch.device,
    dtype: torch.dtype,
    threads: int | None,
    positions: torch.Tensor | None = None,
) -> Request:
    """What a kernel is given, validated."""
    if dtype not in (torch.float32, torch.float64):
        raise InputError("dtype", f"{dtype}", "torch.float32 or torch.float64")
    located = atoms.positions if positions is None else positions
    return Request(
        points=_vectors("points", points),
        positions=_vectors("positions", located, len(atoms)),
        numbers=atoms.numbers,
        variables=(torch.as_tensor(points, dtype=torch.float64), torch.as_tensor(located, dtype=torch.float64)),
        device=torch.device(device),
        dtype=dtype,
        threads=threads or _threads(),
    )


def _kernel(spec: Spec, backend: str, request: Request) -> Kernel:
    kernels = spec.kernels()
    if backend == "auto":
        # The compiled kernel is the fastest on a CPU, and knows no gradient.
        use_cpu = "cpu" in kernels and request.device.type == "cpu" and not request.wants_gradient
        backend = "cpu" if use_cpu else "torch"
    if backend not in kernels:
        raise InputError("backend", f"{backend!r} for {spec.family}", f"auto or one of {', '.join(sorted(kernels))}")
    if request.wants_gradient and backend != "torch":
        raise InputError("backend", f"{backend!r} with a gradient", "'torch', the one that differentiates")
    return kernels[backend]


def _adjoint_kernel(spec: Spec, backend: str, request: Request) -> AdjointKernel:
    def by_autograd(request: Request, cotangent: torch.Tensor) -> Adjoint:
        return _by_autograd(spec.kernels()["torch"], request, cotangent)

    kernels: dict[str, AdjointKernel] = {"torch": by_autograd, **spec.adjoints()}
    if backend == "auto":
        backend = "cpu" if "cpu" in kernels and request.device.type == "cpu" else "torch"
    if backend not in kernels:
        came = f"{backend!r} for the adjoint of {spec.family}"
        raise InputError("backend", came, f"auto or one of {', '.join(sorted(kernels))}")
    return kernels[backend]


def _by_autograd(kernel: Kernel, request: Request, cotangent: torch.Tensor) -> Adjoint:
    """Adjoint of a differentiable kernel.

    Descriptors depend on differences R_k − r only, so the gradient by a point is −Σ_k g_k(r), and the virial is
    Σ_k G_k ⊗ R_k + Σ_r G_r ⊗ r with the gradients by atoms and points. Their sum is zero: any origin will do, and the
    middle of the points keeps the two terms, which cancel in part, small.
    """
    middle = request.points.mean(axis=0)
    variables = [torch.from_numpy(v - middle).requires_grad_() for v in (request.points, request.positions)]
    with torch.enable_grad():
        values = kernel(replace(request, variables=(variables[0], variables[1])))
        by_point, by_atom = torch.autograd.grad(values, variables, cotangent)
    points, positions = (v.detach() for v in variables)
    return Adjoint(by_atom.numpy(), (by_atom.T @ positions + by_point.T @ points).numpy())


def _vectors(argument: str, given: npt.ArrayLike | torch.Tensor, length: int | None = None) -> Array:
    """Values as (n, 3) float64, or an error."""
    error = GridError if argument == "points" else AtomsError
    values = given.detach().cpu().numpy() if isinstance(given, torch.Tensor) else np.asarray(given)
    if values.ndim != 2 or values.shape[1] != 3 or length not in (None, len(values)):
        wanted = f"one of shape ({'n' if length is None else length}, 3)"
        raise error(argument, f"an array of shape {values.shape}", wanted)
    if values.dtype.kind not in "fiu":
        raise error(argument, f"an array of {values.dtype}", "real numbers in Å")
    if not np.isfinite(values).all():
        raise error(argument, "NaN or infinite coordinates", "finite coordinates in Å")
    # Whatever the work's precision: differences of positions lose seven digits in a large cell.
    return values.astype(np.float64, copy=False)


def _threads() -> int:
    if (given := os.environ.get("OMP_NUM_THREADS", "")).isdigit() and int(given) > 0:
        return int(given)
    return cores()
