"""Active learning: rounds to a bound, ended at any step and gone on with, and once with a real DFT."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase
import ase.io
import pytest
from ase.build import bulk
from distributed import Client

import maladist
from maladist import LearnConfig, learn
from maladist.active.config import Figure
from maladist.active.learn import CHOSEN, DATA, ERRORS, Round
from maladist.datasets.dft.dft import Outcome
from maladist.dynamics.folder import TRAJECTORY
from maladist.errors import DFTError, DomainError, InputError, StoreError
from maladist.io.datasets import SNAPSHOTS
from maladist.io.trajectory import append_frame
from maladist.io.yaml import yaml_text
from maladist.prediction.rank import Ranked
from maladist.testing import Listener, be_atoms, tiny_model
from maladist.training.train import MODEL
from tests.evaluation.common import evaluated
from tests.training.common import SMALL

VERBS = ("evaluate", "md", "rank", "dft", "train")


class Killed(BaseException):
    """What ends a run at once, as a signal does."""


class Steps:
    """Stands in for the verbs: each writes what the real one writes, and the error halves with each training.

    Attributes
    ----------
    calls
        Names of the verbs that came to their end.
    kill
        Verb that ends the run in the middle, once.
    """

    def __init__(self, data: Path) -> None:
        self.data, self.calls, self.kill, self.trained = data, list[str](), "", list[list[str]]()
        self.settings, self.fails = list[Any](), set[str]()

    def _done(self, name: str) -> None:
        if self.kill == name:
            self.kill = ""
            raise Killed
        self.calls.append(name)

    def md(self, atoms: ase.Atoms, model: str, output: Path, settings: Any, **_: Any) -> None:
        self.settings.append(settings)
        output.mkdir(exist_ok=True)
        for step in range(0, settings.steps + 1, settings.every):
            frame = atoms.copy()
            frame.positions[0, 0] += 0.01 * step
            frame.info["step"] = step
            append_frame(output / TRAJECTORY, frame)
        self._done("md")
        if settings.ion_temperature > 5000:
            raise DomainError("stop_novelty", "novelty 9", "at most 5")

    def rank(self, model: str, pool: list[ase.Atoms], count: int, **_: Any) -> list[Ranked]:
        assert all(f.info["step"] >= 10 for f in pool), "frames before equilibrium"
        self._done("rank")
        return [Ranked(len(pool) - 1 - i, 1.0, 0.1, 0.5, None) for i in range(count)]

    def dft(self, chosen: list[ase.Atoms], code: object, output: Path, *, names: list[str], **_: Any) -> list[Outcome]:
        outcomes = []
        for name in names:
            there = output / SNAPSHOTS / name
            if name in self.fails:
                outcomes.append(Outcome(name, "no convergence", 1.0))
            elif not there.exists():
                shutil.copytree(self.data / "snapshots/train-0", there)
                outcomes.append(Outcome(name, "", 1.0))
        self._done("dft")
        return outcomes

    def train(self, config: Any, output: Path, **_: Any) -> None:
        output.mkdir(exist_ok=True)
        self._done("train")
        self.trained.append(config.data.train[1:])
        maladist.save_model(tiny_model(seed=len(self.trained)), output / MODEL)

    def evaluate(self, model: str, held_out: list[str], **_: Any) -> list[Any]:
        self._done("evaluate")
        error = 8.0 / 2 ** len(self.trained)
        return [evaluated("a", 8, error), evaluated("b", 16, -2 * error)]


@pytest.fixture
def steps(small_data_set: Path, monkeypatch: pytest.MonkeyPatch) -> Steps:
    steps = Steps(small_data_set)
    for name in VERBS:
        monkeypatch.setattr(sys.modules["maladist.active.learn"], name, getattr(steps, name))
    return steps


@pytest.fixture
def config(small_data_set: Path, tmp_path: Path) -> Callable[..., LearnConfig]:
    ase.io.write(tmp_path / "be.extxyz", be_atoms())
    maladist.save_model(tiny_model(), tmp_path / "first.maladist")

    def make(**more: Any) -> LearnConfig:
        values: dict[str, Any] = {
            "model": str(tmp_path / "first.maladist"),
            "atoms": [str(tmp_path / "be.extxyz")],
            "md": {"temperatures": [300, 1000], "steps": 20, "every": 5, "equilibration": 10},
            "count": 2,
            "train": {"data": {"train": str(small_data_set / "snapshots/train-*")}, **SMALL},
            "held_out": str(small_data_set / "snapshots/test-*"),
            "rounds": 3,
            "seed": 5,
        }
        return LearnConfig.of({**values, **more})

    return make


def run(config: LearnConfig, output: Path, client: Client, **more: Any) -> list[Round]:
    return learn(config, output, code=object(), client=client, **more)  # type: ignore[arg-type]


def test_rounds_go_on_until_the_bounds_are_kept_by_each_size(
    steps: Steps, config: Callable[..., LearnConfig], tmp_path: Path, client: Client
) -> None:
    told = Listener()
    bounds: dict[Figure, float] = {"total_free_energy_meV_per_atom": 4.0}
    rounds = run(config(bounds=bounds), tmp_path / "out", client, observer=told)
    # 16 meV/atom of the larger cells, 8, 4: the smaller ones kept the bound one round before.
    assert [r.errors["16 atoms"]["total_free_energy_meV_per_atom"] for r in rounds] == pytest.approx([16, 8, 4])
    assert [r.cells for r in rounds] == [0, 2, 2] and rounds[-1].within(bounds) and not rounds[1].within(bounds)
    assert steps.calls == ["evaluate", *2 * ["md", "md", "rank", "dft", "train", "evaluate"]]
    # A training has the cells of all rounds before it, an MD its own noise.
    patterns = [str(tmp_path / "out" / DATA / SNAPSHOTS / f"round-{i}-*") for i in (1, 2)]
    assert steps.trained == [patterns[:1], patterns]
    assert len({s.seed for s in steps.settings}) == 4 and {s.ensemble for s in steps.settings} == {"nvt"}
    assert any("round 2, 2 new cells, 16 atoms: A 4.00 meV/atom" in note for note in told.notes)
    made = {p.name for p in (tmp_path / "out" / "round-2").iterdir()}
    assert made == {"md-0-300K", "md-0-1000K", CHOSEN, "training", ERRORS}


@pytest.mark.parametrize("verb", VERBS)
def test_a_run_that_ends_in_any_step_goes_on_to_the_same_rounds(
    verb: str, steps: Steps, config: Callable[..., LearnConfig], tmp_path: Path, client: Client
) -> None:
    whole = run(config(rounds=1), tmp_path / "whole", client)
    done, steps.calls, steps.trained = steps.calls, [], []
    steps.kill = verb
    with pytest.raises(Killed):
        run(config(rounds=1), tmp_path / "out", client)
    again = run(config(rounds=1), tmp_path / "out", client)
    assert [r.errors for r in again] == [r.errors for r in whole]
    # Nothing that had come to its end is done twice, but for an MD, which finds its own frames.
    assert [c for c in steps.calls if c != "md"] == [c for c in done if c != "md"]
    assert (tmp_path / "out/round-1" / CHOSEN).read_text() == (tmp_path / "whole/round-1" / CHOSEN).read_text()


def test_more_rounds_go_on_and_a_finished_run_does_nothing(
    steps: Steps, config: Callable[..., LearnConfig], tmp_path: Path, client: Client
) -> None:
    first = run(config(rounds=1), tmp_path / "out", client)
    steps.calls.clear()
    assert run(config(rounds=1), tmp_path / "out", client) == first and steps.calls == []
    assert run(config(rounds=2), tmp_path / "out", client)[:2] == first
    assert steps.calls == ["md", "md", "rank", "dft", "train", "evaluate"]
    with pytest.raises(StoreError, match=r"a run with other count, seed"):
        run(config(count=1, seed=9), tmp_path / "out", client)
    (tmp_path / "out/round-1" / ERRORS).write_text('{"errors": ')
    with pytest.raises(StoreError, match=r"errors\.json cannot be read"):
        run(config(rounds=2), tmp_path / "out", client)


def test_cells_whose_dft_fails_are_left_out_and_an_md_that_leaves_the_training_counts(
    steps: Steps, config: Callable[..., LearnConfig], tmp_path: Path, client: Client
) -> None:
    told, hot = Listener(), {"temperatures": [300, 9000], "steps": 20, "every": 5, "equilibration": 10}
    steps.fails = {"round-1-000"}
    rounds = run(config(rounds=1, md=hot), tmp_path / "out", client, observer=told)
    assert rounds[1].cells == 1 and "round-1-000 is left out: no convergence" in told.notes
    steps.fails = {"round-1-000", "round-1-001"}
    with pytest.raises(DFTError, match="all 2 cells of round 1 failed"):
        run(config(rounds=1), tmp_path / "none", client)


def test_what_later_steps_will_lack_is_told_before_the_first(
    config: Callable[..., LearnConfig], tmp_path: Path, client: Client
) -> None:
    with pytest.raises(InputError, match=r"held_out: .*matches nothing"):
        run(config(held_out="nowhere.zarr"), tmp_path / "out", client)
    with pytest.raises(InputError, match="the settings of a DFT code"):
        learn(config(), tmp_path / "out", client=client)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.qe
def test_real_rounds_killed_once_go_on_and_keep_what_they_had(small_data_set: Path, tmp_path: Path) -> None:
    """A model of three cells, MD of two atoms, pw.x: the command itself, ended by SIGKILL in the middle of its DFT."""
    if shutil.which("pw.x") is None:
        pytest.skip("no pw.x")
    dft = {
        "temperature": 1000,
        "pseudopotentials": str(Path(__file__).parents[1] / "data/pseudopotentials"),
        "ecutwfc": 15,
        "kpoints": {2: [10, 10, 6], 4: [5, 10, 6]},
        "energies": {"origin": -6.0, "spacing": 0.3, "levels": 66},
        "broadening": 0.4,
        "bands": 8,
        "pulay": False,
    }
    data = {"train": str(small_data_set / "snapshots/train-*"), "points": 400}
    data |= {"validation": str(small_data_set / "snapshots/valid-0"), "pseudopotentials": dft["pseudopotentials"]}
    training = {**SMALL, "data": data, "epochs": 20, "inputs": {"kind": "whiten"}, "members": 2}
    with maladist.cluster("local", workers=1) as client:
        maladist.train(maladist.TrainConfig.of(training), tmp_path / "first", client=client)
    ase.io.write(tmp_path / "be.extxyz", bulk("Be", "hcp", a=2.2866, c=3.5833))
    (tmp_path / "dft.yaml").write_text(yaml_text(dft))
    values = {
        "model": "first/model.maladist",
        "atoms": ["be.extxyz"],
        "md": {"temperatures": [600], "steps": 12, "timestep": 2.0, "every": 2, "stop_novelty": 50},
        "count": 2,
        "points": 200,
        "dft": "dft.yaml",
        "train": training,
        "held_out": str(small_data_set / "snapshots/test-*"),
        "rounds": 1,
    }
    (tmp_path / "learn.yaml").write_text(yaml_text(values))
    words = [sys.executable, "-m", "maladist", "learn", "learn.yaml", "--output", "out", "--workers", "1"]
    snapshots = tmp_path / "out" / DATA / SNAPSHOTS
    process = subprocess.Popen(words, cwd=tmp_path)
    try:
        began = time.monotonic()
        while not (snapshots.is_dir() and any(snapshots.glob("*round-1-*"))):
            assert process.poll() is None and time.monotonic() - began < 400
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    chosen = (tmp_path / "out/round-1" / CHOSEN).read_bytes()
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/round-1" / CHOSEN).read_bytes() == chosen
    assert done.stdout.count("round 1, 2 new cells") == 1 and "1 rounds are done" in done.stdout
    model = maladist.load_model(tmp_path / "out/round-1/training" / MODEL)
    assert set(model.provenance["trained on"]) == {"train-0", "train-1", "train-2", "round-1-000", "round-1-001"}
    errors = [json.loads((tmp_path / f"out/round-{i}" / ERRORS).read_text())["errors"]["all"] for i in (0, 1)]
    assert all(rows["total_free_energy_meV_per_atom"] > 0 for rows in errors)
