"""Cells without DFT, as a distillation learns from them: what an ensemble says of them stands in the place of the data.

The points of a cell are those of a coarse grid with a random origin: sums over it are nearly those over the cell, which
the Fermi level and the loss' means over a cell need.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import ase
import numpy as np
import torch
from torch import Tensor

from maladist.arrays import Array
from maladist.grid import Grid
from maladist.io.samples import Rows
from maladist.learning.loss import Sensitivity
from maladist.learning.model import LDOSModel
from maladist.parallel import waves
from maladist.parallel.here import InProcess
from maladist.parallel.progress import Finished, Observer
from maladist.physics.fermi import fermi_states
from maladist.prediction.setup import Setup, setup
from maladist.training.forces import described_along


@dataclass(frozen=True)
class Labelled:
    """Points of all cells.

    Attributes
    ----------
    x, slopes
        Scaled descriptors, and their slopes along a random displacement of a cell's atoms, (cells, points, features)
        float32.
    felt
        What the energies of each cell feel, at the μ of the ensemble's own D(ε); None of a model without an LDOS.
    correction
        Whether energies are corrected for the broadening.
    """

    x: Tensor
    slopes: Tensor
    felt: list[Sensitivity | None]
    correction: bool

    @property
    def digest(self) -> str:
        """SHA-256 of the descriptors, hexadecimal."""
        return hashlib.sha256(self.x.numpy().tobytes()).hexdigest()


def label(
    teacher: LDOSModel, cells: Sequence[ase.Atoms], points: int, seed: int, here: InProcess, observer: Observer
) -> Labelled:
    """Describe cells, each at about so many points; the ensemble's own outputs there are made when they are learnt."""
    random, placed = np.random.default_rng(seed), list[Setup]()
    for atoms in cells:
        moved = atoms.copy()
        # In place of the grid's origin: the points lie anywhere between the atoms.
        moved.positions += random.random(3) @ moved.cell.array
        placed.append(setup(moved, teacher))
    jobs = (
        waves.NamedJob(f"cell {i}", one, points, random.normal(size=(1, one.system.n_atoms, 3)))
        for i, one in enumerate(placed)
    )
    observer.stage("cells", len(cells))
    described = []
    for found in waves.in_order(here, describe_cell, jobs, run_key="distil"):
        described.append(found)
        observer.advance(Finished())
    # Grids of cells of other shapes have other numbers of points: as many of each, in random order.
    fewest = min(len(x) for x, _ in described)
    felt, xs, slopes, outside = [], [], [], 0
    for one, (features, along) in zip(placed, described, strict=True):
        if teacher.domain is not None:
            outside += int((teacher.novelty(torch.from_numpy(features)) > 1).sum())
        felt.append(_felt(one, torch.from_numpy(features)))
        kept = random.permutation(len(features))[:fewest]
        xs.append(teacher.input_scaler.transform(torch.from_numpy(features[kept])))
        slopes.append(teacher.input_scaler.of_differences.transform(torch.from_numpy(along[kept]).double()).float())
    if outside:
        share = outside / sum(len(x) for x, _ in described)
        observer.note(
            f"{share:.2%} of the points are outside of the ensemble's training: what it says there is learnt too"
        )
    return Labelled(torch.stack(xs), torch.stack(slopes), felt, placed[0].system.correction)


def describe_cell(ready: Setup, points: int, displacement: Array) -> tuple[Rows, Rows]:
    """Descriptors at about so many points of a cell, and their slopes along a displacement, (points, features) each."""
    # Not the grid of the cell: nothing but the LDOS is needed, whose sum asks for few points.
    lengths = np.linalg.norm(ready.system.grid.cell_array, axis=1)
    n = np.ceil(lengths * (points / lengths.prod()) ** (1 / 3)).astype(int).tolist()
    coarse = Grid(ready.system.grid.cell, (n[0], n[1], n[2]))
    features, along = described_along(displacement, ready.system, coarse, ready.model.descriptor)
    return features, along[0]


def _felt(one: Setup, features: Tensor) -> Sensitivity | None:
    """What the energies of a cell feel, at the μ of the ensemble's own D(ε)."""
    if not one.model.has_ldos:
        return None
    volume = one.system.grid.volume
    dos = one.model.ldos(features).double().mean(0) * volume
    state = fermi_states(dos, one.model.energy_grid, one.system)[0]
    # The loss has the energies of the model, without the cell's zero.
    return Sensitivity(volume / one.system.n_atoms, state.fermi_energy - one.zero, state.temperature)
