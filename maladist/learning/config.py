"""What a training is told, from a YAML file or from Python: checked once, before anything is read or computed.

    data: {train: [be.zarr/snapshots/train-*], validation: [be.zarr/snapshots/valid-*], points: 1000}
    descriptor: {family: bispectrum, twojmax: 10, cutoff: 4.67637}
    network: {hidden: [200, 200], activation: SiLU}
    loss: {ldos: 1.0, mean_density: 1.0, mean_band: 1.0}
    optimiser: {name: AdamW, lr: 0.001}
    schedule: {name: OneCycleLR}
    batch: {snapshots: 4, points: 256}
    epochs: 60

Paths are relative to the file. Every key but ``data`` has a default; a key that is not known is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import torch
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from maladist.descriptors import Spec, spec_from_dict
from maladist.errors import InputError
from maladist.learning.model import Restrict
from maladist.learning.network import ACTIVATIONS
from maladist.learning.scaling import Kind
from maladist.physics.fermi import CorrectionMode

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


def _tuples(options: dict[str, Any]) -> dict[str, Any]:
    """YAML has no tuples; torch wants them for betas."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str | Path) else value


Patterns = Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)]
Points = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataConfig(_Section):
    """Which snapshots, and how much of them.

    Attributes
    ----------
    train, validation
        Data sets, snapshots or patterns of them (``be.zarr/snapshots/train-*``).
    points, validation_points
        Of a snapshot: a fraction up to 1, or a number of points above 1. The errors of n(r) and A need every point of
        the validation snapshots, that of E_b does not.
    pseudopotentials
        Folder of UPF files: valence and core charge for A, kept in the model.
    buffer
        Points held in memory to be shuffled. Where twice the training's points fit, all are shuffled and read once.
    samples
        Folder for chosen points and computed descriptors, kept, so that other trainings find them. Without it they are
        in the output folder and removed at the end.
    """

    train: Patterns
    validation: Annotated[list[str], BeforeValidator(_listed)] = []
    points: Points = 1.0
    validation_points: Points = 1.0
    pseudopotentials: str | None = None
    buffer: int = Field(default=2**18, ge=1)
    samples: str | None = None

    @field_validator("points", "validation_points")
    @classmethod
    def _a_fraction_or_a_number(cls, value: float) -> float:
        if value > 1 and value != int(value):
            raise ValueError("a fraction up to 1, or a whole number of points")
        return value


class ScalerConfig(_Section):
    """How descriptors or LDOS are scaled, feature by feature or all alike; see :mod:`maladist.learning.scaling`."""

    kind: Kind = "standard"
    feature_wise: bool = True


class NetworkConfig(_Section):
    """A `FeedForward` network without its first and last size, which the data give.

    Attributes
    ----------
    hidden
        Sizes of the hidden layers.
    activation
        Of all hidden layers, or a list: one for each layer, perhaps also for the output.
    dropout, residual
        As in `FeedForward`.
    """

    hidden: list[Annotated[int, Field(ge=1)]] = [200, 200]
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


class LossConfig(_Section):
    """Weights of the terms of the loss; see :mod:`maladist.learning.loss` for the formulas.

    Attributes
    ----------
    kind
        'mse', 'mae' or 'huber' of the scaled LDOS.
    huber_delta
        Where 'huber' turns from square to linear, in the scaled LDOS' unit.
    ldos
        Of the scaled LDOS' error.
    density, band
        Of the squared errors of f·d and (ε − μ) f·d at each point, times volume per atom: electrons² and eV² per atom².
    mean_density, mean_band
        Of the squares of the same errors averaged over a snapshot's points first: what the energies feel.
    correction
        Of the broadening, in the integrals' weights and in the validation's energies.
    """

    kind: Literal["mse", "mae", "huber"] = "mse"
    huber_delta: float = Field(default=1.0, gt=0)
    ldos: Weight = 1.0
    density: Weight = 0.0
    band: Weight = 0.0
    mean_density: Weight = 0.0
    mean_band: Weight = 0.0
    correction: CorrectionMode = "auto"

    @property
    def integrals(self) -> bool:
        """Whether any term needs the Fermi-weighted integrals."""
        return max(self.density, self.band, self.mean_density, self.mean_band) > 0

    @model_validator(mode="after")
    def _something(self) -> LossConfig:
        if self.ldos == 0 and not self.integrals:
            raise ValueError("at least one weight above zero")
        return self


class OptimiserConfig(_Section):
    """A class of torch.optim by name, its learning rate and its further options."""

    name: str = "AdamW"
    lr: float = Field(default=1e-3, gt=0)
    options: dict[str, Any] = {}
    clip: float | None = Field(default=None, gt=0, description="largest norm of the gradient")

    def make(self, parameters: Sequence[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """The optimiser of these parameters."""
        made = getattr(torch.optim, self.name)(parameters, lr=self.lr, **_tuples(self.options))
        assert isinstance(made, torch.optim.Optimizer)
        return made

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in _OPTIMISERS:
            raise ValueError(f"one of {', '.join(_OPTIMISERS)}")
        return value

    @model_validator(mode="after")
    def _makes(self) -> OptimiserConfig:
        try:
            self.make([torch.nn.Parameter(torch.zeros(2, 2))])
        except (TypeError, ValueError) as error:
            raise ValueError(f"options that torch.optim.{self.name} takes ({error})") from None
        return self


class ScheduleConfig(_Section):
    """A class of torch.optim.lr_scheduler and its options; ``total_steps``, ``max_lr`` and ``T_max`` are filled in."""

    name: str = "OneCycleLR"
    options: dict[str, Any] = {}

    @property
    def per_step(self) -> bool:
        """Whether it moves with every step."""
        return self.name in PER_STEP

    def make(self, optimiser: torch.optim.Optimizer, lr: float, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
        """The schedule of a training of that many steps."""
        known: dict[str, dict[str, Any]] = {
            "OneCycleLR": {"max_lr": lr, "total_steps": steps},
            "CosineAnnealingLR": {"T_max": steps},
        }
        options = {**known.get(self.name, {}), **self.options}
        made = getattr(torch.optim.lr_scheduler, self.name)(optimiser, **options)
        assert isinstance(made, torch.optim.lr_scheduler.LRScheduler)
        return made

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in _SCHEDULES:
            raise ValueError(f"one of {', '.join(_SCHEDULES)}")
        return value

    @model_validator(mode="after")
    def _makes(self) -> ScheduleConfig:
        try:
            self.make(torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1e-3), 1e-3, 10)
        except (TypeError, ValueError, KeyError) as error:
            raise ValueError(f"options that torch.optim.lr_scheduler.{self.name} takes ({error})") from None
        return self


class BatchConfig(_Section):
    """A batch: so many portions, each of so many points of one snapshot."""

    snapshots: int = Field(default=4, ge=1)
    points: int = Field(default=256, ge=1)


class StoppingConfig(_Section):
    """Early stopping: on what, and after how many epochs without a better value. The best weights are kept."""

    metric: Literal["loss", "band_energy", "total_energy"] = "loss"
    patience: int = Field(default=20, ge=1)


class TrainConfig(_Section):
    """All that a training is told.

    Attributes
    ----------
    data, network, loss, optimiser, schedule, batch, early_stopping
        See their classes; ``schedule`` and ``early_stopping`` may be none.
    descriptor
        A descriptor's family and fields; none takes what is stored with the data.
    inputs, outputs
        Scaling of descriptors and LDOS.
    energy_zero
        c by element, eV Å³: the LDOS is learnt on energies less Σ c/Ω of each cell, which no near atom tells; see
        :mod:`maladist.physics.energy_zero`. None for the data's own energies.
    epochs
        Times that every point is seen.
    validate_every, checkpoint_every
        Epochs between validations and between checkpoints; the last epoch has both.
    seed
        Of weights, sampling and shuffling: the same seed gives the same bits on the same machine.
    device
        'auto', 'cpu', 'cuda', ...
    amp
        'none', 'bfloat16' or 'float16': autocast. On a CPU only 'bfloat16', and it is slower on most.
    average
        Decay of an exponential average of the weights (0.999), which is then what is validated and kept; none for none.
    members
        Networks to train, by seeds that follow one another; the model is their mean.
    restrict
        What the model does with a negative LDOS.
    tensorboard
        Whether the metrics are also written for TensorBoard, into the output folder.
    """

    data: DataConfig
    descriptor: dict[str, Any] | None = None
    inputs: ScalerConfig = ScalerConfig()
    outputs: ScalerConfig = ScalerConfig(kind="minmax", feature_wise=False)
    energy_zero: dict[str, float] = {}
    network: NetworkConfig = NetworkConfig()
    loss: LossConfig = LossConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    schedule: ScheduleConfig | None = ScheduleConfig()
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
    restrict: Restrict = "zero_out_negative"
    tensorboard: bool = False

    @field_validator("descriptor")
    @classmethod
    def _a_descriptor(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
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
            if kind == "cuda" and not torch.cuda.is_available():
                raise ValueError("a device that is here: torch sees no CUDA")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> TrainConfig:
        if self.early_stopping is not None and not self.data.validation:
            raise InputError("data.validation", "none", "snapshots to stop on where there is early_stopping")
        if self.schedule is not None and self.schedule.name == "ReduceLROnPlateau" and not self.data.validation:
            raise InputError("data.validation", "none", "snapshots to watch for ReduceLROnPlateau")
        if self.amp == "float16" and self.torch_device.type == "cpu":
            raise InputError("amp", "float16 on a CPU", "none or bfloat16")
        return self

    @cached_property
    def spec(self) -> Spec | None:
        """The descriptor; None where the data's own are to be taken."""
        return None if self.descriptor is None else spec_from_dict(self.descriptor)

    @property
    def torch_device(self) -> torch.device:
        """The device; 'auto' is CUDA where there is one."""
        automatic = "cuda" if torch.cuda.is_available() else "cpu"
        return torch.device(automatic if self.device == "auto" else self.device)

    @classmethod
    def of(cls, values: Any, source: str = "config") -> TrainConfig:
        """Check a mapping.

        Raises
        ------
        InputError
            Naming the first key that is wrong.
        """
        if not isinstance(values, dict):
            raise InputError(source, f"a {type(values).__name__}", "a mapping with a key 'data'")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise input_error(error, source, cls) from None

    @classmethod
    def read(cls, path: str | Path) -> TrainConfig:
        """Read a YAML file; its relative paths are taken from the file's folder.

        Raises
        ------
        InputError
            A file that cannot be read, or the first key that is wrong.
        """
        path = Path(path)
        try:
            values = yaml.safe_load(path.read_text())
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError("config", f"{path} cannot be read ({error})".replace("\n", " "), "a YAML file") from error
        return cls.of(values, str(path)).relative_to(path.parent)

    def relative_to(self, folder: str | Path) -> TrainConfig:
        """The same with its paths taken from a folder, absolute."""
        base = Path(folder).resolve()
        lists = {name: [str(base / p) for p in getattr(self.data, name)] for name in ("train", "validation")}
        single = {name: getattr(self.data, name) for name in ("pseudopotentials", "samples")}
        paths = {name: None if p is None else str(base / p) for name, p in single.items()}
        data = self.data.model_copy(update={**lists, **paths})
        return self.model_copy(update={"data": data})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON and YAML hold them."""
        return self.model_dump(mode="json")


def input_error(error: ValidationError, source: str, top: type[BaseModel]) -> InputError:
    """The first error of a configuration of class ``top``, with its key; and how many there are."""
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("list[", "str", "function-")))
    missing, unknown = first["type"] == "missing", first["type"] == "extra_forbidden"
    came = "is missing" if missing else "is not a key" if unknown else f"{first['input']!r:.80}"
    inner = first.get("ctx", {}).get("error")
    wanted = str(inner) if inner else first["msg"]
    if isinstance(inner, InputError):
        key = ".".join(dict.fromkeys([k for k in (key, *inner.argument.split()) if k]))
        came, wanted = inner.came, inner.wanted
    if unknown:
        section = _section(first["loc"][:-1], top)
        wanted = f"one of {', '.join(section.model_fields)}" if section else "a known key"
    if missing:
        wanted = "a value"
    if isinstance(first["input"], dict) and inner and not isinstance(inner, InputError):
        came = "values that do not go together"
    more = f"{error.error_count() - 1} more keys are wrong." if error.error_count() > 1 else ""
    return InputError(f"{source}: {key}" if key else source, came, wanted, more)


def _section(loc: Sequence[int | str], top: type[BaseModel]) -> type[BaseModel] | None:
    """The section that a path of keys leads to."""
    found: type[BaseModel] | None = top
    for key in loc:
        field = found.model_fields.get(str(key)) if found else None
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())] if field else []
        found = next(
            (k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), found if not field else None
        )
    return found
