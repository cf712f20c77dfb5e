r"""Distillation: one network that gives an ensemble's mean at a k-th of its cost.

The ensemble labels any cell, so cells need no DFT and may be many. At points of each the student's scaled outputs y
learn the mean y⁰ of the ensemble's, and how it changes along a random displacement v of all atoms, since forces are
such slopes (Sobolev training: Czarnecki and others, NeurIPS 30, 4278 (2017)):

    loss of y against y⁰ (:mod:`maladist.learning.loss`)  +  ⟨ (q̇ − q̇⁰)² ⟩ / ⟨ q̇⁰² ⟩,        q̇ = Σ_f ∂q/∂B_f Ḃ_f

with q what the energies feel at a point: q_N, q_B, the LDOS' part of q_A, and the density channel. Slopes of single
levels are left out: the members' are their own noise to a fifth, which one network of their size cannot learn. The
student begins as the nearest member, near the mean already: from other weights it would take several times as long. The
epoch is kept, or the member, whose loss is least on one cell of twenty, which is not learnt from.

How far it comes, be-1000K-2's three networks, 420 cells, 12 epochs: on cells kept aside E_b is off from the ensemble's
by 2.8 meV/atom for the nearest member and 1.9 for the student. Against the DFT of 28 held-out crystals |ΔA| is 2.1
meV/atom for the ensemble, 2.2 for the member and 2.1 for the student (1.3, 2.4 and 4.1 on 8, 16 and 32 atoms, where the
ensemble has 1.4, 1.7 and 4.0), |ΔE_b| 2.2, 2.4 and 1.8; with a vacancy, where the mean of three is worth most, 9.8, 7.5
and 15 (four cells). Higher rates, more epochs and a third of cells with vacancies made A of the crystals worse by half
a meV/atom. Most of what a student gives is its price.

Of al-933K's three networks (430 cells, 8 epochs) the student is off by 0.9 meV/atom in E_b; its errors against the DFT
of 22 held-out cells are those of the three within 0.1 meV/atom (0.3 by size): |ΔA| 6.2 for 6.1.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from maladist.atoms import AtomsLike, ase_atoms
from maladist.errors import InputError, ModelError
from maladist.io import ownership
from maladist.io.model_file import save_model
from maladist.io.samples import read_checkpoint, write_checkpoint
from maladist.learning.ensemble import EnsembleNetwork
from maladist.learning.loss import LDOSLoss, LossConfig
from maladist.learning.model import LDOSModel
from maladist.learning.network import FeedForward
from maladist.learning.outputs import Outputs
from maladist.parallel.here import InProcess
from maladist.parallel.progress import Finished, Observer, Silent
from maladist.training.ensemble_labels import Labelled, label
from maladist.training.train import CHECKPOINT, MODEL, open_output

ASIDE: Final = 20
"""One cell of so many is not learnt from: there the student is held against the ensemble."""
_LOSS: Final = LossConfig(channel=2.0, density=40.0, band=1.0, mean_density=4000.0, mean_band=500.0)
_CELLS, _POINTS = 8, 128  # of a batch


@dataclass(frozen=True)
class Differences:
    """The student less the ensemble, on the cells that are kept aside.

    Attributes
    ----------
    loss
        The loss of these cells.
    outputs, slopes
        Root mean square difference of the scaled outputs, and of the slopes, each over the ensemble's own.
    electrons, band
        Mean absolute differences of the number of electrons at the ensemble's μ, 1/atom, and of E_b, meV/atom; NaN of
        a model without an LDOS.
    """

    loss: float
    outputs: float
    slopes: float
    electrons: float
    band: float

    def __str__(self) -> str:
        return (
            f"kept aside: loss {self.loss:.3g}, outputs {self.outputs:.2%}, slopes {self.slopes:.2%},"
            f" N {self.electrons:.1g} per atom, E_b {self.band:.2f} meV/atom"
        )


@dataclass(frozen=True)
class DistilReport(Finished):
    """An epoch: its number from 1, of how many, its time, the loss averaged over it, and what is left after it."""

    epoch: int
    epochs: int
    seconds: float
    loss: float
    aside: Differences

    def line(self, *, bar: bool) -> str:
        """All of it, beside a bar too: there are few epochs."""
        del bar
        return f"epoch {self.epoch} of {self.epochs}: loss {self.loss:.3g}, {self.seconds:.1f} s; {self.aside}"


def distil(
    model: LDOSModel,
    cells: Sequence[AtomsLike],
    output: str | Path,
    *,
    epochs: int = 12,
    points: int = 600,
    learning_rate: float = 1e-4,
    seed: int = 0,
    resume: bool = False,
    observer: Observer | None = None,
) -> LDOSModel:
    """Train one network to give what an ensemble gives; the ensemble stays in the model for its spread.

    Parameters
    ----------
    model
        Ensemble that was trained on DFT.
    cells
        Cells to label, of the matter and the spread that the model is for; no DFT is needed.
    output
        Folder to make; holds the model, ``model.maladist``, and the checkpoint.
    epochs
        Number of times that every point is seen.
    points
        Points of a cell, at least 128: those of the grid that has about so many. They are all held in memory, with
        their slopes: 16 bytes a point and feature.
    learning_rate
        Largest learning rate, of AdamW with torch's OneCycleLR.
    seed
        Seed of the displacements, of the grids' origins and of the order of points.
    resume
        Whether to go on where an earlier call was interrupted; from the beginning where there is no checkpoint.
    observer
        Observer that is told of the epochs (`DistilReport`); nobody where None.

    Returns
    -------
    LDOSModel
        The model, on the CPU: its values are the student's, its `members` those of the ensemble. It has no calibrated
        σ, whose errors were the ensemble's.

    Raises
    ------
    ModelError
        The model is no ensemble.
    InputError
        A cell that the model cannot predict, too few of them, or a checkpoint of other cells or settings.

    Examples
    --------
    >>> model = maladist.load_model("be-1000K-2")
    >>> cells = [be.copy() for _ in range(28)]
    >>> for seed, cell in enumerate(cells):
    ...     cell.rattle(0.05, seed=seed)
    >>> student = maladist.distil(model, cells, "distilled", epochs=1, points=128)
    >>> len(student.members())  # kept, for their spread
    3
    """
    if len(model.members()) < 2:
        raise ModelError("model", "one network", "an ensemble", "Train one with members: 3.")
    if len(cells) < ASIDE + _CELLS:
        raise InputError("cells", f"{len(cells)}", f"{ASIDE + _CELLS} or more", "maladist sample makes them.")
    if points < _POINTS:
        raise InputError("points", f"{points}", f"{_POINTS} or more of each cell")
    observer, output = observer or Silent(), open_output(output, resume)
    # Of a student as well: what it is to learn is the members' mean.
    teacher = LDOSModel.mean_of(model.members()).to(dtype=torch.float32)
    with ownership.take(output) as folder, InProcess() as here, torch.random.fork_rng():
        observer.begin(here, f"{len(cells)} cells, {epochs} epochs")
        labelled = label(teacher, [ase_atoms(cell) for cell in cells], points, seed, here, observer)
        how = {"epochs": epochs, "points": points, "learning_rate": learning_rate, "seed": seed}
        settings = {"cells": len(cells), **how}
        known = {**settings, "described": labelled.digest, "model": model.content_hash}
        run = _Run(teacher, labelled, epochs, learning_rate, known)
        if resume and (output / CHECKPOINT).exists():
            run.load(read_checkpoint(output / CHECKPOINT))
        observer.stage("epochs", epochs, run.epoch)
        observer.note(f"{'so far' if run.epoch else 'the nearest member'}: {run.now}")
        while run.epoch < epochs:
            torch.manual_seed(seed * 1_000_003 + run.epoch)  # of the order: the same after an interruption
            observer.advance(run.end_epoch())
            folder.check()  # somebody may have taken it over while this process slept
            write_checkpoint(output / CHECKPOINT, run.state())
        found = model.stood_for_by(run.best_student())
        found = replace(found, provenance={**found.provenance, "distilled": settings})
        save_model(found, output / MODEL)
    return found


class _Run:
    """The student, its optimiser, and the number of epochs that are done."""

    def __init__(
        self, teacher: LDOSModel, labelled: Labelled, epochs: int, learning_rate: float, known: dict[str, object]
    ) -> None:
        assert isinstance(teacher.network, EnsembleNetwork)
        # With gradients of the weights, which nobody takes: the product without them has no derivative forwards.
        self.teacher = teacher.network.requires_grad_()
        self.labelled, self.epochs, self.known = labelled, epochs, known
        self.levels, self.epoch = teacher.energy_grid.levels, 0
        cells = torch.arange(len(labelled.x))
        self.aside, self.learnt = cells[::ASIDE], cells[cells % ASIDE > 0]
        outputs = Outputs(teacher.output_scaler, teacher.density_scaler)
        self.loss_of = LDOSLoss(_LOSS, labelled.felt, teacher.energy_grid, outputs, correction=labelled.correction)
        self.student: FeedForward = self.teacher.networks[0]
        self.variance = self._of(self.teacher, self.aside)[1].square().mean(dim=(0, 1))
        self.least, self.best = math.inf, self.student.state_dict()
        for member in self.teacher.networks:  # it begins as the nearest, and may never become better
            self.student = copy.deepcopy(member).train()
            self.judge()
        self.student.load_state_dict(self.best)
        self.now = self._held_aside()
        self.optimiser = torch.optim.AdamW(self.student.parameters(), lr=learning_rate, weight_decay=1e-5)
        steps = epochs * len(self.learnt.split(_CELLS)) * (labelled.x.shape[1] // _POINTS)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimiser, learning_rate, total_steps=steps)

    def end_epoch(self) -> DistilReport:
        """Learn from every point once, then hold the student against the ensemble where it has not learnt."""
        began, losses = time.perf_counter(), []
        for cells in self.learnt[torch.randperm(len(self.learnt))].split(_CELLS):
            order = torch.randperm(self.labelled.x.shape[1])
            for points in order.split(_POINTS)[: len(order) // _POINTS]:
                averages, slopes, _ = self._differ(cells, points)
                loss = self.loss_of.terms_of(averages).sum() + slopes
                self.optimiser.zero_grad()
                loss.backward()
                self.optimiser.step()
                self.schedule.step()
                losses.append(loss.detach())
        self.epoch += 1
        mean = float(torch.stack(losses).mean())
        if not np.isfinite(mean):
            raise InputError("learning_rate", f"a loss that is not finite in epoch {self.epoch}", "a smaller one")
        seconds = time.perf_counter() - began
        self.judge()
        return DistilReport(self.epoch, self.epochs, seconds, mean, self.now)

    def judge(self) -> None:
        """Hold the student against the ensemble where it has not learnt; keep its weights if it never was so near."""
        self.now = self._held_aside()
        if self.now.loss < self.least:
            self.least, self.best = self.now.loss, copy.deepcopy(self.student.state_dict())

    def _held_aside(self) -> Differences:
        averages, slopes, scale = (found.detach() for found in self._differ(self.aside))
        number, band = averages[:, 4:6].abs().mean(0).tolist() if self.levels else (np.nan, np.nan)
        outputs, loss = (
            averages[:, 0 if self.levels else 1].mean() / scale,
            self.loss_of.terms_of(averages).sum() + slopes,
        )
        return Differences(float(loss), float(outputs.sqrt()), float(slopes.sqrt()), number, 1000 * band)

    def _differ(self, cells: Tensor, points: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Averages of the loss, mean square difference of the slopes over their own, and mean square of the outputs."""
        wanted, its_slopes = self._of(self.teacher, cells, points)
        y, slopes = self._of(self.student, cells, points)
        averages = self.loss_of.averages_of_scaled(y, wanted, cells, wanted[..., 0])
        apart = ((slopes - its_slopes).square() / self.variance).mean()
        return averages, apart, wanted.var()

    def _of(
        self, network: FeedForward | EnsembleNetwork, cells: Tensor, points: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Outputs of a network at points of cells, (cells, points, outputs), and slopes of what the energies feel."""
        every = slice(None) if points is None else points
        x, along = self.labelled.x[cells][:, every], self.labelled.slopes[cells][:, every]
        y, along_it = torch.func.jvp(network, (x,), (along,))[:2]
        slopes = along_it[..., self.levels :]
        if self.loss_of.weights is not None:
            slopes = torch.cat([torch.bmm(along_it[..., : self.levels], self.loss_of.weights[cells]), slopes], dim=-1)
        return (y, slopes) if network is self.student else (y.detach(), slopes.detach())

    def best_student(self) -> FeedForward:
        """The student as it was when it was nearest to the ensemble."""
        self.student.load_state_dict(self.best)
        return self.student.eval()

    def state(self) -> dict[str, object]:
        """All that goes on after an interruption needs."""
        return {
            "epoch": self.epoch,
            "known": self.known,
            "student": self.student.state_dict(),
            "best": self.best,
            "least": self.least,
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint.

        Raises
        ------
        InputError
            It is of another model, of other cells or settings.
        """
        if state.get("known") != self.known:
            came = "the checkpoint of another model, of other cells or other settings"
            raise InputError("output", came, "the same", "Give a new folder, or the same arguments.")
        self.student.load_state_dict(state["student"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.epoch, self.best, self.least = state["epoch"], state["best"], state["least"]
        self.now = self._held_aside()
