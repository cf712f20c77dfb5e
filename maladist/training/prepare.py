"""All that a training needs before its first step: snapshots, samples, scalers, and what makes a model of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from distributed import Client

from maladist.datasets.snapshots import Snapshot, check_alike, find_snapshots
from maladist.descriptors import Spec
from maladist.elements import Element
from maladist.errors import InputError
from maladist.io.qe.upf import read_pseudopotentials
from maladist.learning.domain import Domain
from maladist.learning.loss import LDOSLoss
from maladist.learning.model import LDOSModel
from maladist.learning.network import FeedForward
from maladist.learning.outputs import Outputs
from maladist.learning.scaling import Scaler
from maladist.parallel.progress import Observer
from maladist.physics.fermi import use_correction
from maladist.training.batches import Batches
from maladist.training.config import TrainConfig
from maladist.training.domain import find_domain
from maladist.training.potential import potentials
from maladist.training.samples import Chunk, number_of_points, sample
from maladist.training.validation import Validation

_SMALL: Final = 0.1  # of torch's usual weights of the last layer, whose spread is larger than that of the scaled LDOS


@dataclass(frozen=True, eq=False)
class Prepared:
    """Data of a training, ready to be read by any process that sees the same files.

    Attributes
    ----------
    train, validation
        Snapshots.
    chunks, validation_chunks
        Their chosen points.
    hashes
        SHA-256 of the training snapshots' chosen LDOS.
    spec
        Descriptors.
    inputs, outputs
        Scaling of descriptors, and of LDOS and density, fitted to the training's points.
    domain
        Where the model is trained.
    mean
        Of what the network gives over these points: LDOS, 1/(eV Å³), and density, 1/Å³; (outputs,) float64.
    elements
        Pseudopotentials by symbol.
    correction
        Of the broadening, in loss and energies.
    """

    train: tuple[Snapshot, ...]
    validation: tuple[Snapshot, ...]
    chunks: tuple[Chunk, ...]
    validation_chunks: tuple[Chunk, ...]
    hashes: tuple[str, ...]
    spec: Spec
    inputs: Scaler
    outputs: Outputs
    domain: Domain
    mean: torch.Tensor
    elements: Mapping[str, Element]
    correction: bool

    def network(self, config: TrainConfig) -> FeedForward:
        """A new network, with torch's present random numbers, that begins near the mean LDOS of the data.

        Else the first steps would go into the errors of the cell's averages, which the loss may weigh a thousand times
        as much as those of points.
        """
        c = config.network
        levels = self.train[0].energies.levels
        sizes = [self.spec.n_features, *c.hidden, levels + self.outputs.extra]
        activations = [c.activation] * len(c.hidden) if isinstance(c.activation, str) else c.activation
        network = FeedForward(sizes, activations, dropout=c.dropout, residual=c.residual)
        if network.activation_names[-1] is None and isinstance(last := network.linear[-1], torch.nn.Linear):
            with torch.no_grad():
                last.weight.mul_(_SMALL)
                last.bias.copy_(self.outputs.transform(self.mean[None], levels)[0])
        return network

    def batches(self, config: TrainConfig, rank: int = 0, world: int = 1) -> Batches:
        """Batches of the training, or a rank's part of them."""
        portions, points, buffer = config.batch.snapshots, config.batch.points, config.data.buffer
        return Batches(
            self.chunks, portions=portions, points=points, buffer=buffer, seed=config.seed, rank=rank, world=world
        )

    def loss(self, config: TrainConfig, snapshots: tuple[Snapshot, ...], key: str) -> LDOSLoss:
        """The loss for some snapshots.

        Raises
        ------
        InputError
            A term that needs a Fermi level which a snapshot does not tell.
        """
        felt = [s.sensitivity(correction=self.correction) for s in snapshots] if config.loss.integrals else []
        for snapshot, one in zip(snapshots, felt, strict=False):
            if one is None:
                came = f"{snapshot.name}, which tells neither a Fermi level nor temperature, electrons and DOS"
                raise InputError(
                    key, came, "snapshots with a DFT reference", "Or leave ldos as the only weight in loss."
                )
        grid, device = snapshots[0].energies, config.torch_device
        return LDOSLoss(config.loss, felt, grid, self.outputs, correction=self.correction, device=device)

    def checked_on(self, config: TrainConfig) -> Validation | None:
        """What the training is validated on; None where there is nothing."""
        if not self.validation:
            return None
        loss = self.loss(config, self.validation, "data.validation")
        return Validation(self.validation, self.validation_chunks, loss, self.correction, self.elements)

    def model(self, config: TrainConfig, network: FeedForward, provenance: Mapping[str, Any]) -> LDOSModel:
        """The model of a network on the training's device."""
        first, snapshots = self.train[0], self.train
        temperatures = {None if s.temperature is None else round(s.temperature, 6) for s in snapshots}
        atoms, electrons = sum(s.system.n_atoms for s in snapshots), [s.system.n_electrons for s in snapshots]
        here = sorted({symbol for s in snapshots for symbol in s.system.symbols})
        # The coarsest of the data's spacings: a cell of the data gets the data's grid again, not a finer one.
        spacing = np.max([s.system.grid.spacing for s in snapshots], axis=0)
        return LDOSModel(
            network=network,
            input_scaler=self.inputs.to(network.device),
            output_scaler=self.outputs.ldos.to(network.device),
            density_scaler=None if self.outputs.density is None else self.outputs.density.to(network.device),
            descriptor=self.spec,
            energy_grid=first.energies,
            elements={s: self.elements.get(s, Element(s)) for s in here},
            xc=first.system.xc,
            temperature=temperatures.pop() if len(temperatures) == 1 else None,
            spacing=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
            density_cutoff=first.system.density_cutoff,
            restrict=config.restrict,
            electrons_per_atom=None if None in electrons else sum(e for e in electrons if e is not None) / atoms,
            energy_zero=config.energy_zero,
            domain=self.domain.to(network.device),
            provenance=provenance,
        )


def prepare(config: TrainConfig, folder: Path, client: Client, observer: Observer) -> Prepared:
    """Find the snapshots, choose and describe their points in one pass on the workers, fit the scalers.

    Parameters
    ----------
    folder
        Where samples are kept, unless the configuration names another.
    observer
        Is told what the user should know.

    Raises
    ------
    InputError
        Data that are not there, cannot be learnt from together, or lack what the configuration asks for.
    """
    data = config.data
    train = find_snapshots(data.train, "data.train")
    validation = find_snapshots(data.validation, "data.validation") if data.validation else []
    check_alike([train[0], *validation], "data.validation")
    if both := {s.path for s in train} & {s.path for s in validation}:
        observer.note(f"{len(both)} snapshots are in data.train and in data.validation: {', '.join(sorted(both))}")
    if config.energy_zero:
        train, validation = _on_local_energies(config.energy_zero, train, validation)
    spec = _spec(config, train)
    for snapshot in train:
        if (n := number_of_points(data.points, snapshot.system.grid.n_points)) < config.batch.points:
            raise InputError("batch.points", f"{config.batch.points}", f"at most {n}, the points of {snapshot.name}")
    elements = {} if data.pseudopotentials is None else read_pseudopotentials(data.pseudopotentials)
    correction, why = use_correction(config.loss.correction, train[0].energies)
    if not correction and (config.loss.integrals or validation):
        observer.note(f"broadening correction off: {why}")
    samples = folder / "samples" if data.samples is None else Path(data.samples)
    cross = (config.inputs.kind == "whiten", config.outputs.kind == "whiten")
    fields = ("ldos", "density") if _learns_density(config, train, validation) else ("ldos",)
    if config.loss.mean_total:
        train, validation = (
            potentials(part, elements, samples, client, correction=correction, channel="density" in fields)
            for part in (train, validation)
        )
    choose = partial(sample, spec=spec, folder=samples, client=client, seed=config.seed, fields=fields)
    found = choose(train, points=data.points, shuffled=True, cross=cross)
    held = choose(validation, points=data.validation_points).chunks if validation else ()
    levels = Scaler.fit(found.ldos, config.outputs.kind, feature_wise=config.outputs.feature_wise)
    density = Scaler.fit(found.rest.first(1), "standard", feature_wise=False) if "density" in fields else None
    outputs = Outputs(levels, density)
    inputs = Scaler.fit(found.features, config.inputs.kind, feature_wise=config.inputs.feature_wise)
    return Prepared(
        tuple(train),
        tuple(validation),
        found.chunks,
        held,
        found.hashes,
        spec,
        inputs,
        outputs,
        find_domain(train, found.chunks, held, inputs, observer),
        torch.cat([found.ldos.mean, found.rest.mean[: outputs.extra]]),
        elements,
        correction,
    )


def _on_local_energies(
    energy_zero: Mapping[str, float], train: list[Snapshot], validation: list[Snapshot]
) -> tuple[list[Snapshot], list[Snapshot]]:
    """Snapshots without their cells' zeros of energy, on the window that fits the training's cells on average."""
    on_disk = train[0].energies
    mean = float(np.mean([s.zero_of(energy_zero) for s in train]))
    local = replace(on_disk, origin=on_disk.origin - mean)
    here, there = ([s.on_local_energies(energy_zero, local) for s in part] for part in (train, validation))
    return here, there


def _learns_density(config: TrainConfig, train: list[Snapshot], validation: list[Snapshot]) -> bool:
    """Whether the network has a density channel; refuses one that some snapshot has no density for."""
    without = [s.name for s in (*train, *validation) if not s.has_density]
    if config.density_channel == "on" and without:
        came = f"'on', where {without[0]} and {len(without) - 1} more hold no density" if without[1:] else without[0]
        raise InputError("density_channel", came, "snapshots that hold the DFT's density", "Or density_channel: 'off'.")
    return config.density_channel != "off" and not without


def _spec(config: TrainConfig, snapshots: list[Snapshot]) -> Spec:
    if config.spec is not None:
        return config.spec
    first = snapshots[0]
    if first.stored is None:
        wanted = "a descriptor's family and fields, as {family: bispectrum, twojmax: 10, cutoff: 4.67637}"
        raise InputError("descriptor", f"none, and none is stored with {first.name}", wanted)
    return first.stored
