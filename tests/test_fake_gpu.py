"""From points to energies on a GPU that is not there: a line that mixes devices fails here, without a GPU.

What this cannot see is speed, memory and the numbers themselves: `make gpu-check` does, where there is a GPU.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from maladist.descriptors import evaluate
from maladist.grid import Grid
from maladist.learning.model import LDOSModel
from maladist.neighbors import CellList
from maladist.physics import ldos as reductions
from maladist.physics.fermi_weights import fermi_weights
from maladist.physics.hartree import hartree_energy
from maladist.physics.xc import xc_energy
from maladist.testing import be_atoms, tiny_model
from tests.fake_cuda import fake_cuda


def move_to_fake(model: LDOSModel, device: torch.device) -> None:
    """Put fake tensors of a device in the place of a model's weights and scales."""
    for child in model.network.modules():
        for name, weight in child._parameters.items():
            if weight is not None:
                child._parameters[name] = nn.Parameter(torch.empty(weight.shape, dtype=weight.dtype, device=device))
    for scaler in (model.input_scaler, model.output_scaler):
        for name in ("shift", "scale"):
            shape = getattr(scaler, name).shape
            object.__setattr__(scaler, name, torch.empty(shape, dtype=torch.float64, device=device))


def test_descriptors_network_fermi_weights_and_energies_stay_on_the_gpu() -> None:
    atoms, model = be_atoms(), tiny_model()
    grid = Grid(atoms.cell.array.tolist(), (6, 5, 4))
    seen = CellList(grid.cell_array, atoms.positions, atoms.numbers.astype(np.int16), 3.5).near_block(grid, grid.whole)
    points, energies = grid.points(), model.energy_grid
    model = copy.deepcopy(model)
    with fake_cuda() as device:
        features = evaluate(points, seen, model.descriptor, device=device, dtype=torch.float32)
        move_to_fake(model, device)
        values = model.ldos(features)
        weights = fermi_weights(energies, 1.0, 1000.0, correction=True, device=device)
        density = reductions.density(values, weights.number).reshape(grid.shape)
        dos = reductions.dos(values, grid.voxel_volume)
        results = [features, values, density, dos, weights.band @ dos, weights.entropy @ dos]
        results += [hartree_energy(density, grid), xc_energy(density, grid, "pbe", 300.0)]
        assert {str(r.device) for r in results} == {str(device)}
        assert density.dtype == dos.dtype == torch.float64
        with pytest.raises(RuntimeError, match="device"):  # the guard itself
            features @ torch.ones(features.shape[1], 1)
