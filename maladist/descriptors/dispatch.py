"""One door to every descriptor: validates what comes, chooses the backend, returns a tensor."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt
import torch

from maladist.descriptors.spec import Request, Spec
from maladist.errors import AtomsError, GridError, InputError
from maladist.neighbors import LocalAtoms


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
        (n_points, 3), taken as float64, Å.
    atoms
        The atoms that the points can see, images written out; those beyond the cutoff do no harm.
    spec
        What to compute.
    backend
        A kernel that the family has ('torch', 'cpu', 'lammps'), or 'auto': 'cpu' on a CPU where the family has it and
        no gradient is wanted, else 'torch'.
    device, dtype
        Of the result: torch.float32 or torch.float64. Differences of positions are always taken in float64.
    threads
        Threads that the kernel may use; None: OMP_NUM_THREADS, or else one for each core of this process.
    positions
        The atoms' positions as a tensor, (n_atoms, 3) float64, to differentiate with respect to; in place of
        ``atoms.positions``. Backend 'torch' only.

    Returns
    -------
    torch.Tensor
        (n_points, n_features).

    Raises
    ------
    InputError
        Points or positions that are not finite or of the wrong shape, a backend that the family does not have or
        that cannot do what is asked, a dtype that is neither, an element that the descriptor has no weight for.
    DependencyError
        A backend whose packages are not installed.
    """
    device = torch.device(device)
    given = torch.as_tensor(points)
    located = torch.as_tensor(atoms.positions) if positions is None else positions
    _check_vectors("points", given)
    _check_vectors("positions", located, len(atoms))
    if dtype not in (torch.float32, torch.float64):
        raise InputError("dtype", f"{dtype}", "torch.float32 or torch.float64")
    wants_gradient = torch.is_grad_enabled() and (given.requires_grad or located.requires_grad)
    kernels = spec.kernels()
    if backend == "auto":
        backend = "cpu" if "cpu" in kernels and device.type == "cpu" and not wants_gradient else "torch"
    if backend not in kernels:
        raise InputError("backend", f"{backend!r} for {spec.family}", f"auto or one of {', '.join(sorted(kernels))}")
    if wants_gradient and backend != "torch":
        raise InputError("backend", f"{backend!r} with a gradient", "'torch', the one that differentiates")
    request = Request(
        given.to(torch.float64), located.to(torch.float64), atoms.numbers, device, dtype, threads or _threads()
    )
    return kernels[backend](request)


def _check_vectors(argument: str, vectors: torch.Tensor, length: int | None = None) -> None:
    wanted = f"({'n' if length is None else length}, 3)"
    error = AtomsError if argument == "positions" else GridError
    if vectors.ndim != 2 or vectors.shape[1] != 3 or length not in (None, len(vectors)):
        raise error(argument, f"an array of shape {tuple(vectors.shape)}", f"one of shape {wanted}")
    if not vectors.is_floating_point() and vectors.numel():
        raise error(argument, f"an array of {vectors.dtype}", "real numbers in Å")
    if not np.isfinite(vectors.detach().cpu().numpy()).all():
        raise error(argument, "NaN or infinite coordinates", "finite coordinates in Å")


def _threads() -> int:
    if (given := os.environ.get("OMP_NUM_THREADS", "")).isdigit() and int(given) > 0:
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
