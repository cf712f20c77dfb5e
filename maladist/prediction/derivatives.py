"""The second pass over the blocks: what each adds to the derivatives of A by the atoms and by a strain.

The cotangents of what the model gives at a point are known once μ and u(r) are (`maladist.physics.forces`); a block
takes them backwards through network and descriptors to the atoms that it sees. Nothing of the first pass is needed but
what it summed: descriptors are computed again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from maladist.descriptors.dispatch import adjoint, batches
from maladist.learning.model import LDOSModel
from maladist.neighbors import LocalAtoms
from maladist.numerics import Numerics
from maladist.physics.forces import Cotangents
from maladist.prediction.block import Clock

Array = npt.NDArray[np.float64]


class Share(NamedTuple):
    """Derivatives that some points add, at each temperature.

    Attributes
    ----------
    gradient
        By the atoms that the points see, images apart, (temperatures, n_local, 3) float64, eV/Å.
    virial
        By a strain, (temperatures, 3, 3) float64, eV.
    """

    gradient: Array
    virial: Array


def derivatives_of_points(
    points: Array,
    u: Array,
    atoms: LocalAtoms,
    model: LDOSModel,
    cotangents: Cotangents,
    numerics: Numerics,
    clock: Clock,
) -> Share:
    """Derivatives through the LDOS and the density channel of some points, on one thread.

    Parameters
    ----------
    points, u
        (n_points, 3), Å, and u(r) there, (n_points,), eV.
    atoms
        Those that the points can see.
    model
        On the device and of the dtype of ``numerics``.
    cotangents
        What A feels of what the model gives.
    numerics
        How descriptors and network are computed, on a device that is decided.
    clock
        Is told of descriptors and network.
    """
    n = len(cotangents.levels)
    gradient, virial = np.zeros((n, len(atoms), 3)), np.zeros((n, 3, 3))
    backend = "torch" if numerics.backend == "torch" else "auto"  # no family has an adjoint for every kernel
    for rows, features in batches(points, atoms, model.descriptor, numerics):
        clock.lap("descriptors")
        here = torch.as_tensor(u[rows], device=features.device)
        channel = cotangents.of_channel(here) if model.has_density_channel else None
        pulled = model.pullback(features, cotangents.of_ldos(here), channel)
        clock.lap("network")
        for i, of_features in enumerate(pulled):
            by = adjoint(
                points[rows],
                atoms,
                model.descriptor,
                of_features,
                backend=backend,
                device=numerics.device,
                dtype=numerics.dtype,
                threads=1,
            )
            gradient[i] += by.gradient
            virial[i] += by.virial
        clock.lap("descriptors")
    return Share(gradient, virial)
