"""Options that verbs share are flags of each of them, under the names that they have everywhere."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from maladist.cli.app import app
from maladist.cli.options import BlockFlags, ClusterFlags, RunOptions
from maladist.prediction.options import Options
from tests.cli.conftest import Command


@pytest.mark.parametrize(
    "command",
    [
        "convert run --ldos a.cube --output o --name n",
        "dft frames --setup s.yaml --output o",
        "check data",
        "align data --output o",
        "export snapshot --to cube --output o",
        "train c.yaml",
        "tune c.yaml",
        "evaluate m data",
        "observe ldos",
        "info a.zarr",
        "predict a.xyz --model m --output o",
        "plan a.xyz --model m",
        "md a.xyz --model m --output o --steps 1",
        "relax a.xyz --model m --output o",
        "learn l.yaml",
        "rank m md.traj --count 1 --output o",
    ],
)
def test_every_verb_that_computes_takes_a_cluster(command: str) -> None:
    tokens = [*command.split(), "--cluster", "slurm.yaml", "--workers", "3"]
    _, bound, _ = app.parse_args(tokens, exit_on_error=False, print_error=False)
    (where,) = (value for value in bound.arguments.values() if isinstance(value, ClusterFlags))
    assert (where.cluster, where.workers) == ("slurm.yaml", 3)


@pytest.mark.usefixtures("no_cluster")
@pytest.mark.parametrize(
    "words",
    [
        "predict nowhere.xyz -m {model} -o o",
        "predict {atoms} -m nowhere -o o",
        "predict {atoms}@: -m nowhere -o o",
        "predict {atoms}@: -m {model} -o o -T -5",
        "plan nowhere.xyz -m {model}",
        "plan {atoms} -m nowhere",
        "observe nowhere.zarr",
        "md {atoms} -m nowhere -o o --steps 1",
        "relax {atoms} -m {model} -o o --density-cutoff -1",
        "evaluate {model} nowhere.zarr",
        "check nowhere.zarr",
        "align nowhere.zarr -o o",
        "export nowhere.zarr --to cube -o o",
        "convert {atoms} --ldos nowhere.cube -o o --name n",
        "info nowhere.zarr --verify",
        "train nowhere.yaml",
        "tune nowhere.yaml",
        "dft {atoms} --setup nowhere.yaml -o o",
    ],
)
def test_input_is_read_before_the_cluster_that_was_asked_for_starts(
    words: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    given = words.format(atoms=folder / "be.extxyz", model=folder / "model.maladist").split()
    status, _, err = command(*given, "--workers", "1")
    assert status == 2 and err.startswith("maladist: ") and "Traceback" not in err, err


def test_what_is_not_given_is_left_to_the_function() -> None:
    run = RunOptions(model="m").run()  # type: ignore[arg-type]
    assert run["chunks"] == "auto" and run["temperature"] is None and run["keep"] == ()
    assert BlockFlags().numerics() == {"backend": "auto", "device": "auto", "precision": "float32"}


def test_every_option_reaches_predict_under_its_own_name() -> None:
    given = {f.name for f in fields(RunOptions)} - {"model", "cluster", "workers"}
    assert set(RunOptions(model="m").run()) == given <= Options.__optional_keys__  # type: ignore[arg-type]


def test_fields_to_keep_come_with_commas() -> None:
    assert RunOptions(model="m", keep="ldos,descriptors").run()["keep"] == ("ldos", "descriptors")  # type: ignore[arg-type]
