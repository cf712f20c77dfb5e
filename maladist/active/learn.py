"""Active learning as one run that can be killed at any time: MD, rank, dft, train, evaluate, and again.

In the output folder are `data.zarr`, the cells of all rounds as one data set, since what the first DFT proposes
(energies, k-points) must hold for all; and for each round a folder `round-1`, `round-2`, ... with its MD runs
(`md-0-300K`, ...), `chosen.extxyz`, `training/` with the round's model, and `errors.json`, which is written last: with
it the round is done. `round-0` has only the errors of the model that was given. The same call goes on where it ended:
each step is one of the verbs, which go on by themselves, and what a round has written whole is not made again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import ase
from distributed import Client

from maladist.active.config import Figure, LearnConfig
from maladist.cluster import client_or_local
from maladist.datasets.dft.code import DFTCode
from maladist.datasets.dft.codes import read_code
from maladist.datasets.dft.dft import dft
from maladist.datasets.snapshots import find_snapshots
from maladist.dynamics.folder import TRAJECTORY
from maladist.dynamics.md import md
from maladist.dynamics.settings import MDSettings
from maladist.errors import DFTError, DomainError, InputError, StoreError
from maladist.evaluation.evaluate import evaluate
from maladist.evaluation.statistics import summary
from maladist.io import ownership
from maladist.io.datasets import SNAPSHOTS
from maladist.io.model_file import load_model
from maladist.io.structures import read_atoms, read_frames, write_frames
from maladist.io.targets import check_folder, explained, write_whole
from maladist.parallel.progress import Observer, Silent
from maladist.prediction.rank import rank
from maladist.training.data import find_data
from maladist.training.train import MODEL, train

DATA: Final = "data.zarr"
ROUND: Final = "round-{}"
CHOSEN: Final = "chosen.extxyz"
TRAINING: Final = "training"
ERRORS: Final = "errors.json"
ARGUMENTS: Final = "learn.json"

_FREE: Final = ("rounds", "bounds")
"""What may change when a run goes on."""


@dataclass(frozen=True)
class Round:
    """A round that is done.

    Attributes
    ----------
    number
        Number of the round; 0 is the model that was given.
    cells
        Number of cells that it added to the training.
    model
        The round's model: a path, or the name of a shipped one.
    errors
        Mean absolute errors on the held-out cells, by figure, of each size by its name ('8 atoms'; 'all' where there is
        only one).
    """

    number: int
    cells: int
    model: str
    errors: Mapping[str, Mapping[str, float]]

    def within(self, bounds: Mapping[Figure, float]) -> bool:
        """Whether there are bounds, and each is kept by the cells of each size."""
        errors = [rows.get(n, math.inf) / bound for rows in self.errors.values() for n, bound in bounds.items()]
        return bool(errors) and max(errors) <= 1

    def __str__(self) -> str:
        shown = {
            "A": ("total_free_energy_meV_per_atom", "{:.2f} meV/atom"),
            "E_b": ("band_energy_meV_per_atom", "{:.2f} meV/atom"),
            "density": ("density_relative", "{:.2%}"),
            "forces": ("forces_relative", "{:.1%}"),
        }
        lines = []
        for group, rows in self.errors.items():
            figures = [f"{label} {text.format(rows[name])}" for label, (name, text) in shown.items() if name in rows]
            lines.append(f"round {self.number}, {self.cells} new cells, {group}: {', '.join(figures)}")
        return "\n".join(lines)


def learn(
    config: LearnConfig,
    output: str | Path,
    *,
    code: DFTCode | None = None,
    client: Client | None = None,
    observer: Observer | None = None,
) -> list[Round]:
    """Learn from the cells that a model's own MD finds and that it knows least, round after round.

    Parameters
    ----------
    config
        Configuration of the rounds.
    output
        Folder to make, or that of a run with the same configuration, which goes on; bounds and the number of rounds may
        have changed.
    code
        DFT code in place of the one that ``config.dft`` describes.
    client
        Client whose workers compute; a local cluster where None.
    observer
        Observer that is told each round's errors, and what its steps tell; nobody where None.

    Returns
    -------
    list of Round
        All rounds from 0 on, the last of which keeps the bounds or is the last that was allowed.

    Raises
    ------
    InputError
        The configuration's files are not what they should be, told before anything is computed; the folder holds
        another run; or a step's own. All that was finished is kept.
    DFTError
        None of a round's cells could be calculated.
    """
    if code is None and config.dft is None:
        raise InputError("dft", "none", "the settings of a DFT code (dft.yaml), or another code")
    code = code or read_code(str(config.dft))
    starts, model = [read_atoms(name) for name in config.atoms], load_model(config.model)
    # Before hours of MD and DFT: what the trainings and evaluations will need.
    find_data(config.train)
    find_snapshots(config.held_out, "held_out")
    folder = check_folder(Path(output).resolve())
    with explained(folder):
        folder.mkdir(exist_ok=True)
    with ownership.take(folder), client_or_local(client) as connected:
        _check_same(folder, config, model.content_hash)
        run = _Run(config, folder, starts, code, connected, observer or Silent())
        rounds = [run.judged(0, config.model, 0)]
        while len(rounds) <= config.rounds and not rounds[-1].within(config.bounds):
            rounds.append(run.round(len(rounds), rounds[-1].model))
        return rounds


def _check_same(folder: Path, config: LearnConfig, model_hash: str) -> None:
    """Keep the arguments in a new folder; refuse one that holds a run with others."""
    path = folder / ARGUMENTS
    ours = {k: v for k, v in config.to_dict().items() if k not in _FREE} | {"model_hash": model_hash}
    if not path.exists():
        write_whole(path, json.dumps(ours, indent=1) + "\n")
        return
    before = _read(path)
    if differ := sorted(n for n in {*before, *ours} if before.get(n) != ours.get(n)):
        came = f"{folder} holds a run with other {', '.join(differ)}"
        raise StoreError("output", came, "the same, to go on", "Or a new folder.")


def _read(path: Path) -> dict[str, Any]:
    """What a run wrote as JSON.

    Raises
    ------
    StoreError
        It cannot be read, or is not that.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError("output", f"{path} cannot be read ({error})", "what a run wrote there") from error
    if not isinstance(values, dict):
        raise StoreError("output", f"{path} holds a {type(values).__name__}", "what a run wrote there")
    return values


@dataclass(frozen=True)
class _Run:
    """What all rounds have in common."""

    config: LearnConfig
    folder: Path
    starts: Sequence[ase.Atoms]
    code: DFTCode
    client: Client
    observer: Observer

    def round(self, number: int, model: str) -> Round:
        """A round with the model of the one before."""
        folder = self.folder / ROUND.format(number)
        training = folder / TRAINING
        with explained(folder):
            folder.mkdir(exist_ok=True)
        # Once the training has begun its data are settled: a cell whose DFT failed must not join them later.
        if not training.exists():
            self._calculate(number, self._chosen(folder, number, model))
        if not (training / MODEL).is_file():
            new = [self._snapshots(i) for i in range(1, number + 1)]
            train(self.config.training(new), training, client=self.client, resume=True, observer=self.observer)
        cells = len(find_snapshots([self._snapshots(number)], "output"))
        return self.judged(number, str(training / MODEL), cells)

    def judged(self, number: int, model: str, cells: int) -> Round:
        """A round's errors on the held-out cells, or what is kept of them."""
        folder = self.folder / ROUND.format(number)
        kept = folder / ERRORS
        if kept.is_file():
            done = Round(number, cells, model, _read(kept).get("errors", {}))
        else:
            found = evaluate(model, self.config.held_out, client=self.client, observer=self.observer)
            groups = summary(found)
            if len(groups) > 1:
                del groups["all"]  # a mean over sizes that nobody asked for
            errors = {group: {name: s.mean_abs for name, s in rows.items()} for group, rows in groups.items()}
            done = Round(number, cells, model, errors)
            with explained(folder):
                folder.mkdir(exist_ok=True)
            write_whole(kept, json.dumps(asdict(done), indent=1) + "\n")
        self.observer.note(str(done))
        return done

    def _snapshots(self, number: int) -> str:
        """Pattern of a round's snapshots."""
        return str(self.folder / DATA / SNAPSHOTS / f"{ROUND.format(number)}-*")

    def _chosen(self, folder: Path, number: int, model: str) -> list[ase.Atoms]:
        """Cells of the round's MD that its model knows least."""
        path = folder / CHOSEN
        if not path.is_file():
            pool = [frame for i in range(len(self.starts)) for frame in self._frames(folder, number, i, model)]
            chosen = rank(
                model,
                pool,
                min(self.config.count, len(pool)),
                points=self.config.points,
                client=self.client,
                observer=self.observer,
            )
            write_frames([pool[one.frame] for one in chosen], path)
        return read_frames(str(path))

    def _frames(self, folder: Path, number: int, start: int, model: str) -> list[ase.Atoms]:
        """Frames of the MD runs from one of the cells, at all temperatures."""
        how, found = self.config.md, list[ase.Atoms]()
        for i, temperature in enumerate(how.temperatures):
            settings = MDSettings(
                steps=how.steps,
                timestep=how.timestep,
                ensemble="nvt",
                ion_temperature=temperature,
                friction=how.friction,
                # One for each MD: two with the same noise would find the same cells.
                seed=self.config.seed + 10_000 * number + 100 * start + i,
                every=how.every,
                stop_novelty=how.stop_novelty,
            )
            output = folder / f"md-{start}-{temperature:g}K"
            # An MD that has left the training has found what it was sent for.
            with suppress(DomainError):
                md(self.starts[start], model, output, settings, client=self.client, observer=self.observer)
            frames = read_frames(str(output / TRAJECTORY))
            # Of one that ended before its equilibrium the last frame, the farthest from the training.
            found += [f for f in frames if int(f.info["step"]) >= how.equilibration] or frames[-1:]
        return found

    def _calculate(self, number: int, chosen: Sequence[ase.Atoms]) -> None:
        """Run a round's cells through the DFT."""
        names = [f"{ROUND.format(number)}-{i:03d}" for i in range(len(chosen))]
        outcomes = dft(chosen, self.code, self.folder / DATA, names=names, client=self.client, observer=self.observer)
        failed = [one for one in outcomes if one.reason]
        for one in failed:
            self.observer.note(f"{one.name} is left out: {one.reason}")
        if len(failed) == len(chosen):
            raise DFTError(
                "dft", f"all {len(failed)} cells of round {number} failed", "one that does not", failed[0].reason
            )
