"""What a training is told, from a YAML file or from Python: checked once, before anything is read or computed.

    data: {train: [be.zarr/snapshots/train-*], validation: [be.zarr/snapshots/valid-*], points: 1000}
    descriptor: {family: bispectrum, twojmax: 10, cutoff: 4.67637}
    network: {hidden: [200, 200], activation: SiLU}
    loss: {ldos: 1.0, mean_density: 0.004, mean_band: 0.004}
    optimiser: {name: AdamW, lr: 0.001}
    schedule: {name: OneCycleLR}
    batch: {snapshots: 4, points: 256}
    epochs: 60

Paths are relative to the file. Every key but ``data`` has a default; a key that is not known is an error.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, field_validator, model_validator

from maladist.descriptors import Spec, spec_from_dict
from maladist.errors import InputError
from maladist.io.yaml import Configuration
from maladist.learning.loss import LossConfig
from maladist.learning.parts import Restrict
from maladist.numerics import choose_device
from maladist.training.sections import (
    BatchConfig,
    DataConfig,
    NetworkConfig,
    OptimiserConfig,
    ScalerConfig,
    ScheduleConfig,
    StoppingConfig,
)


class TrainConfig(Configuration):
    """All that a training is told.

    Attributes
    ----------
    data, network, loss, optimiser, schedule, batch, early_stopping
        See their classes; ``schedule`` and ``early_stopping`` may be none.
    descriptor
        A descriptor's family and fields; none takes what is stored with the data. Where the data have several
        elements and it does not say how to tell them apart, it gets the family's default (`Spec.for_elements`):
        weights from −1 to 1, a column an element.
    inputs, outputs
        Scaling of descriptors and LDOS.
    density_channel
        Whether the network also learns the DFT's density n₀, at which a prediction then takes the double counting of A;
        'auto': where all snapshots hold a density. 'only': a model of the density alone, without the LDOS.
    energy_zero
        c by element, eV Å³: the LDOS is learnt on energies less Σ c/Ω of each cell, which no near atom tells; see
        :mod:`maladist.physics.energy_zero`. 'fit' takes c from the training snapshots: least squares of the shifts
        of their D(ε) against Σ n/Ω. Empty for the data's own energies.
    epochs
        Number of times that every point is seen.
    validate_every, checkpoint_every
        Epochs between validations and between checkpoints; the last epoch has both.
    seed
        Seed of weights, sampling and shuffling: the same seed gives the same bits on the same machine.
    device
        Device of the training: 'auto', 'cpu', 'cuda', ...
    amp
        'none', 'bfloat16' or 'float16': autocast. On a CPU only 'bfloat16', and it is slower on most.
    average
        Decay of an exponential average of the weights (0.999), which is then what is validated and kept; none for none.
    members
        Networks to train, by seeds that follow one another; the model is their mean.
    restrict
        What the model does with a negative LDOS. Zeroing it leaves the positive half of the network's noise: spurious
        states below the band, which moved E_b of the shipped model by −6 to −12 meV/atom (four cells).
    tensorboard
        Whether the metrics are also written for TensorBoard, into the output folder.
    wandb
        Project of Weights & Biases that gets metrics and configuration, where the package wandb is installed: at its
        server, or with WANDB_MODE=offline in the output folder. None by default: nothing is sent.
    """

    data: DataConfig
    descriptor: dict[str, object] | None = None
    inputs: ScalerConfig = ScalerConfig()
    # One scale for all levels: scaled level by level, those where D(ε) is small would count as much as the band.
    outputs: ScalerConfig = ScalerConfig(kind="minmax", feature_wise=False)
    density_channel: Literal["auto", "on", "off", "only"] = "auto"
    energy_zero: dict[str, float] | Literal["fit"] = Field(default={})
    network: NetworkConfig = NetworkConfig()
    loss: LossConfig = LossConfig()
    # Made when it is needed: the first optimiser imports torch's compiler, a second of every program's start.
    optimiser: OptimiserConfig = Field(default_factory=OptimiserConfig)
    schedule: ScheduleConfig | None = Field(default_factory=ScheduleConfig)
    batch: BatchConfig = BatchConfig()
    epochs: int = Field(default=60, ge=1)
    validate_every: int = Field(default=5, ge=1)
    checkpoint_every: int = Field(default=1, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**32)
    device: str = "auto"
    amp: Literal["none", "bfloat16", "float16"] = "none"
    average: float | None = Field(default=None, gt=0, lt=1)
    members: int = Field(default=1, ge=1)
    early_stopping: StoppingConfig | None = None
    restrict: Restrict = "none"
    tensorboard: bool = False
    wandb: str | None = Field(default=None, min_length=1)

    @field_validator("descriptor")
    @classmethod
    def _a_descriptor(cls, value: dict[str, object] | None) -> dict[str, object] | None:
        # Made once here, so that a wrong field is an error of the configuration and not of the first worker.
        if value is not None:
            spec_from_dict(value)
        return value

    @field_validator("device")
    @classmethod
    def _a_device(cls, value: str) -> str:
        if value != "auto":
            try:
                kind = torch.device(value).type
            except RuntimeError:
                raise ValueError("auto, cpu, cuda or another device of torch") from None
            # Refused here: a cluster that was asked for in vain has cost the user its queue.
            if kind == "cuda" and not torch.cuda.is_available():
                raise ValueError("a device that is here: torch sees no CUDA")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> TrainConfig:
        if self.early_stopping is not None and not self.data.validation:
            raise InputError("data.validation", "none", "snapshots to stop on where there is early_stopping")
        if self.schedule is not None and self.schedule.name == "ReduceLROnPlateau" and not self.data.validation:
            raise InputError("data.validation", "none", "snapshots to watch for ReduceLROnPlateau")
        # A CPU has no arithmetic of float16: torch would emulate it, slower than float32.
        if self.amp == "float16" and self.torch_device.type == "cpu":
            raise InputError("amp", "float16 on a CPU", "none or bfloat16")
        if self.density_channel == "only":
            self._refuse_what_needs_an_ldos()
        return self

    def _refuse_what_needs_an_ldos(self) -> None:
        felt = ("density", "band", "mean_density", "mean_band", "mean_total", "forces")
        needs = {f"loss.{name}": getattr(self.loss, name) > 0 for name in felt}
        needs |= {"energy_zero": bool(self.energy_zero), "restrict": self.restrict != "none"}
        stops = self.early_stopping is not None and self.early_stopping.metric != "loss"
        needs |= {"early_stopping.metric": stops}
        if given := [name for name, needed in needs.items() if needed]:
            came = "is given, where density_channel is 'only'"
            raise InputError(given[0], came, "nothing that needs an LDOS", "Or density_channel: 'on'.")

    @cached_property
    def spec(self) -> Spec | None:
        """The descriptor; None where the data's own are to be taken."""
        return None if self.descriptor is None else spec_from_dict(self.descriptor)

    @property
    def torch_device(self) -> torch.device:
        """The device; 'auto' is CUDA where there is one."""
        return torch.device(choose_device(self.device))


def with_training(values: object, source: str, folder: str | Path | None) -> object:
    """The values of a configuration whose key ``train`` names a training's file or holds its keys, with it read.

    Raises
    ------
    InputError
        The training's configuration is wrong, or cannot be read.
    """
    if not isinstance(values, dict):
        return values  # which is refused where it is read
    train = values.get("train")
    if isinstance(train, str):
        # Paths in that file are from its own folder, so it is read by itself and put in with whole paths.
        return {**values, "train": TrainConfig.read(Path(folder or ".") / train).to_dict()}
    if isinstance(train, dict):
        return {**values, "train": TrainConfig.of(train, f"{source}: train", folder).to_dict()}
    return values
