"""What a search finds: its trials, the best of them, and the mean effect of each level."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from maladist.parallel.progress import Finished
from maladist.training.config import TrainConfig
from maladist.training.validation import told
from maladist.tuning.config import TuneConfig


@dataclass(frozen=True)
class Trial(Finished):
    """One finished trial.

    Attributes
    ----------
    number
        Number of the trial.
    values
        Values by key of the training's configuration.
    state
        How it ended: 'complete', 'pruned' or 'failed'.
    value
        Value of the objective; None where there is none.
    seconds
        Time on its worker.
    reason
        Why it failed; empty where it did not.
    errors
        Mean errors on the validation snapshots, as `Validated.to_dict`: against the energies that the DFT printed, and
        against those that the data's own LDOS gives; of several trainings the objective's ``spread`` too.
    """

    number: int
    values: Mapping[str, Any]
    state: str
    value: float | None
    seconds: float
    reason: str = ""
    errors: Mapping[str, float] = field(default_factory=dict)

    def line(self, *, bar: bool) -> str:
        """Its objective, its values and, where it failed, why."""
        del bar
        values = ", ".join(f"{key} {value}" for key, value in self.values.items())
        outcome = self.state if self.value is None else f"{self.state} {self.value:.5g}"
        outcome += f" ± {self.errors['spread']:.2g}" if "spread" in self.errors else ""
        said = f"trial {self.number}: {outcome} ({values}; {self.seconds:.1f} s)"
        said = f"{said}; {told(self.errors)}" if self.errors else said
        return f"{said}: {self.reason}" if self.reason else said

    def to_dict(self) -> dict[str, Any]:
        """A row of a table."""
        shown = {k: json.dumps(v) if isinstance(v, list | dict) else v for k, v in self.values.items()}
        value, seconds = self.value, round(self.seconds, 3)
        row = {"trial": self.number, **shown, "state": self.state, "value": value, "seconds": seconds, **self.errors}
        return {**row, "reason": self.reason} if self.reason else row


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes
    ----------
    best
        The best trial.
    config
        Configuration of its training.
    trials
        All finished trials, the best first.
    effects
        Mean objective of each level (as JSON) by key, where the method is 'oat'; else empty.
    """

    best: Trial
    config: TrainConfig
    trials: tuple[Trial, ...]
    effects: Mapping[str, Mapping[str, float]]


def main_effects(trials: list[Trial]) -> dict[str, dict[str, float]]:
    """Mean objective of each level (as JSON) of each key, over the trials that gave a number."""
    done = [t for t in trials if t.state == "complete" and t.value is not None]
    effects: dict[str, dict[str, float]] = {}
    for key in trials[0].values if trials else ():
        levels = dict.fromkeys(json.dumps(t.values[key]) for t in done)
        by_level = {v: [t.value for t in done if json.dumps(t.values[key]) == v] for v in levels}
        effects[key] = {level: float(np.mean(np.array(values, dtype=float))) for level, values in by_level.items()}
    return effects


def best_levels(config: TuneConfig, trials: list[Trial]) -> dict[str, Any]:
    """The level of each key with the best mean."""
    best = max if config.direction == "maximize" else min
    effects = main_effects(trials)
    return {key: json.loads(best(of, key=of.__getitem__)) for key, of in effects.items() if of}
