"""Train a small network in seconds on the DFT snapshot of two Be atoms in tests/data/qe.

One snapshot at one configuration teaches a network that configuration; it serves benchmarks, no physics.
"""

from __future__ import annotations

import json
from pathlib import Path

import ase.io
import numpy as np
import torch

from maladist import BispectrumSpec, EnergyGrid, Grid, LDOSModel
from maladist.descriptors import evaluate
from maladist.io.qe.upf import read_pseudopotentials
from maladist.learning.network import FeedForward
from maladist.learning.scaling import Moments, Scaler
from maladist.neighbors import CellList
from maladist.units import RYDBERG

CASE = "be2_nc_nlcc_1000K"


def read_ldos(path: Path) -> np.ndarray:
    """LDOS of the test data, (x, y, z, energy) float32: its four bytes lie in planes, which compress better."""
    planes = np.moveaxis(np.load(path)["byte_planes"], 0, -1)
    return np.moveaxis(np.ascontiguousarray(planes).view(np.float32)[..., 0], 0, -1)


def train_on_snapshot(data: Path, epochs: int = 120, seed: int = 0) -> LDOSModel:
    """Train on the snapshot under ``data``; the same seed gives the same network on the same machine."""
    folder = data / "qe" / CASE
    reference = json.loads((folder / "reference.json").read_text())
    atoms = ase.io.read(folder / "atoms.extxyz")
    ldos = read_ldos(folder / "ldos.npz")
    info = reference["ldos"]
    energies = EnergyGrid(
        info["energy_origin_eV"], info["energy_spacing_eV"], info["levels"], "gaussian", info["broadening_delta_eV"]
    )
    grid = Grid(atoms.cell.array.tolist(), ldos.shape[:3])
    spec = BispectrumSpec(twojmax=10, cutoff=4.67637)
    near = CellList(grid.cell_array, atoms.positions, atoms.numbers.astype(np.int16), spec.cutoff).near_block(
        grid, grid.whole
    )
    features = evaluate(grid.points(), near, spec, dtype=torch.float32)
    targets = torch.as_tensor(ldos.reshape(-1, energies.levels))

    torch.manual_seed(seed)
    inputs = Scaler.fit(Moments.of(features), "standard", feature_wise=True)
    outputs = Scaler.fit(Moments.of(targets), "minmax", feature_wise=False)
    network = FeedForward([spec.n_features, 128, 128, energies.levels], ["SiLU", "SiLU"])
    x, y = inputs.transform(features), outputs.transform(targets)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    steps = epochs * (len(x) // 256)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for rows in order[: len(x) // 256 * 256].split(256):
            loss = torch.nn.functional.mse_loss(network(x[rows]), y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return LDOSModel(
        network=network.eval(),
        input_scaler=inputs,
        output_scaler=outputs,
        descriptor=spec,
        energy_grid=energies,
        elements=read_pseudopotentials([data / "pseudopotentials" / reference["pseudopotential"]]),
        xc="pbe",
        temperature=reference["temperature_K"],
        spacing=grid.spacing,
        density_cutoff=reference["ecutrho_Ry"] * RYDBERG,
        restrict="zero_out_negative",
        provenance={"trained on": f"one snapshot, {CASE}", "epochs": epochs, "final loss": loss.item()},
    )
