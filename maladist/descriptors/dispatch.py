"""One door to every descriptor: validates what comes, chooses the backend, returns a tensor."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from maladist.descriptors.spec import Kernel, Request, Spec
from maladist.errors import AtomsError, GridError, InputError
from maladist.neighbors import LocalAtoms
from maladist.numerics import CPU, Numerics

Array = npt.NDArray[np.float64]

BATCH = 8192
"""Points whose descriptors and LDOS exist at one time on a CPU."""


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
        Threads of backend 'cpu'; None: OMP_NUM_THREADS, or else one for each core of this process. 'torch' takes what
        `torch.set_num_threads` says, 'lammps' one.
    positions
        The atoms' positions as a tensor, (n_atoms, 3) float64, to differentiate with respect to; in place of
        ``atoms.positions``. Backend 'torch' only; first derivatives.

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
    if dtype not in (torch.float32, torch.float64):
        raise InputError("dtype", f"{dtype}", "torch.float32 or torch.float64")
    located = atoms.positions if positions is None else positions
    request = Request(
        points=_vectors("points", points),
        positions=_vectors("positions", located, len(atoms)),
        numbers=atoms.numbers,
        variables=(torch.as_tensor(points, dtype=torch.float64), torch.as_tensor(located, dtype=torch.float64)),
        device=torch.device(device),
        dtype=dtype,
        threads=threads or _threads(),
    )
    kernel = _kernel(spec, backend, request)
    if not len(request.points):
        return torch.empty(0, spec.n_features, device=request.device, dtype=dtype)
    return kernel(request)


def batches(
    points: Array, atoms: LocalAtoms, spec: Spec, numerics: Numerics = CPU
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Descriptors of any number of points, on one thread, BATCH points at a time: (rows, (n, n_features))."""
    for first in range(0, len(points), BATCH):
        rows = slice(first, min(first + BATCH, len(points)))
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


def _kernel(spec: Spec, backend: str, request: Request) -> Kernel:
    kernels = spec.kernels()
    if backend == "auto":
        use_cpu = "cpu" in kernels and request.device.type == "cpu" and not request.wants_gradient
        backend = "cpu" if use_cpu else "torch"
    if backend not in kernels:
        raise InputError("backend", f"{backend!r} for {spec.family}", f"auto or one of {', '.join(sorted(kernels))}")
    if request.wants_gradient and backend != "torch":
        raise InputError("backend", f"{backend!r} with a gradient", "'torch', the one that differentiates")
    return kernels[backend]


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
    return values.astype(np.float64, copy=False)


def _threads() -> int:
    if (given := os.environ.get("OMP_NUM_THREADS", "")).isdigit() and int(given) > 0:
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
