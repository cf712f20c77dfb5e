"""Whether a density channel learns n₀ better as its difference from superposed free atoms.

    python tests/benchmarks/free_atoms.py train.yaml 16 120 3    # cells, epochs, seeds

`data.train` of the configuration is learnt from, `data.validation` is what the errors are of: the density's, % of the
electrons, and those of A and E_b, meV/atom. Four ways, the same points and seeds: n₀ and n₀ − n_atoms, each scaled by
its own spread, each with the weight `loss.channel` and with that which is the other's in 1/Å⁶; no forces.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from distributed import Client

import maladist
from maladist.arrays import Array
from maladist.grid import Block
from maladist.io import ownership
from maladist.io.qe.upf import read_free_atoms
from maladist.io.samples import Rows
from maladist.learning.model import LDOSModel
from maladist.parallel.progress import Silent
from maladist.physics.core import core_charge, form_factor
from maladist.physics.system import System
from maladist.training import samples
from maladist.training.data import find_data
from maladist.training.prepare import prepare
from maladist.training.train import fit
from maladist.training.validation import Validation

READ: Final = samples.read_block


class FreeAtoms:
    """n_atoms(r) of each snapshot, and the rows of a training less it while it is ``on``."""

    def __init__(self, pseudopotentials: str, systems: dict[str, System]) -> None:
        self.atoms = read_free_atoms(pseudopotentials)
        for symbol, atom in self.atoms.items():
            assert atom.core_density is not None and atom.valence is not None
            held = float(form_factor(atom, [0.0])[0])  # all valence electrons, as `maladist difference` takes it
            self.atoms[symbol] = replace(atom, core_density=atom.core_density * (atom.valence / held))
        self.systems, self.fields, self.on = systems, dict[str, Array](), False

    def of(self, path: str) -> Array:
        """n_atoms of a snapshot, (Nx, Ny, Nz) float64, 1/Å³."""
        if path not in self.fields:
            density = core_charge(replace(self.systems[path], elements=self.atoms))
            assert density is not None
            self.fields[path] = density.numpy()
        return self.fields[path]

    def read_block(self, store: str, name: str, block: Block) -> Rows:
        """What `samples.read_block` reads, the density less n_atoms."""
        less = self.of(store)[block.slices].reshape(-1, 1) if self.on and name == "density" else np.zeros(1)
        return READ(store, name, block) - less.astype(np.float32)


@dataclass(frozen=True)
class OnBaseline(Validation):
    """Validation of a model whose channel gives n₀ − n_atoms."""

    free: FreeAtoms | None = None

    def _density(self, model: LDOSModel, snapshot, chunks, w):  # type: ignore[no-untyped-def]
        density = torch.empty(snapshot.system.grid.shape, dtype=torch.float64)
        for chunk in chunks:
            channel = model.fields(torch.from_numpy(chunk.read()[0]))[1]
            assert channel is not None
            density[chunk.block.slices] = channel.double().reshape(chunk.block.shape)
        if self.free is not None:
            density += torch.as_tensor(self.free.of(snapshot.path))
        return density * (snapshot.system.n_electrons / (float(density.sum()) * snapshot.system.grid.voxel_volume))


def main(recipe: str, cells: str, epochs: str, seeds: str) -> None:
    """Train, and print a line for each way: means over the seeds, and the density of each."""
    given = maladist.TrainConfig.read(recipe)
    given = given.model_copy(update={"loss": given.loss.model_copy(update={"forces": 0.0})})
    data, alone = find_data(given), given.data.model_copy(update={"validation": [], "samples": None})
    chosen = [data.train[i] for i in np.linspace(0, len(data.train) - 1, int(cells)).astype(int)]
    given = given.model_copy(update={"data": alone, "epochs": int(epochs)})
    free = FreeAtoms(str(alone.pseudopotentials), {s.path: s.system for s in (*data.train, *data.validation)})
    samples.read_block = free.read_block
    one = {"processes": False, "n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
    with tempfile.TemporaryDirectory() as folder, Client(**one) as client:
        n_0 = prepare(given, replace(data, train=chosen), Path(folder) / "n0", client, Silent())
        free.on = True
        less = prepare(given, replace(data, train=chosen, validation=[]), Path(folder) / "less", client, Silent())
        free.on = False
        spread = [p.outputs.density.scale.item() for p in (n_0, less) if p.outputs.density]
        ratio, weight = (spread[1] / spread[0]) ** 2, given.loss.channel
        print(f"{cells} cells, spread of n0 {spread[0]:.4f}, less free atoms {spread[1]:.4f} 1/Å³")
        ways = [("n0", n_0, weight), ("less atoms, same weight in 1/Å⁶", less, weight * ratio)]
        ways += [("n0, other weight", n_0, weight / ratio), ("less atoms", less, weight)]
        for name, ready, of_channel in ways:
            errors = []
            for seed in range(int(seeds)):
                weights = given.loss.model_copy(update={"channel": of_channel})
                config = given.model_copy(update={"loss": weights, "seed": seed})
                (place := Path(folder) / f"{name[:12]} {of_channel:.3g} {seed}").mkdir()
                with ownership.take(place) as claim:
                    model = fit(config, ready, claim)
                parts = data.validation, n_0.validation_chunks, n_0.loss(config, data.validation, "data.validation")
                found = OnBaseline(*parts, data.correction, data.elements, free if ready is less else None)(model)
                errors.append([found.mean(key) or np.nan for key in ("density", "total_energy", "band_energy")])
            density, total, band = np.mean(errors, axis=0)
            spreads = ", ".join(f"{100 * e[0]:.3f}" for e in errors)
            print(f"{name} ({of_channel:.2g}): {density:.3%} ({spreads}), A {total:.1f}, E_b {band:.1f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
