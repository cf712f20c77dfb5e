"""What changes while a network is trained: weights, optimiser, schedule, averages, the best so far, what was told.

All of it is in a checkpoint; what is not follows from the configuration and the number of the epoch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import nn

from maladist.datasets.snapshots import Snapshot
from maladist.descriptors import Spec
from maladist.errors import InputError
from maladist.learning.model import LDOSModel
from maladist.learning.network import FeedForward
from maladist.training.config import TrainConfig
from maladist.training.metrics import EpochReport, Metrics
from maladist.training.prepare import Prepared
from maladist.training.validation import Validated


class Best(TypedDict):
    """The best weights so far, where they are looked for: value of the metric, epoch, and weights by name."""

    value: float
    epoch: int
    weights: dict[str, torch.Tensor] | None


@dataclass(frozen=True)
class Rank:
    """The part of a process in a training by several: everything in which they differ.

    Attributes
    ----------
    index, world
        Number of this process, and how many there are. Only 0 validates and writes.
    wrap
        Makes a network whose backward pass averages the gradients over all processes.
    share
        Gives every process the number that process 0 has.
    mean
        Average of a tensor over all processes.
    """

    index: int = 0
    world: int = 1
    wrap: Callable[[nn.Module], nn.Module] = lambda network: network
    share: Callable[[float], float] = lambda value: value
    mean: Callable[[torch.Tensor], torch.Tensor] = lambda tensor: tensor


class TrainingState:
    """What changes while a network is trained, and how it is written down.

    Parameters
    ----------
    config, prepared
        Configuration of the training, and the data that are ready for it.
    output
        Folder for the metrics.
    rank
        The part of this process; only 0 validates and writes.
    steps
        Number of steps of an epoch.
    """

    def __init__(self, config: TrainConfig, prepared: Prepared, output: Path, rank: Rank, *, steps: int) -> None:
        self.config, self.prepared, self.rank = config, prepared, rank
        device = config.torch_device
        # Before the network is made: its first weights follow from the seed, and are the same on every rank.
        torch.manual_seed(config.seed)
        self.network = prepared.network(config).to(device)
        self.inputs = prepared.inputs.to(device)
        self.optimiser = config.optimiser.make(list(self.network.parameters()))
        schedule, rate = config.schedule, config.optimiser.lr
        # Steps of the whole training: OneCycleLR and CosineAnnealingLR must know their end when they begin.
        self.schedule = None if schedule is None else schedule.make(self.optimiser, rate, steps * config.epochs)
        self.autocast = torch.float16 if config.amp == "float16" else torch.bfloat16
        # float16 loses small gradients; bfloat16 has the exponents of float32 and needs no scaling.
        self.gradients = torch.amp.GradScaler(device.type, enabled=config.amp == "float16")
        self.average = _average(self.network, config.average)
        self.validation = prepared.checked_on(config) if rank.index == 0 else None
        self.metrics = _metrics(config, output) if rank.index == 0 else None
        self.epoch, self.stopped = 0, False
        self.best: Best = {"value": float("inf"), "epoch": -1, "weights": None}
        self.last: Validated | None = None

    @property
    def averaged(self) -> FeedForward:
        """The network that is validated and kept."""
        kept = self.network if self.average is None else self.average.module
        assert isinstance(kept, FeedForward)
        return kept

    def step(self, loss: torch.Tensor) -> None:
        """One step down the gradient."""
        self.optimiser.zero_grad(set_to_none=True)
        self.gradients.scale(loss).backward()
        if self.config.optimiser.clip is not None:
            # The norm is to be that of the true gradient, not of the scaled one.
            self.gradients.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.optimiser.clip)
        self.gradients.step(self.optimiser)
        self.gradients.update()
        # After each step and not each epoch: the average forgets over 1/(1 − decay) steps.
        if self.average is not None:
            self.average.update_parameters(self.network)
        if self.schedule is not None and self.config.schedule is not None and self.config.schedule.per_step:
            self.schedule.step()

    def end_epoch(self, terms: torch.Tensor, seconds: float) -> EpochReport:
        """Validate, move the schedule and stop early, each where it is due."""
        config, rate = self.config, self.optimiser.param_groups[0]["lr"]
        self.epoch += 1
        last = self.epoch == config.epochs
        due = bool(config.data.validation) and (last or self.epoch % config.validate_every == 0)
        errors = self.validation(self._model(self.averaged, {})) if due and self.validation is not None else None
        if due:
            self._judge(errors)
        self._move_schedule(due, errors)
        report = EpochReport(self.epoch, config.epochs, seconds, tuple(terms.tolist()), rate, errors)
        if self.metrics is not None:
            self.metrics.add(report)
        return report

    def write_metrics(self) -> None:
        """Write the table of all epochs."""
        if self.metrics is not None:
            self.metrics.write()

    def close_metrics(self) -> None:
        """Tell those who are told of the epochs that there are no more."""
        if self.metrics is not None:
            self.metrics.close()

    def _judge(self, errors: Validated | None) -> None:
        """Keep the best weights, and stop when they have been the best for too long."""
        self.last = errors or self.last
        stopping = self.config.early_stopping
        if stopping is None:
            return
        if errors is not None and errors.metric(stopping.metric) < self.best["value"]:
            weights = {name: w.detach().cpu().clone() for name, w in self.averaged.state_dict().items()}
            self.best = {"value": errors.metric(stopping.metric), "epoch": self.epoch, "weights": weights}
        waited = self.epoch - max(0, self.best["epoch"])
        # Only rank 0 has validated; all must agree on the end, or those that go on would wait for the others.
        self.stopped = bool(self.rank.share(float(waited >= stopping.patience)))

    def _move_schedule(self, due: bool, errors: Validated | None) -> None:
        if self.schedule is None or self.config.schedule is None or self.config.schedule.per_step:
            return
        if isinstance(self.schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
            if due:
                self.schedule.step(self.rank.share(errors.loss if errors is not None else 0.0))
        else:
            self.schedule.step()

    def state(self) -> dict[str, Any]:
        """Everything that a run needs to go on."""
        return {
            "config": self.config.to_dict(),
            # What the network has learnt from is part of its state: other data would make another training of it.
            "data": list(self.prepared.hashes),
            "descriptor": self.prepared.data.spec.to_dict(),
            "epoch": self.epoch,
            "stopped": self.stopped,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "gradients": self.gradients.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "best": self.best,
            "rows": [] if self.metrics is None else self.metrics.rows,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from ``state()``.

        Raises
        ------
        InputError
            The state is of another configuration, of another descriptor or of other data.
        """
        _check_same(self.config, state["config"])
        _check_descriptor(self.config.spec, self.prepared.data.spec, state.get("descriptor"))
        # By their content: data that were moved are the same, data that were made again under the same name are not.
        if state["data"] != list(self.prepared.hashes):
            came = "snapshots that are not those that the training began with"
            raise InputError("data.train", came, "the same data", "Take another output folder to begin again.")
        # What a run needs beside these follows from the configuration and the number of the epoch.
        self.epoch, self.stopped, self.best = state["epoch"], state["stopped"], state["best"]
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.gradients.load_state_dict(state["gradients"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        if self.metrics is not None:
            self.metrics.rows = state["rows"]

    def model(self) -> LDOSModel:
        """The trained model: the best weights where they were looked for, else the last."""
        if self.best["weights"] is not None:
            self.averaged.load_state_dict(self.best["weights"])
        return self._model(self.averaged, self._provenance()).to("cpu")

    def _model(self, network: FeedForward, provenance: Mapping[str, object]) -> LDOSModel:
        return self.prepared.model(self.config, network.eval(), provenance)

    def _provenance(self) -> dict[str, object]:
        prepared, rows = self.prepared, [] if self.metrics is None else self.metrics.rows
        # The weights that are kept, not those of the last epoch, are what the errors stand for.
        best = self.best["epoch"] if self.best["weights"] is not None else self.epoch
        # Without the paths of the machine that it was trained on: model files are given to others.
        settings = {k: v for k, v in self.config.to_dict().items() if k != "data"}
        return {
            "maladist": version("maladist"),
            "trained on": dict(zip(_names(prepared.data.train), prepared.hashes, strict=True)),
            "validated on": _names(prepared.data.validation),
            "points of a snapshot": self.config.data.points,
            "config": settings,
            "epochs": best,
            "errors": next(({k: v for k, v in r.items() if k != "seconds"} for r in rows if r["epoch"] == best), {}),
        }


def _names(snapshots: Sequence[Snapshot]) -> list[str]:
    """Names of snapshots, or paths where several have a name in common."""
    counts = Counter(s.name for s in snapshots)
    return [s.name if counts[s.name] == 1 else s.path for s in snapshots]


def _metrics(config: TrainConfig, output: Path) -> Metrics:
    # Without the paths of this machine, as in a model's file.
    told = {key: value for key, value in config.to_dict().items() if key != "data"}
    return Metrics(output, config.tensorboard, config.wandb, told)


def _average(network: FeedForward, decay: float | None) -> torch.optim.swa_utils.AveragedModel | None:
    if decay is None:
        return None
    return torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(decay))


def _check_same(config: TrainConfig, begun: Mapping[str, object]) -> None:
    """Refuse to go on with another configuration; more epochs may follow where the schedule does not depend on them."""
    # These change no number that is learnt, but for the device's rounding.
    free = {"tensorboard", "wandb", "checkpoint_every", "device"}
    if config.schedule is None or not config.schedule.per_step:
        free |= {"epochs"}
    now = config.to_dict()
    for key in now:
        if key not in free and now[key] != begun.get(key):
            name, new, old = _changed(key, now[key], begun.get(key))
            came = f"{new!r:.80}, where the training began with {old!r:.80}"
            raise InputError(name, came, "the same configuration", "Take another output folder to begin again.")


def _changed(name: str, now: object, begun: object) -> tuple[str, object, object]:
    """The first value within two unequal ones that differs: its name, and both."""
    if isinstance(now, dict) and isinstance(begun, dict):
        for key in [*now, *(begun.keys() - now.keys())]:
            if (new := now.get(key)) != (old := begun.get(key)):
                return _changed(f"{name}.{key}", new, old)
    return name, now, begun


def _check_descriptor(given: Spec | None, now: Spec, begun: Mapping[str, object] | None) -> None:
    """Refuse another descriptor under the same configuration: what is stored with data, or a default, may change."""
    if begun is None:  # of an earlier version
        if given is None:
            return
        # It was the configuration's own, but for what that left to the default of its time.
        begun = given.to_dict()
    if (values := now.to_dict()) != begun:
        other = {name: value for name, value in values.items() if begun.get(name) != value}
        came = f"{other!r:.80}, where the training began with another default, or with what was stored"
        raise InputError("descriptor", came, "the same descriptor", "Take another output folder to begin again.")
