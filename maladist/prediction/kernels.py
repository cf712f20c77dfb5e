"""Kernels of a model on the workers of a cluster of the user's own, ready before the first block comes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from ase.data import atomic_numbers
from distributed import Worker, WorkerPlugin

from maladist.descriptors.dispatch import adjoint, evaluate
from maladist.descriptors.spec import Spec
from maladist.io.model_file import load_model
from maladist.learning.model import LDOSModel
from maladist.neighbors import LocalAtoms
from maladist.numerics import Numerics
from maladist.prediction.options import NumericsOptions


class KernelPlugin(WorkerPlugin):
    """Plugin of Dask's workers that imports and compiles, as a worker starts, what the blocks of a model need.

    Without it a worker's first block does so: some seconds, most where numba's cache is empty. Workers that
    come later, as those of an adaptive cluster, do it as they come.

    Parameters
    ----------
    model
        Model, or a path of a model file or of MALA's zip, or the name of one that comes with maladist; read here.
    forces
        Whether forces or stress will be asked for, whose kernel is another one.
    backend, device, precision
        As `predict` will be given them.

    Raises
    ------
    ModelError
        There is no such model.

    Examples
    --------
    >>> client.register_plugin(maladist.KernelPlugin("be-1000K-2"))  # doctest: +SKIP
    """

    def __init__(
        self, model: LDOSModel | str | Path, *, forces: bool = False, **numerics: Unpack[NumericsOptions]
    ) -> None:
        model = model if isinstance(model, LDOSModel) else load_model(model)
        # The descriptor only: it is all that the kernels depend on, and the model travels with the run.
        self.spec, self.forces, self.numerics = model.descriptor, forces, Numerics(**numerics)
        # Any element that the descriptor knows; one without elements takes all alike.
        known = (*model.elements, *getattr(self.spec, "elements", ()), *getattr(self.spec, "weights", ()), "H")
        self.number = atomic_numbers[known[0]]
        # Dask keeps one plugin of a name: several models each have theirs.
        self.name = f"maladist-kernels-{model.content_hash[:8]}"

    async def setup(self, worker: Worker) -> None:
        """Compile, in a thread: the worker goes on answering its scheduler."""
        del worker
        await asyncio.to_thread(compile_kernels, self.spec, self.number, self.numerics, self.forces)


def compile_kernels(spec: Spec, number: int, numerics: Numerics, forces: bool) -> None:
    """Let the kernels of a descriptor run once, for an atom of an atomic number and a point beside it."""
    numerics = numerics.here()
    point, atoms = np.array([[0.5, 0.5, 0.5]]), LocalAtoms(np.zeros((1, 3)), np.array([number], np.int16))
    device, dtype = numerics.device, numerics.dtype
    features = evaluate(point, atoms, spec, backend=numerics.backend, device=device, dtype=dtype, threads=1)
    if forces:
        backend = "torch" if numerics.backend == "torch" else "auto"  # as the second pass has it
        of = torch.ones_like(features)
        adjoint(point, atoms, spec, of, backend=backend, device=device, dtype=dtype, threads=1)
