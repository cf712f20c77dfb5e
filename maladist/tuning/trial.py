"""One trial, on a worker: a network trained and validated, or a measure that needs no training."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import torch
from distributed import Event, get_worker

from maladist.errors import BlockError, InputError, OutputError, StoreError
from maladist.io.ownership import Claim
from maladist.io.samples import Rows
from maladist.io.targets import explained
from maladist.parallel.progress import Finished, Silent
from maladist.training.config import TrainConfig
from maladist.training.metrics import EpochReport
from maladist.training.prepare import Prepared
from maladist.training.samples import Chunk
from maladist.training.train import CHECKPOINT, fit
from maladist.training.validation import Validated
from maladist.tuning.training_free import acsd, jacobian_score, mutual_information, naswot

DRAWS: Final = 5
"""Networks whose scores are averaged: one draw of the weights says little."""

_one_at_a_time = threading.Lock()  # torch's random numbers belong to the process


@dataclass(frozen=True)
class Outcome:
    """What came of a trial.

    Attributes
    ----------
    value
        Value of the objective; None where the trial failed or was stopped.
    seconds
        Time on the worker, since the trial was last begun.
    reason
        Why it failed; empty where it did not.
    stopped
        Whether the pruner, or the user, ended it.
    errors
        Mean errors on the validation snapshots, as `Validated.to_dict`, and of several trainings the objective's
        standard deviation, ``spread``; empty where nothing was trained.
    """

    value: float | None
    seconds: float
    reason: str = ""
    stopped: bool = False
    errors: Mapping[str, float] = field(default_factory=dict)


class _StoppedError(Exception):
    """The driver asked this trial to end."""


def run_trial(
    config: TrainConfig,
    prepared: Prepared,
    objective: str,
    folder: Claim,
    topic: str,
    points: int,
    seed: int,
    repeats: int = 1,
) -> Outcome:
    """Run a trial; what is wrong with its values becomes part of the outcome.

    Parameters
    ----------
    folder
        Folder of the training; a checkpoint that an earlier attempt left there is gone on from.
    topic
        Name under which validations are told, and of the `Event` that stops the trial.
    points, seed
        Number of points and seed of a measure without training.
    repeats
        Number of trainings whose mean is taken.
    """
    with _one_at_a_time:
        # One trial at a time has all threads of its worker.
        torch.set_num_threads(get_worker().state.nthreads)
        began = time.perf_counter()
        try:
            errors: Mapping[str, float] = {}
            if objective in MEASURES:
                value = measure(config, prepared, objective, points, seed)
            else:
                value, errors = _repeated(config, prepared, objective, folder, topic, repeats)
        except _StoppedError:
            return Outcome(None, time.perf_counter() - began, stopped=True)
        except (OutputError, StoreError):  # a full disk says nothing of the trial's values
            raise
        # Values that diverge or need too much memory are a result of the search; errors of our
        # own programs are not caught.
        except (InputError, BlockError, RuntimeError, FloatingPointError, np.linalg.LinAlgError) as error:
            return Outcome(None, time.perf_counter() - began, f"{type(error).__name__}: {error}")
        seconds = time.perf_counter() - began
        # A NaN would be the best value to some samplers, and spoil what they learn.
        if not math.isfinite(value):
            why = f"{objective} is not a finite number, or the data do not tell it"
            return Outcome(None, seconds, why, errors=errors)
        return Outcome(value, seconds, errors=errors)


def _repeated(
    config: TrainConfig, prepared: Prepared, objective: str, folder: Claim, topic: str, repeats: int
) -> tuple[float, Mapping[str, float]]:
    """Mean of the objective and of the errors over trainings of different seeds, and the objective's spread."""
    folders = [folder, *(folder.below(f"repeat-{i}") for i in range(1, repeats))]
    found = [
        # A pruner compares trials epoch by epoch: it hears of one training of each.
        _trained(config.model_copy(update={"seed": config.seed + i}), prepared, objective, at, topic, tells=i == 0)
        for i, at in enumerate(folders)
    ]
    # Nothing goes on from a finished trial, and checkpoints are the largest files of a search.
    for at in folders:
        (Path(at) / CHECKPOINT).unlink(missing_ok=True)
    values, errors = [one.metric(objective) for one in found], [one.to_dict() for one in found]
    means = {
        name: float(np.mean([one[name] for one in errors])) for name in errors[0] if all(name in e for e in errors)
    }
    spread = {"spread": float(np.std(values, ddof=1))} if repeats > 1 and np.isfinite(values).all() else {}
    return float(np.mean(values)), {**means, **spread}


def _trained(
    config: TrainConfig, prepared: Prepared, objective: str, folder: Claim, topic: str, *, tells: bool
) -> Validated:
    """Train, and validate the network that the training keeps."""
    worker, stop = get_worker(), Event(topic)

    class Judge(Silent):
        """Tells the client of validations; ends the trial when the client asks for it."""

        def advance(self, task: Finished) -> None:
            if tells and isinstance(task, EpochReport) and task.validation is not None:
                worker.log_event(topic, {"epoch": task.epoch, "value": task.validation.metric(objective)})
            # After the report, so that what this epoch has shown is not lost with the trial.
            if stop.is_set():
                raise _StoppedError

    with explained(folder.path):
        Path(folder).mkdir(exist_ok=True)
    model = fit(config, prepared, folder, resume=True, observer=Judge())
    # The training may keep another network than that of its last epoch: its best weights, or their average.
    validation = prepared.checked_on(config)
    assert validation is not None
    return validation(model)


def measure(config: TrainConfig, prepared: Prepared, objective: str, points: int, seed: int) -> float:
    """A measure without training, of points drawn evenly from all snapshots."""
    features, targets = some_rows(prepared.chunks, points, seed)
    ldos = targets[:, : prepared.data.train[0].energies.levels]
    if objective == "acsd":
        return acsd(features, ldos)
    if objective == "mutual_information":
        return mutual_information(features, ldos)
    score = {"naswot": naswot, "jacobian": jacobian_score}[objective]
    x = prepared.inputs.transform(torch.from_numpy(features))
    scores = []
    # The networks are made on the CPU, whose generator alone is put back.
    with torch.random.fork_rng(devices=[]):
        for draw in range(DRAWS):
            torch.manual_seed(seed + draw)
            scores.append(score(prepared.network(config), x))
    return float(np.mean(scores))


MEASURES: Final = ("naswot", "jacobian", "acsd", "mutual_information")


def some_rows(chunks: Sequence[Chunk], points: int, seed: int) -> tuple[Rows, Rows]:
    """Descriptors and targets of points drawn from all chunks without repetition; the same points for the same seed."""
    ends = np.cumsum([0, *(c.rows for c in chunks)])
    # Over all snapshots as over one, so that each point is as likely as every other.
    chosen = np.sort(np.random.default_rng(seed).choice(ends[-1], min(points, int(ends[-1])), replace=False))
    parts = []
    for chunk, begin, end in zip(chunks, ends[:-1], ends[1:], strict=True):
        own = chosen[(chosen >= begin) & (chosen < end)] - begin
        if len(own):
            parts.append([rows[own] for rows in chunk.read()])
    features, targets = (np.concatenate(side) for side in zip(*parts, strict=True))
    return features, targets
