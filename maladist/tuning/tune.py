"""Searching a training's configuration: trials proposed here, run on the workers, kept in a file as they finish.

The client alone speaks with Optuna and its file; workers train and tell what they find. A trial whose worker dies is
begun again where its last checkpoint stands. Ctrl-C, or a death of the client, costs what is under way and nothing
that is finished: the next call with ``resume`` begins those trials again and goes on.

In the output folder are ``study.sqlite`` (or ``study.journal``), ``trials.csv``, ``best.yaml`` (which `train` takes),
``samples`` (points and descriptors, shared by all trials) and a folder of each trained trial with its metrics.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from distributed import Client, Event, Future, KilledWorker, as_completed

from maladist.cluster import client_or_local
from maladist.errors import BlockError, InputError, OutputError, StoreError
from maladist.io import ownership
from maladist.io.ownership import Claim
from maladist.io.samples import write_table
from maladist.io.targets import explained, write_whole
from maladist.io.yaml import yaml_text
from maladist.parallel.progress import Observer, Silent
from maladist.parallel.workers import Workers
from maladist.training.config import TrainConfig
from maladist.training.data import find_data
from maladist.training.prepare import Prepared, prepare
from maladist.tuning.config import TRAINED, TuneConfig
from maladist.tuning.result import Trial, Tuned, best_levels, main_effects
from maladist.tuning.study import Study, check_output, storing
from maladist.tuning.trial import Outcome, run_trial

if TYPE_CHECKING:
    from optuna import Trial as OptunaTrial

BEST: Final = "best.yaml"
TRIALS: Final = "trials.csv"


def tune(
    config: TuneConfig,
    output: str | Path,
    *,
    client: Client | None = None,
    resume: bool = False,
    observer: Observer | None = None,
) -> Tuned:
    """Search for the best values of some keys of a training's configuration.

    Parameters
    ----------
    config
        Configuration of the search.
    output
        Folder to make.
    client
        Client whose workers run the trials; a local cluster where None. They must see the output folder and the data.
    resume
        Whether to go on with an interrupted search, or with more trials.
    observer
        Observer that is told of every finished `Trial`, and what the user should know; nobody where None.

    Raises
    ------
    InputError
        The data cannot be learnt from, the output is of another search, or no trial gave a number.
    DependencyError
        Optuna is not installed.
    """
    output, observer = Path(output).resolve(), observer or Silent()
    check_output(config, output, resume)
    with explained(output):
        output.mkdir(exist_ok=True)
    runs = config.runs
    with ownership.take(output) as folder, storing(output), client_or_local(client) as connected:
        study = Study(config, output)
        observer.begin(connected, f"{runs} trials")
        search = _Search(config, folder, connected, study, observer)
        search.run(runs)
        if config.method == "oat" and (best := best_levels(config, search.trials())) not in config.design():
            # A search that goes on may have proposed it before it was interrupted.
            if not study.holds(best):
                study.propose(best)
            search.run(runs + 1)
        return search.found()


class _Search:
    """The trials that are under way, and how they come and go."""

    def __init__(self, config: TuneConfig, folder: Claim, client: Client, study: Study, observer: Observer) -> None:
        self.config, self.folder, self.client, self.study, self.observer = config, folder, client, study, observer
        self.output = Path(folder)
        self.under_way: dict[str, tuple[OptunaTrial, int, TrainConfig, Prepared]] = {}
        self.ready: dict[str, Prepared] = {}
        self.key = f"tune-{time.time_ns():x}"
        self.heard: SimpleQueue[tuple[str, dict[str, Any]]] = SimpleQueue()

    def run(self, total: int) -> None:
        """Run trials until so many are finished."""
        at_a_time = self.config.parallel or Workers.of(self.client).count
        self.observer.stage("trials", total, self.study.finished())
        flying = as_completed(loop=self.client.loop, raise_errors=False)
        try:
            while (left := total - self.study.finished()) > 0:
                # A trial may end as it begins, where its values do not go together: what is left is asked again.
                while len(self.under_way) < min(at_a_time, left):
                    if (future := self._begin()) is not None:
                        flying.add(future)
                    left = total - self.study.finished()
                self._wait(flying)
        finally:
            flying.clear()
            self._abandon()

    def trials(self) -> list[Trial]:
        """All finished trials, the best first."""
        # Failed and pruned trials come last, by whichever direction.
        better = -1.0 if self.config.direction == "maximize" else 1.0
        trials = [Trial(**row) for row in self.study.rows()]
        return sorted(trials, key=lambda t: (t.state != "complete", better * (t.value or 0.0)))

    def found(self) -> Tuned:
        """What was found."""
        trials = self.trials()
        if not trials or trials[0].state != "complete":
            why = trials[0].reason or trials[0].state if trials else "none was finished"
            raise InputError("search", f"no trial that gave a number ({why})", "one or more")
        effects = main_effects(trials) if self.config.method == "oat" else {}
        return Tuned(trials[0], self._config(trials[0]), tuple(trials), effects)

    def _config(self, trial: Trial) -> TrainConfig:
        return self.config.at(dict(trial.values), f"trial {trial.number}")

    def _wait(self, flying: as_completed) -> None:
        """Wait for the end of a trial; meanwhile the pruner looks at validations."""
        while not (flying.is_empty() or flying.has_ready()):
            # A short wait, so that a validation can stop its trial soon and not only when another trial ends.
            with flying.thread_condition:
                flying.thread_condition.wait(timeout=0.1)
            while not self.heard.empty():
                topic, message = self.heard.get()
                # A trial that has ended may still be heard of: Dask's events and futures come by different ways.
                trial = next((t for key, (t, *_) in self.under_way.items() if key.startswith(f"{topic}-")), None)
                if trial is not None and self.study.judge(trial, message["epoch"], message["value"]):
                    # The trial looks at the event after each epoch: Dask cannot interrupt a task.
                    Event(topic, self.client).set()
        if not flying.is_empty():
            self._end(next(flying), flying)

    def _begin(self) -> Future | None:
        """Ask for a trial and hand it out; None where its values do not go together."""
        trial, values = self.study.ask()
        try:
            config = self.config.at(values, f"trial {trial.number}")
            prepared = self._prepared(config)
        except (OutputError, StoreError):  # a full disk says nothing of the trial's values
            raise
        except (InputError, BlockError) as error:
            self._finish(trial, Outcome(None, 0.0, str(error)))
            return None
        return self._submit(trial, 1, config, prepared)

    def _submit(self, trial: OptunaTrial, attempt: int, config: TrainConfig, prepared: Prepared) -> Future:
        topic = f"{self.key}-{trial.number}"
        key = f"{topic}-{attempt}"
        self.under_way[key] = trial, attempt, config, prepared
        # Later attempts tell under the same name, to which the client listens already.
        if attempt == 1:
            self.client.subscribe_topic(topic, lambda event: self.heard.put((topic, event[1])))
        folder = self.folder.below(f"trial-{self.study.folder(trial)}")
        c = self.config
        arguments = (config, prepared, c.objective, folder, topic, c.points, c.seed, c.repeats)
        return self.client.submit(run_trial, *arguments, key=key, pure=False)

    def _end(self, future: Future, flying: as_completed) -> None:
        trial, attempt, config, prepared = self.under_way.pop(future.key)
        try:
            outcome = future.result()
        except KilledWorker:
            if attempt < self.config.attempts:
                self.observer.note(f"trial {trial.number} lost its workers; it goes on at its last checkpoint")
                flying.add(self._submit(trial, attempt + 1, config, prepared))
                return
            # The search goes on: one trial that needs too much memory must not cost all others.
            outcome = Outcome(None, 0.0, "its workers died, most likely of too little memory")
        self.client.unsubscribe_topic(f"{self.key}-{trial.number}")
        self._finish(trial, outcome)

    def _finish(self, trial: OptunaTrial, outcome: Outcome) -> None:
        """Keep what came of a trial."""
        # A search that was taken over meanwhile must not write into the other's file.
        self.folder.check()
        self.study.tell(trial, outcome)
        trials = self.trials()
        # After every trial, so that whoever looks into the folder, or ends the search, has the best so far.
        write_table(self.output / TRIALS, [t.to_dict() for t in trials])
        if (best := trials[0]).state == "complete":
            # As a comment of YAML: the file stays one that `train` takes.
            text = f"# {self.config.objective} {best.value:.6g}: trial {best.number}, the best of {len(trials)}\n"
            plain = yaml_text(self._config(best).to_dict())
            write_whole(self.output / BEST, (text + plain).encode())
        self.observer.advance(next(t for t in trials if t.number == trial.number))

    def _abandon(self) -> None:
        """End what is under way; its trials are begun again by a call that resumes."""
        if self.under_way and self.client.status == "running":
            for key in self.under_way:
                Event(key.rsplit("-", 1)[0], self.client).set()
            self.client.cancel([Future(key, self.client) for key in self.under_way], reason="maladist: search ended")
        self.under_way.clear()

    def _prepared(self, config: TrainConfig) -> Prepared:
        """Samples and scalers; the same for all trials that differ in nothing that they depend on."""
        plain = config.to_dict()
        # Rates, sizes and epochs are not among them: most searches sample once.
        parts = ("data", "descriptor", "inputs", "outputs", "energy_zero", "density_channel", "seed")
        # Of these weights only whether there are any: u(r), which is a column of the samples, and labels of forces.
        loss = {
            "correction": config.loss.broadening_correction,
            "potential": config.loss.mean_total > 0,
            "labels": config.loss.forces > 0,
        }
        key = json.dumps({**{p: plain[p] for p in parts}, **loss}, sort_keys=True)
        if key not in self.ready:
            if self.config.objective not in TRAINED:
                # A measure without training needs no validation points, which would cost their descriptors.
                config = config.model_copy(update={"data": config.data.model_copy(update={"validation": []})})
            self.ready[key] = prepare(config, find_data(config), self.output, self.client, self.observer)
        return self.ready[key]
