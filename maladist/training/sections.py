"""The sections of a training's configuration, each with its defaults and its own checks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, Literal

import torch
from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from maladist.configuration import FilePath, Options, Section
from maladist.learning.network import ACTIVATIONS
from maladist.learning.scaling import Kind

PER_STEP: Final = ("OneCycleLR", "CosineAnnealingLR", "CyclicLR")
"""Schedules that move with every step; ReduceLROnPlateau moves with every validation, all others with every epoch."""

_OPTIMISERS: Final = tuple(
    name
    for name, made in vars(torch.optim).items()
    if isinstance(made, type) and name not in ("Optimizer", "LBFGS", "SparseAdam")  # another loop, another gradient
)
_SCHEDULES: Final = tuple(
    name
    for name in torch.optim.lr_scheduler.__all__
    if name not in ("LRScheduler", "LambdaLR", "MultiplicativeLR", "ChainedScheduler", "SequentialLR")  # of functions
)


def _tuples(options: dict[str, object]) -> dict[str, object]:
    """YAML has no tuples; torch wants them for betas."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}


def _among(names: Sequence[str]) -> AfterValidator:
    """Refuse a name that is none of these."""

    def checked(value: str) -> str:
        if value not in names:
            raise ValueError(f"one of {', '.join(names)}")
        return value

    return AfterValidator(checked)


@contextmanager
def _options_of(what: str) -> Iterator[None]:
    """Torch itself says which options a class of it takes: make one, and what it says is the error."""
    try:
        yield
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"options that {what} takes ({error})") from None


def _listed(value: object) -> object:
    values = [value] if isinstance(value, str | Path) else value
    return [str(v) if isinstance(v, Path) else v for v in values] if isinstance(values, list) else values


Patterns = Annotated[list[FilePath], BeforeValidator(_listed)]
Points = Annotated[float, Field(gt=0)]


class DataConfig(Section):
    """Which snapshots, and how much of them.

    Attributes
    ----------
    train, validation
        Data sets, snapshots or patterns of them (``be.zarr/snapshots/train-*``).
    points, validation_points
        Points of a snapshot: a fraction up to 1, or a number of points above 1. The errors of n(r) and A need every
        point of the validation snapshots, that of E_b does not.
    pseudopotentials
        Folder of UPF files: valence and core charge for A, kept in the model.
    buffer
        Number of points held in memory to be shuffled. Where twice the training's points fit, all are shuffled, and
        read once.
    samples
        Folder for chosen points and computed descriptors, kept, so that other trainings find them. Without it they are
        in the output folder and removed at the end.
    """

    train: Annotated[Patterns, Field(min_length=1)]
    validation: Patterns = Field(default=[])
    points: Points = 1.0
    validation_points: Points = 1.0
    pseudopotentials: FilePath | None = None
    buffer: int = Field(default=2**18, ge=1)
    samples: FilePath | None = None

    @field_validator("points", "validation_points")
    @classmethod
    def _a_fraction_or_a_number(cls, value: float) -> float:
        # 1.5 may be meant as 150 % or as a typing mistake of 15: neither is a number of points.
        if value > 1 and value != int(value):
            raise ValueError("a fraction up to 1, or a whole number of points")
        return value


class ScalerConfig(Section):
    """How descriptors or LDOS are scaled, feature by feature or all alike; see :mod:`maladist.learning.scaling`."""

    kind: Kind = "standard"
    feature_wise: bool = True


class NetworkConfig(Section):
    """A `FeedForward` network without its first and last size, which the data give.

    Attributes
    ----------
    hidden
        Sizes of the hidden layers.
    activation
        Activation of all hidden layers, or a list: one for each layer, perhaps also for the output.
    dropout, residual
        Dropout and skipped layers, as in `FeedForward`.
    """

    hidden: list[Annotated[int, Field(ge=1)]] = Field(default=[200, 200])
    activation: str | list[str | None] = "SiLU"
    dropout: float = Field(default=0.0, ge=0, lt=1)
    residual: bool = False

    @field_validator("activation")
    @classmethod
    def _known(cls, value: str | list[str | None]) -> str | list[str | None]:
        for name in [value] if isinstance(value, str) else value:
            if name is not None and name not in ACTIVATIONS:
                raise ValueError(f"one of {', '.join(ACTIVATIONS)}")
        return value

    @model_validator(mode="after")
    def _fits(self) -> NetworkConfig:
        if isinstance(self.activation, list) and len(self.activation) > len(self.hidden) + 1:
            raise ValueError(f"at most {len(self.hidden) + 1} activations for {len(self.hidden)} hidden layers")
        return self


class OptimiserConfig(Section):
    """A class of torch.optim by name, its learning rate and its further options."""

    name: Annotated[str, _among(_OPTIMISERS)] = "AdamW"
    lr: float = Field(default=1e-3, gt=0)
    options: Options = Field(default={})
    clip: float | None = Field(default=None, gt=0, description="largest norm of the gradient")

    def make(self, parameters: Sequence[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """The optimiser of these parameters."""
        made = getattr(torch.optim, self.name)(parameters, lr=self.lr, **_tuples(self.options))
        assert isinstance(made, torch.optim.Optimizer)
        return made

    @model_validator(mode="after")
    def _makes(self) -> OptimiserConfig:
        with _options_of(f"torch.optim.{self.name}"):
            # Two dimensions, since Muon and the like take matrices only.
            self.make([torch.nn.Parameter(torch.zeros(2, 2))])
        return self


class ScheduleConfig(Section):
    """A class of torch.optim.lr_scheduler and its options; ``total_steps``, ``max_lr`` and ``T_max`` are filled in."""

    name: Annotated[str, _among(_SCHEDULES)] = "OneCycleLR"
    options: Options = Field(default={})

    @property
    def per_step(self) -> bool:
        """Whether it moves with every step."""
        return self.name in PER_STEP

    def make(self, optimiser: torch.optim.Optimizer, lr: float, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
        """The schedule of a training of that many steps."""
        known: dict[str, dict[str, object]] = {
            "OneCycleLR": {"max_lr": lr, "total_steps": steps},
            "CosineAnnealingLR": {"T_max": steps},
        }
        options = {**known.get(self.name, {}), **self.options}
        made = getattr(torch.optim.lr_scheduler, self.name)(optimiser, **options)
        assert isinstance(made, torch.optim.lr_scheduler.LRScheduler)
        return made

    @model_validator(mode="after")
    def _makes(self) -> ScheduleConfig:
        with _options_of(f"torch.optim.lr_scheduler.{self.name}"):
            # On an optimiser with momentum and betas, which OneCycleLR and CyclicLR move as well.
            self.make(torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1e-3), 1e-3, 10)
        return self


class BatchConfig(Section):
    """A batch: so many portions, each of so many points of one snapshot."""

    snapshots: int = Field(default=4, ge=1)
    points: int = Field(default=256, ge=1)


Metric = Literal["loss", "band_energy", "total_energy", "band_energy_from_data", "total_energy_from_data"]
"""What is made small on the validation snapshots: the loss, or the mean |ΔE_b| or |ΔA| against the energies that the
DFT printed, or (``_from_data``) against those that the data's own LDOS gives, as MALA compares."""


class StoppingConfig(Section):
    """Early stopping: on what, and after how many epochs without a better value. The best weights are kept."""

    metric: Metric = "loss"
    patience: int = Field(default=20, ge=1)
