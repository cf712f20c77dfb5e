"""All that a training needs before its first step: samples, scalers, and what makes a model of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from distributed import Client

from maladist.datasets.snapshots import Snapshot
from maladist.elements import Element
from maladist.errors import InputError
from maladist.learning.domain import Domain
from maladist.learning.loss import LDOSLoss
from maladist.learning.model import LDOSModel
from maladist.learning.network import FeedForward
from maladist.learning.outputs import Outputs
from maladist.learning.scaling import Scaler
from maladist.parallel.progress import Observer
from maladist.training.batches import Batches
from maladist.training.config import TrainConfig
from maladist.training.data import TrainingData
from maladist.training.domain import find_domain
from maladist.training.forces import ForceLoss, Slopes, force_labels
from maladist.training.potential import potentials
from maladist.training.samples import Chunk, Wanted, sample
from maladist.training.validation import Validation

_SMALL: Final = 0.1  # of torch's usual weights of the last layer, whose spread is larger than that of the scaled LDOS


@dataclass(frozen=True, eq=False)
class Prepared:
    """Data of a training, ready to be read by any process that sees the same files.

    Attributes
    ----------
    data
        Snapshots, and how they are described.
    chunks, validation_chunks
        Chosen points of training and validation.
    hashes
        SHA-256 of the training snapshots' chosen LDOS.
    inputs, outputs
        Scaling of descriptors, and of LDOS and density, fitted to the training's points.
    domain
        Domain that the model is trained on.
    mean
        Mean of the targets over these points: LDOS, 1/(eV Å³), and density, 1/Å³; (outputs,) float64.
    labels
        Slopes of A of the training snapshots, where the loss has the forces.
    """

    data: TrainingData
    chunks: tuple[Chunk, ...]
    validation_chunks: tuple[Chunk, ...]
    hashes: tuple[str, ...]
    inputs: Scaler
    outputs: Outputs
    domain: Domain
    mean: torch.Tensor
    labels: tuple[Slopes, ...] = ()

    def network(self, config: TrainConfig) -> FeedForward:
        """A new network, with torch's present random numbers, that begins near the mean LDOS of the data.

        Else the first steps would go into the errors of the cell's averages, which the loss may weigh a thousand times
        as much as those of points.
        """
        c = config.network
        levels = self.data.train[0].energies.levels
        sizes = [self.data.spec.n_features, *c.hidden, levels + self.outputs.extra]
        # One name stands for the hidden layers; the output then has none, since a scaled LDOS may be negative.
        activations = [c.activation] * len(c.hidden) if isinstance(c.activation, str) else c.activation
        network = FeedForward(sizes, activations, dropout=c.dropout, residual=c.residual)
        if network.activation_names[-1] is None and isinstance(last := network.linear[-1], torch.nn.Linear):
            with torch.no_grad():
                # The network begins close to a constant, the mean; only where the last layer has
                # no activation can a bias give it.
                last.weight.mul_(_SMALL)
                last.bias.copy_(self.outputs.transform(self.mean[None], levels)[0])
        return network

    def batches(self, config: TrainConfig, rank: int = 0, world: int = 1) -> Batches:
        """Batches of the training, or a rank's part of them."""
        portions, points, buffer = config.batch.snapshots, config.batch.points, config.data.buffer
        return Batches(
            self.chunks, portions=portions, points=points, buffer=buffer, seed=config.seed, rank=rank, world=world
        )

    def loss(self, config: TrainConfig, snapshots: Sequence[Snapshot], key: str) -> LDOSLoss:
        """The loss for some snapshots.

        Raises
        ------
        InputError
            A term needs a Fermi level, and a snapshot does not tell its own.
        """
        felt = [s.sensitivity(correction=self.data.correction) for s in snapshots] if config.loss.integrals else []
        for snapshot, one in zip(snapshots, felt, strict=False):
            if one is None:
                came = f"{snapshot.name}, which tells neither a Fermi level nor temperature, electrons and DOS"
                raise InputError(
                    key, came, "snapshots with a DFT reference", "Or leave ldos as the only weight in loss."
                )
        grid, device = snapshots[0].energies, config.torch_device
        return LDOSLoss(config.loss, felt, grid, self.outputs, correction=self.data.correction, device=device)

    def force_loss(self, config: TrainConfig) -> ForceLoss | None:
        """The loss of the forces of the training's snapshots; None where it has no weight."""
        if not self.labels:
            return None
        felt = [s.felt.weights(self.data.train[0].energies, correction=self.data.correction) for s in self.labels]
        device = config.torch_device
        return ForceLoss(self.labels, torch.stack(felt), self.inputs.to(device), self.outputs)

    def checked_on(self, config: TrainConfig) -> Validation | None:
        """What the training is validated on; None where there is nothing."""
        if not self.data.validation:
            return None
        loss = self.loss(config, self.data.validation, "data.validation")
        return Validation(self.data.validation, self.validation_chunks, loss, self.data.correction, self.data.elements)

    def model(self, config: TrainConfig, network: FeedForward, provenance: Mapping[str, object]) -> LDOSModel:
        """The model of a network on the training's device."""
        first, snapshots = self.data.train[0], self.data.train
        # Rounded: a temperature that came through Ry or meV is the same one.
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
            descriptor=self.data.spec,
            energy_grid=first.energies,
            elements={s: self.data.elements.get(s, Element(s)) for s in here},
            xc=next((s.system.xc for s in snapshots if s.system.xc is not None), None),
            temperature=temperatures.pop() if len(temperatures) == 1 else None,
            spacing=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
            # Snapshots of one training tell the same or nothing: the first that tells is enough.
            density_cutoff=next((c for s in snapshots if (c := s.system.density_cutoff) is not None), None),
            restrict=config.restrict,
            electrons_per_atom=None if None in electrons else sum(e for e in electrons if e is not None) / atoms,
            domain=self.domain.to(network.device),
            energy_zero=self.data.energy_zero,
            provenance=provenance,
            assume_isolated=first.system.assume_isolated,
        )


def prepare(config: TrainConfig, found: TrainingData, folder: Path, client: Client, observer: Observer) -> Prepared:
    """Choose and describe the points of the data in one pass on the workers, fit the scalers.

    Parameters
    ----------
    found
        Snapshots of the training, from `find_data`.
    folder
        Folder that samples are kept in, unless the configuration names another.
    observer
        Observer that is told what the user should know.

    Raises
    ------
    InputError
        The data are not finite, or lack what the loss needs.
    """
    for note in found.notes:
        observer.note(note)
    train, validation, data = found.train, found.validation, config.data
    samples = folder / "samples" if data.samples is None else Path(data.samples)
    # Only whitening needs covariances: their n² products would cost more than the descriptors' own moments.
    cross = (config.inputs.kind == "whiten", config.outputs.kind == "whiten")
    learns_density = "density" in found.fields
    if config.loss.mean_total:
        train, validation = (
            potentials(part, found.elements, samples, client, correction=found.correction, channel=learns_density)
            for part in (train, validation)
        )
    labels: list[Slopes] = []
    if config.loss.forces:
        labels = force_labels(
            train,
            found.spec,
            found.elements,
            samples,
            client,
            seed=config.seed,
            correction=found.correction,
            channel=learns_density,
        )
    wanted = Wanted(found.spec, data.points, samples, config.seed, shuffled=True, cross=cross, fields=found.fields)
    chosen = sample(train, wanted, client)
    # In the order of the grid, not shuffled: the validation puts whole fields together.
    whole = replace(wanted, points=data.validation_points, shuffled=False, cross=(False, False))
    held = sample(validation, whole, client).chunks if validation else ()
    levels = Scaler()
    if "ldos" in found.fields:
        levels = Scaler.fit(chosen.ldos, config.outputs.kind, feature_wise=config.outputs.feature_wise)
    # The potential, where there is one, comes after the density and is no target.
    density = Scaler.fit(chosen.rest.first(1), "standard", feature_wise=False) if learns_density else None
    outputs = Outputs(levels, density)
    inputs = Scaler.fit(chosen.features, config.inputs.kind, feature_wise=config.inputs.feature_wise)
    return Prepared(
        replace(found, train=train, validation=validation),
        chosen.chunks,
        held,
        chosen.hashes,
        inputs,
        outputs,
        find_domain(train, chosen.chunks, held, inputs, observer),
        torch.cat([chosen.ldos.mean, chosen.rest.mean[: outputs.extra]]),
        tuple(labels),
    )
