"""Errors of a model on the validation snapshots of a training: the loss, E_b, A and n(r), chunk by chunk.

E_b and A are compared twice: with what the DFT printed, and with what the data's own LDOS gives, as MALA compares. The
difference of the two is the data's own error, which no network that learns the LDOS can be expected to mend.

From all points of a snapshot D = Ω ⟨d⟩ gives the Fermi level and E_b; with the DFT's pseudopotentials the density gives
A. Where only some points were chosen, D is the DFT's plus Ω ⟨d − d⁰⟩ over them: the two have their sampling's error in
common, which so drops out. n(r) and A need all points.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

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
        Against the energies that the DFT printed, meV/atom.
    density
        Mean |Δn| / mean n.
    band_energy_from_data, total_energy_from_data
        Against the energies that the data's own LDOS gives, meV/atom.
    band_energy_of_data, total_energy_of_data
        What the data's own LDOS gives less what the DFT printed, meV/atom: the model has no part in it.
    """

    name: str
    band_energy: float | None = None
    total_energy: float | None = None
    density: float | None = None
    band_energy_from_data: float | None = None
    total_energy_from_data: float | None = None
    band_energy_of_data: float | None = None
    total_energy_of_data: float | None = None


@dataclass(frozen=True)
class Validated:
    """Errors of all validation snapshots.

    Attributes
    ----------
    loss
        Loss as in training, of the model as it is used; without the term of the forces, whose slopes are found of the
        training's snapshots alone.
    snapshots
        Errors by snapshot.
    """

    loss: float
    snapshots: tuple[SnapshotErrors, ...]

    def mean(self, name: str) -> float | None:
        """Mean absolute error, by its name in `SnapshotErrors`; None unless every snapshot has one."""
        values = [getattr(s, name) for s in self.snapshots]
        return None if any(v is None for v in values) else float(np.mean(np.abs(values)))

    def metric(self, name: str) -> float:
        """The value to be made small, 'loss' or a mean error; infinite where it is not known."""
        value = self.loss if name == "loss" else self.mean(name)
        return math.inf if value is None or not math.isfinite(value) else value

    def __str__(self) -> str:
        return told(self._figures())

    def to_dict(self) -> dict[str, float]:
        """Errors by names with their units, for tables; what is not known or infinite is left out."""
        return {name: value for name, value in self._figures().items() if math.isfinite(value)}

    def _figures(self) -> dict[str, float]:
        energies = [
            f"{name}{kind}" for name in ("band_energy", "total_energy") for kind in ("", "_from_data", "_of_data")
        ]
        means = {f"{name}_meV_per_atom": self.mean(name) for name in energies}
        named = {"validation_loss": self.loss, **means, "density_relative": self.mean("density")}
        return {name: value for name, value in named.items() if value is not None}


def told(figures: Mapping[str, float]) -> str:
    """One line of the mean errors that `Validated.to_dict` names."""
    parts = [f"validation loss {figures['validation_loss']:.4g}"] if "validation_loss" in figures else []
    for name, label in (("band_energy", "|ΔE_b|"), ("total_energy", "|ΔA|")):
        dft, data, own = (figures.get(f"{name}{kind}_meV_per_atom") for kind in ("", "_from_data", "_of_data"))
        if dft is not None:
            beside = (
                "" if data is None or own is None else f" (from the data's LDOS {data:.1f}, which is off by {own:.1f})"
            )
            parts.append(f"{label} {dft:.1f} meV/atom{beside}")
        elif data is not None:
            parts.append(f"{label} from the data's LDOS {data:.1f} meV/atom")
    if "density_relative" in figures:
        parts.append(f"|Δn|/n {figures['density_relative']:.2%}")
    return ", ".join(parts)


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
            # A warning for each snapshot and epoch would bury all else that is said.
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
        grid = system.grid
        every = sum(c.rows for c in chunks) == grid.n_points
        if not snapshot.energies.levels:
            known = every and snapshot.has_density
            error = _off(self._density(model, snapshot, chunks, None), snapshot) if known else None
            return SnapshotErrors(snapshot.name, density=error)
        if not system.temperatures or system.n_electrons is None or (snapshot.dos is None and not every):
            return SnapshotErrors(snapshot.name)
        dos = grid.volume * means[0] if every else torch.as_tensor(snapshot.dos) + grid.volume * means[1]
        try:
            (state,) = fermi_states(dos, snapshot.energies, system)
        except EnergyWindowError:
            # A D(ε) that brackets no Fermi level is as wrong as can be; None would mean that the data do not tell.
            return SnapshotErrors(snapshot.name, *5 * [math.inf])
        band, total, density_error = state.band_energy(dos, system.n_electrons), None, None
        if every and snapshot.has_density:
            # The Fermi level needs D(ε) of the whole cell, and the density needs the Fermi level.
            density = self._density(model, snapshot, chunks, state.weights)
            density_error = _off(density, snapshot)
            total = total_free_energy(band, state.entropy_contribution(dos), density, system).total
        return self._errors(snapshot, band, total, density_error)

    def _errors(self, snapshot: Snapshot, band: float, total: float | None, density: float | None) -> SnapshotErrors:
        """Errors by both comparisons, from the model's E_b and A in eV."""
        n, terms, (integrals, of_data) = snapshot.system.n_atoms, snapshot.terms, self._of_data[snapshot.path]

        def off(ours: float | None, theirs: float | None) -> float | None:
            return None if ours is None or theirs is None else 1e3 * (ours - theirs) / n

        own = of_data.get("total_free_energy")  # eV/atom; A is taken at the DFT's density, so that nothing else differs
        dft = terms.get("total_free_energy_eV")
        return SnapshotErrors(
            snapshot.name,
            band_energy=off(band, terms.get("band_energy_eV")),
            total_energy=off(total, dft),
            density=density,
            band_energy_from_data=off(band, integrals.get("band_energy_eV")),
            total_energy_from_data=None if own is None or dft is None else off(total, dft + n * own),
            band_energy_of_data=off(integrals.get("band_energy_eV"), terms.get("band_energy_eV")),
            total_energy_of_data=None if own is None else 1e3 * own,
        )

    @cached_property
    def _of_data(self) -> dict[str, tuple[dict[str, float], dict[str, float]]]:
        """Energies that each snapshot's own LDOS gives, eV, and by how much they differ from the DFT's, eV/atom."""
        return {
            s.path: (s.integrals(correction=self.correction), s.data_error(correction=self.correction))
            for s in self.snapshots
        }

    def _density(
        self, model: LDOSModel, snapshot: Snapshot, chunks: Sequence[Chunk], w: FermiWeights | None
    ) -> torch.Tensor:
        """The density that A is taken at, (Nx, Ny, Nz) float64: a second pass, now that μ is known.

        That of the model's channel, scaled to the number of electrons, or of the LDOS where there is none.
        """
        density = torch.empty(snapshot.system.grid.shape, dtype=torch.float64)
        for chunk in chunks:
            ldos, channel = model.fields(torch.from_numpy(chunk.read()[0]))
            if channel is not None:
                values = channel.cpu().double()
            else:
                assert w is not None  # without a channel there is an LDOS
                values = ldos.cpu().double() @ w.number
            density[chunk.block.slices] = values.reshape(chunk.block.shape)
        if model.has_density_channel and snapshot.system.n_electrons is not None:
            density *= snapshot.system.n_electrons / (float(density.sum()) * snapshot.system.grid.voxel_volume)
        return density


def _off(density: torch.Tensor, snapshot: Snapshot) -> float:
    """Mean |Δn| / mean n against the DFT's density."""
    dft = torch.as_tensor(stores.read_region(snapshot.path, "density").astype(float, copy=False))
    return float((density - dft).abs().mean() / dft.mean())
