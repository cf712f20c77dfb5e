"""Errors of a model on the validation snapshots of a training: the loss, E_b, A and n(r), chunk by chunk.

From all points of a snapshot D = Ω ⟨d⟩ gives the Fermi level and E_b; with the DFT's pseudopotentials the density gives
A. Where only some points were chosen, D is the DFT's plus Ω ⟨d − d⁰⟩ over them: the two have their sampling's error in
common, which so drops out. n(r) and A need all points.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from maladist.datasets.snapshots import Snapshot
from maladist.elements import Element
from maladist.errors import AccuracyWarning, EnergyWindowError
from maladist.io import stores
from maladist.learning.loss import TERMS, LDOSLoss
from maladist.learning.model import LDOSModel
from maladist.physics.energies import total_free_energy
from maladist.physics.fermi import FermiWeights, fermi_states
from maladist.training.samples import Chunk


@dataclass(frozen=True)
class SnapshotErrors:
    """Errors of one snapshot, model minus DFT; None where the data do not tell.

    Attributes
    ----------
    band_energy, total_energy
        Errors of E_b and A, meV/atom.
    density
        Mean |Δn| / mean n.
    """

    name: str
    band_energy: float | None = None
    total_energy: float | None = None
    density: float | None = None


@dataclass(frozen=True)
class Validated:
    """Errors of all validation snapshots.

    Attributes
    ----------
    loss
        Loss as in training, of the model as it is used.
    snapshots
        Errors by snapshot.
    """

    loss: float
    snapshots: tuple[SnapshotErrors, ...]

    def mean(self, name: str) -> float | None:
        """Mean absolute 'band_energy', 'total_energy' or 'density' error; None unless every snapshot has one."""
        values = [getattr(s, name) for s in self.snapshots]
        return None if any(v is None for v in values) else float(np.mean(np.abs(values)))

    def metric(self, name: str) -> float:
        """The value to be made small, 'loss' or a mean error; infinite where it is not known."""
        value = self.loss if name == "loss" else self.mean(name)
        return math.inf if value is None or not math.isfinite(value) else value

    def __str__(self) -> str:
        parts = [f"validation loss {self.loss:.4g}"]
        for name, label in (("band_energy", "|ΔE_b|"), ("total_energy", "|ΔA|")):
            if (value := self.mean(name)) is not None:
                parts.append(f"{label} {value:.1f} meV/atom")
        if (value := self.mean("density")) is not None:
            parts.append(f"|Δn|/n {value:.2%}")
        return ", ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Errors by names with their units, for tables; what is not known or infinite is left out."""
        named = {
            "validation_loss": self.loss,
            "band_energy_meV_per_atom": self.mean("band_energy"),
            "total_energy_meV_per_atom": self.mean("total_energy"),
            "density_relative": self.mean("density"),
        }
        return {name: value for name, value in named.items() if value is not None and math.isfinite(value)}


@dataclass(frozen=True)
class Validation:
    """What a training is validated on.

    Attributes
    ----------
    snapshots, chunks
        Snapshots, and the chosen points of all of them.
    loss
        Loss with what it must know of these snapshots.
    correction
        Whether energies are corrected for the broadening.
    elements
        Pseudopotentials by symbol, for A.
    """

    snapshots: Sequence[Snapshot]
    chunks: Sequence[Chunk]
    loss: LDOSLoss
    correction: bool
    elements: Mapping[str, Element]

    def __call__(self, model: LDOSModel) -> Validated:
        """Errors of a model."""
        averages, errors = [], []
        for number, snapshot in enumerate(self.snapshots):
            chunks = [c for c in self.chunks if c.snapshot == number]
            mean, dos = self._averages(model, chunks)
            averages.append(mean)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AccuracyWarning)  # of a network that has hardly begun to learn
                errors.append(self._energies(model, snapshot, chunks, dos))
        loss = float(self.loss.terms_of(torch.stack(averages)).sum())
        return Validated(loss, tuple(errors))

    def _averages(self, model: LDOSModel, chunks: Sequence[Chunk]) -> tuple[torch.Tensor, torch.Tensor]:
        """Averages for the loss, (terms,), and means of d and of d − d⁰ over the points, (2, levels) float64."""
        rows = sum(c.rows for c in chunks)
        averages, dos = torch.zeros(len(TERMS)), torch.zeros(2, model.energy_grid.levels, dtype=torch.float64)
        levels, outputs = model.energy_grid.levels, self.loss.outputs
        for chunk in chunks:
            features, data = (torch.from_numpy(a).to(model.device) for a in chunk.read())
            ldos, density = model.fields(features)
            given = ldos if density is None else torch.cat([ldos, density[:, None]], dim=1)
            number = torch.full((1,), chunk.snapshot, device=model.device)
            # Some terms are squares of averages over a snapshot's points: the averages come first, chunk by chunk.
            share = self.loss.averages(outputs.transform(given, levels)[None], data[None], number)[0]
            averages += share.cpu() * (chunk.rows / rows)
            dos[0] += ldos.double().sum(0).cpu() / rows
            dos[1] += (ldos.double() - data[:, :levels].double()).sum(0).cpu() / rows
        return averages, dos

    def _energies(
        self, model: LDOSModel, snapshot: Snapshot, chunks: Sequence[Chunk], means: torch.Tensor
    ) -> SnapshotErrors:
        system = replace(snapshot.system, elements=self.elements, correction=self.correction)
        grid, n = system.grid, system.n_atoms
        every = sum(c.rows for c in chunks) == grid.n_points
        if not system.temperatures or system.n_electrons is None or (snapshot.dos is None and not every):
            return SnapshotErrors(snapshot.name)
        dos = grid.volume * means[0] if every else torch.as_tensor(snapshot.dos) + grid.volume * means[1]
        try:
            (state,) = fermi_states(dos, snapshot.energies, system)
        except EnergyWindowError:
            # A D(ε) that brackets no Fermi level is as wrong as can be; None would mean that the data do not tell.
            return SnapshotErrors(snapshot.name, math.inf, math.inf, math.inf)
        band, terms = state.band_energy(dos, system.n_electrons), snapshot.terms
        band_error = 1e3 * (band - terms["band_energy_eV"]) / n if "band_energy_eV" in terms else None
        if not (every and snapshot.has_density):
            return SnapshotErrors(snapshot.name, band_error)
        # The Fermi level needs D(ε) of the whole cell, and the density needs the Fermi level.
        density = self._density(model, snapshot, chunks, state.weights)
        dft = torch.as_tensor(stores.read_region(snapshot.path, "density").astype(float, copy=False))
        density_error = float((density - dft).abs().mean() / dft.mean())
        total = total_free_energy(band, state.entropy_contribution(dos), density, system).total
        known = total is not None and "total_free_energy_eV" in terms
        total_error = 1e3 * (total - terms["total_free_energy_eV"]) / n if total is not None and known else None
        return SnapshotErrors(snapshot.name, band_error, total_error, density_error)

    def _density(self, model: LDOSModel, snapshot: Snapshot, chunks: Sequence[Chunk], w: FermiWeights) -> torch.Tensor:
        """The density that A is taken at, (Nx, Ny, Nz) float64: a second pass, now that μ is known.

        That of the model's channel, scaled to the number of electrons, or of the LDOS where there is none.
        """
        density = torch.empty(snapshot.system.grid.shape, dtype=torch.float64)
        for chunk in chunks:
            ldos, channel = model.fields(torch.from_numpy(chunk.read()[0]))
            values = ldos.cpu().double() @ w.number if channel is None else channel.cpu().double()
            density[chunk.block.slices] = values.reshape(chunk.block.shape)
        if model.has_density_channel and snapshot.system.n_electrons is not None:
            density *= snapshot.system.n_electrons / (float(density.sum()) * snapshot.system.grid.voxel_volume)
        return density
