"""The trials of a search in Optuna's file: proposed, judged, told, and found again after an interruption."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from maladist.errors import DependencyError, InputError, OutputError
from maladist.io.ownership import refuse_living
from maladist.io.targets import check_folder
from maladist.tuning.config import Axis, Named, TuneConfig
from maladist.tuning.trial import Outcome

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage

_NAME: Final = "maladist"
_GO_ON: Final = "Finished trials are kept: --resume goes on."
_FREE: Final = ("trials", "parallel", "attempts", "pruner", "sampler")
"""What may change when a search goes on."""
_OWN_LOOP: Final = {
    # Samplers that hold the values themselves, and so do not know those of `search`.
    "GridSampler": "Say method: grid.",
    "BruteForceSampler": "Say method: grid.",
    "PartialFixedSampler": "Another one.",
}


class Study:
    """Optuna's study in the output folder.

    Raises
    ------
    DependencyError
        Optuna is not installed.
    InputError
        The output holds a search and is not resumed, or another search; a sampler or pruner does not exist.
    """

    def __init__(self, config: TuneConfig, output: Path) -> None:
        self.optuna = _optuna()
        self.config = config
        self.distributions = {key: self._distribution(axis) for key, axis in config.search.items()}
        file = _file(output, config.storage)
        begun = file.exists()
        self.study = self.optuna.create_study(
            storage=self._storage(file),
            study_name=_NAME,
            direction=config.direction,
            load_if_exists=True,
            pruner=_make(self.optuna.pruners, config.pruner, "pruner"),
        )
        # Through JSON, as it comes back from Optuna's file: tuples and lists are then alike.
        told = json.loads(config.model_dump_json(exclude=set(_FREE)))
        # A client that died between making the file and writing into it has left an empty study.
        if begun and "config" in self.study.user_attrs:
            # Searches that were begun before there were repeats go on.
            _check_same(told, {"repeats": 1, **self.study.user_attrs["config"]})
            self._begin_again()
        else:
            self.study.set_user_attr("config", told)
            if config.method != "optuna":
                # All at once into the queue, so that a search that is interrupted finds what is
                # still to run in its file.
                for values in config.design():
                    self.propose(values)
        taken = {"seed": config.seed + len(self.study.trials)}  # else a search that goes on would repeat its draws
        self.study.sampler = _make(self.optuna.samplers, config.sampler, "sampler", taken)

    def propose(self, values: dict[str, object], **attributes: object) -> None:
        """Put a trial of these values in the queue."""
        self.study.enqueue_trial(
            {key: self._written(key, value) for key, value in values.items()}, user_attrs=attributes
        )

    def ask(self) -> tuple[Trial, dict[str, object]]:
        """A new trial and its values: the first of the queue, else what the sampler proposes."""
        trial = self.study.ask(self.distributions)
        return trial, self._read(trial.params)

    def folder(self, trial: Trial) -> int:
        """Number in the name of a trial's folder: that of the interrupted trial which it goes on with, or its own."""
        return int(trial.user_attrs.get("goes on with", trial.number))

    def judge(self, trial: Trial, epoch: int, value: float) -> bool:
        """Note a validation; whether the pruner would end the trial."""
        # Optuna refuses a second value of the same step.
        known = self.study.trials[trial.number].intermediate_values
        if epoch not in known:  # an epoch is validated again by a training that goes on
            trial.report(value, epoch)
        return bool(trial.should_prune())

    def tell(self, trial: Trial, outcome: Outcome) -> None:
        """Note what came of a trial."""
        states = self.optuna.trial.TrialState
        trial.set_user_attr("seconds", outcome.seconds)
        # Optuna keeps no reason of its own: without it a failed trial says nothing.
        trial.set_user_attr("reason", outcome.reason)
        trial.set_user_attr("errors", dict(outcome.errors))
        if outcome.stopped:
            self.study.tell(trial, state=states.PRUNED)
        elif outcome.value is None:
            self.study.tell(trial, state=states.FAIL)
        else:
            self.study.tell(trial, outcome.value)

    def finished(self) -> int:
        """How many trials have come to an end, by themselves."""
        return len(self.rows())

    def rows(self) -> list[dict[str, Any]]:
        """All of them, by number: their number, values, state, value, seconds, reason and errors."""
        ended = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
        return [
            {
                "number": t.number,
                "values": self._read(t.params),
                "state": ended[t.state.name],
                "value": t.value,
                "seconds": t.user_attrs.get("seconds", 0.0),
                "reason": t.user_attrs.get("reason", ""),
                "errors": t.user_attrs.get("errors", {}),
            }
            for t in self.study.trials
            if t.state.name in ended and "interrupted" not in t.user_attrs
        ]

    def holds(self, values: dict[str, object]) -> bool:
        """Whether a trial of these values was proposed, run or both."""
        # Those in the queue have their values among Optuna's own attributes until they are asked for.
        written = {key: self._written(key, value) for key, value in values.items()}
        return any(
            t.params == written or t.system_attrs.get("fixed_params") == written
            for t in self.study.get_trials(deepcopy=False)
        )

    def _begin_again(self) -> None:
        """Put trials that were under way when the client went away back in the queue."""
        # A trial that runs in the file has lost its client. It cannot be told to wait again: it
        # is closed, marked so that it does not count, and a new one goes on in its folder.
        states = self.optuna.trial.TrialState
        for trial in self.study.get_trials(states=(states.RUNNING,)):
            self.study._storage.set_trial_user_attr(trial._trial_id, "interrupted", True)
            self.study.tell(trial.number, state=states.FAIL)
            self.propose(self._read(trial.params), **{"goes on with": self.folder(trial)})

    def _storage(self, file: Path) -> BaseStorage:
        storages = self.optuna.storages
        if self.config.storage == "sqlite":
            return storages.RDBStorage(f"sqlite:///{file}")
        return storages.JournalStorage(storages.journal.JournalFileBackend(str(file)))

    def _distribution(self, axis: Axis) -> BaseDistribution:
        made = self.optuna.distributions
        if axis.choices is not None:  # as JSON: Optuna's files hold no lists
            return made.CategoricalDistribution([json.dumps(v) for v in axis.choices])
        kind = made.IntDistribution if axis.whole else made.FloatDistribution
        more = {} if axis.step is None else {"step": axis.step}
        # The last value and not `high`: Optuna warns of a range that is no multiple of its step.
        return kind(axis.low, axis.values()[-1], log=axis.log, **more)

    def _written(self, key: str, value: object) -> object:
        return json.dumps(value) if self.config.search[key].choices is not None else value

    def _read(self, params: Mapping[str, Any]) -> dict[str, object]:
        listed = {key for key, axis in self.config.search.items() if axis.choices is not None}
        return {key: json.loads(v) if key in listed else v for key, v in params.items()}


def check_output(config: TuneConfig, output: Path, resume: bool) -> None:
    """Refuse what Optuna does not have, and a folder that another search used.

    Raises
    ------
    DependencyError, InputError
        For the reasons of `Study`.
    """
    optuna = _optuna()
    if config.sampler.name in _OWN_LOOP:
        raise InputError("sampler.name", config.sampler.name, "a sampler that proposes", _OWN_LOOP[config.sampler.name])
    _make(optuna.samplers, config.sampler, "sampler", {"seed": config.seed})
    _make(optuna.pruners, config.pruner, "pruner")
    check_folder(output)
    refuse_living(output)
    # A search of the other storage in this folder would share its trials' folders.
    other = _file(output, "journal" if config.storage == "sqlite" else "sqlite")
    if other.exists():
        raise InputError("storage", f"{config.storage}, where {output} holds a search in {other.name}", "the same")
    if _file(output, config.storage).exists() and not resume:
        raise InputError("output", f"{output} holds a search", "a new folder", "Give --resume to go on with it.")


def _file(output: Path, storage: str) -> Path:
    return output / f"study.{storage}"


@contextmanager
def storing(output: Path) -> Iterator[None]:
    """What Optuna says against writing its file, as an `OutputError`: what is finished is kept, nothing else counts."""
    from sqlalchemy.exc import SQLAlchemyError  # which Optuna brings, and lets through while it makes its file

    try:
        yield
    except (_optuna().exceptions.StorageInternalError, SQLAlchemyError) as error:
        why = str(error.__cause__ or error).splitlines()[0]
        wanted = "a place that can be written to and has room"
        raise OutputError("output", f"the study in {output} cannot be written ({why})", wanted, _GO_ON) from error


def _make(
    module: ModuleType, named: Named, key: str, offered: Mapping[str, object] | None = None
) -> BaseSampler | BasePruner:
    """An object of a class of Optuna; what is ``offered`` is given to those that take it."""
    known = [n for n in module.__all__ if n.endswith(key.title()) and not n.startswith("Base") and n not in _OWN_LOOP]
    if named.name not in known:
        raise InputError(f"{key}.name", repr(named.name), f"one of {', '.join(known)}")
    made = getattr(module, named.name)
    options = dict(named.options)
    # PatientPruner wraps another pruner, which a YAML file can only describe.
    if key == "pruner" and isinstance(inner := options.get("wrapped_pruner"), dict):
        options["wrapped_pruner"] = _make(module, Named.model_validate(inner), key)
    try:
        try:
            # Optuna does not tell which of its samplers take a seed: it is tried.
            return made(**{**(offered or {}), **options})
        except TypeError:
            return made(**options)
    except (TypeError, ValueError, ImportError) as error:
        wanted = f"options that optuna's {named.name} takes"
        raise InputError(f"{key}.options", f"{options} ({error})".replace("\n", " "), wanted) from None


def _check_same(now: dict[str, object], begun: dict[str, object]) -> None:
    for key in now:
        if now[key] != begun.get(key):
            came = f"{now[key]!r:.80}, where the search began with {begun.get(key)!r:.80}"
            raise InputError(key, came, "the same search", "Take another output folder to begin again.")


def _optuna() -> ModuleType:
    try:
        import optuna
    except ImportError as error:
        came = f"Optuna is not installed ({error})"
        raise DependencyError("optuna", came, "the package optuna", "pip install maladist[tune]") from error
    # What Optuna says of each trial, the observer says in our words.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
