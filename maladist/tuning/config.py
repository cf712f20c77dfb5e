"""What a search is told: a training's configuration, the keys to vary and how, checked before anything is computed.

    train: be.yaml                      # what `maladist train` takes; or its keys themselves
    search:
      optimiser.lr: {low: 1.0e-4, high: 1.0e-2, log: true}
      network.hidden: [[100], [200, 200]]    # short for {choices: [[100], [200, 200]]}
      descriptor: {twojmax: {low: 4, high: 10, step: 2}}    # sections as in a training's file
    objective: band_energy
    trials: 30
    sampler: {name: TPESampler}
    pruner: {name: MedianPruner, options: {n_startup_trials: 5}}

Paths are relative to the file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Final, Literal, Self, get_args

import numpy as np
from pydantic import Field, model_validator

from maladist.configuration import Options, Section
from maladist.errors import InputError
from maladist.io.yaml import Configuration
from maladist.training.config import TrainConfig, with_training
from maladist.training.sections import Metric
from maladist.tuning.training_free import orthogonal_array

Objective = Literal[Metric, "naswot", "jacobian", "acsd", "mutual_information"]
TRAINED: Final[tuple[str, ...]] = get_args(Metric)
LARGER_IS_BETTER: Final = ("naswot", "jacobian", "mutual_information")
FEELS: Final = {"naswot": "network", "jacobian": "network", "acsd": "descriptor", "mutual_information": "descriptor"}
"""The section that a measure without training tells anything of."""
LARGEST: Final = 10**15
"""Largest end of a range: beyond it whole numbers and floats are no longer the same."""
MOST: Final = 10_000
"""Combinations in a grid or an orthogonal array."""


class Axis(Section):
    """The values of one key: a list, or a range.

    Attributes
    ----------
    choices
        List of values, of any type.
    low, high
        Ends of a range, both included; of whole numbers where both are.
    step
        Distance of the values of a range.
    log
        Whether the range is even in the logarithm.
    levels
        Number of values of a range that a grid or an orthogonal array takes, where there is no step.
    """

    choices: list[object] | None = Field(default=None, min_length=2)
    low: Annotated[int | float, Field(ge=-LARGEST, le=LARGEST)] | None = None
    high: Annotated[int | float, Field(ge=-LARGEST, le=LARGEST)] | None = None
    step: int | float | None = Field(default=None, gt=0)
    log: bool = False
    levels: int = Field(default=3, ge=2)

    @property
    def whole(self) -> bool:
        """Whether a range holds whole numbers."""
        return all(isinstance(v, int) for v in (self.low, self.high, self.step) if v is not None)

    @model_validator(mode="after")
    def _one_of_both(self) -> Axis:
        if (self.choices is None) == (self.low is None or self.high is None):
            raise ValueError("either choices, or low and high")
        if self.choices is not None:
            if set(self.model_fields_set) != {"choices"}:
                raise ValueError("choices alone: low, high, step, log and levels are of ranges")
            return self
        assert self.low is not None and self.high is not None
        if not self.low < self.high:
            raise ValueError("low below high")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log with a low above zero and without a step")
        return self

    def values(self) -> list[object]:
        """All choices, or the levels of a range."""
        if self.choices is not None:
            return list(self.choices)
        assert self.low is not None and self.high is not None
        if self.step is not None:
            # Rounding must not take the upper end away: (0.3 − 0.1) / 0.1 is a little less than 2.
            steps = math.floor((self.high - self.low) / self.step + 1e-9)
            return [self.low + i * self.step for i in range(steps + 1)]
        even = np.geomspace if self.log else np.linspace
        levels = even(self.low, self.high, self.levels).tolist()
        return sorted({round(v) for v in levels}) if self.whole else levels


def _axes(search: Mapping[object, object], section: str = "") -> Iterator[tuple[object, object]]:
    """Axes by their keys with dots, of sections that may be nested; a list is short for its choices."""
    for name, value in search.items():
        key = f"{section}{name}"
        # A mapping with none of an axis' own words is a section of the training's configuration.
        if isinstance(value, dict) and value and not set(value) & set(Axis.model_fields):
            yield from _axes(value, f"{key}.")
        else:
            yield key, {"choices": value} if isinstance(value, list) else value


class Named(Section):
    """A class of Optuna by name, and its options."""

    name: str
    options: Options = Field(default={})


class TuneConfig(Configuration):
    """All that a search is told.

    Attributes
    ----------
    train
        The training's configuration, or its file.
    search
        Values by key of the training's configuration, as ``optimiser.lr``, or in its sections; a list is short for its
        choices, so those of ``network.hidden``, itself a list, are lists in a list.
    objective
        'loss', 'band_energy' or 'total_energy' of the validation snapshots after training, to be made small, against
        the energies that the DFT printed; 'band_energy_from_data' or 'total_energy_from_data' against those that the
        data's own LDOS gives; or a measure without training: 'naswot' and 'jacobian' of networks, 'acsd' and
        'mutual_information' of descriptors.
    method
        'optuna': the sampler proposes. 'grid': every combination. 'oat': the runs of an orthogonal array, then the best
        level of each key by the means, run once more if it was not among them.
    trials
        Number of trials of 'optuna'; the other methods have as many as there are combinations.
    sampler, pruner
        Classes of optuna.samplers and optuna.pruners. The pruner sees the objective after every validation.
    repeats
        Number of trainings of a trial, by seeds that follow one another, on the same points; the objective is their
        mean, and ``spread`` in trials.csv its standard deviation over them. The pruner sees the first.
    parallel
        Number of trials at a time; none for as many as there are workers.
    attempts
        Number of times that a trial whose worker dies is begun, beyond what Dask itself repeats; a training goes on at
        its last checkpoint.
    storage
        'sqlite' or 'journal': the file in the output folder that Optuna keeps its trials in.
    points
        Number of points that a measure without training sees.
    seed
        Seed of the sampler, and of the points and networks of measures.
    """

    train: dict[str, object]
    search: dict[str, Axis] = Field(min_length=1)
    objective: Objective = "loss"
    method: Literal["optuna", "grid", "oat"] = "optuna"
    trials: int = Field(default=20, ge=1)
    sampler: Named = Named(name="TPESampler")
    pruner: Named = Named(name="NopPruner")
    repeats: int = Field(default=1, ge=1, le=100)
    parallel: int | None = Field(default=None, ge=1)
    attempts: int = Field(default=2, ge=1)
    storage: Literal["sqlite", "journal"] = "sqlite"
    points: int = Field(default=500, ge=10)
    seed: int = Field(default=0, ge=0, lt=2**31)

    def check(self, source: str) -> None:
        """Refuse keys and values that do not go together, naming the key."""
        # The first and the last values together show most mistakes in keys and types, before hours of trials do.
        _ = self.at({key: axis.values()[-1] for key, axis in self.search.items()}, f"{source}: search")
        first = self.first(f"{source}: search")
        # The training's own loss is no objective: it is best where a network has learnt the noise.
        if self.objective in TRAINED and not first.data.validation:
            came = f"snapshots, for the objective {self.objective}"
            raise InputError(f"{source}: train.data.validation", "none", came)
        # The mean of many networks costs as many trainings: what is best for one is best for all.
        if first.members > 1:
            why = "Tune one network, then train several."
            raise InputError(f"{source}: train.members", f"{first.members}", "1", why)
        if self.repeats > 1 and self.objective not in TRAINED:
            came = f"{self.repeats}, for the objective {self.objective}, which trains nothing"
            raise InputError(f"{source}: repeats", came, "1, or an objective of a training")
        section = FEELS.get(self.objective)
        for key in self.search:
            if section is not None and key.split(".")[0] != section:
                came = f"a key that {self.objective} does not feel"
                raise InputError(f"{source}: search.{key}", came, f"keys of {section}")
        if self.method == "grid" and math.prod(len(a.values()) for a in self.search.values()) > MOST:
            came = f"a grid of more than {MOST} combinations"
            raise InputError(f"{source}: search", came, "fewer", "Or method: optuna.")

    def first(self, source: str = "search") -> TrainConfig:
        """The training's configuration with the first value of every axis."""
        return self.at({key: axis.values()[0] for key, axis in self.search.items()}, source)

    @property
    def direction(self) -> str:
        """Optuna's word for which way is better."""
        return "maximize" if self.objective in LARGER_IS_BETTER else "minimize"

    def at(self, values: dict[str, object], source: str) -> TrainConfig:
        """The training's configuration with these keys.

        Raises
        ------
        InputError
            A key that is not one of a training's, or a value that does not fit.
        """
        # A deep copy in plain types: the sections below are written to.
        plain = json.loads(json.dumps(self.train))
        for key, value in values.items():
            *path, last = key.split(".")
            section = plain
            for name in path:
                if not isinstance(section.setdefault(name, {}), dict):
                    section[name] = {}
                section = section[name]
            section[last] = value
        return TrainConfig.of(plain, source)

    @property
    def runs(self) -> int:
        """Trials of a search; an orthogonal array may add one, of the best levels."""
        return self.trials if self.method == "optuna" else len(self.design())

    def design(self) -> list[dict[str, object]]:
        """The combinations that a grid or an orthogonal array tries."""
        axes = {key: axis.values() for key, axis in self.search.items()}
        if self.method == "grid":
            return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
        runs = orthogonal_array([len(v) for v in axes.values()])
        # Few levels in an array of many give some combinations twice; each is run once.
        combinations = [{key: axes[key][i] for key, i in zip(axes, run, strict=True)} for run in runs]
        return [run for i, run in enumerate(combinations) if run not in combinations[:i]]

    @classmethod
    def of(cls, values: object, source: str = "config", folder: str | Path | None = None) -> Self:
        """Check a mapping and the training's configuration that it names or holds.

        Raises
        ------
        InputError
            Naming the first key that is wrong.
        """
        values = with_training(values, source, folder)
        if isinstance(values, dict) and isinstance(search := values.get("search"), dict):
            values = {**values, "search": dict(_axes(search))}
        made = super().of(values, source, folder)
        made.check(source)
        return made
