"""`evaluate` on the command line: all figures are shown, labelled, in the JSON and in pictures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from distributed import Client

from maladist import LDOSModel, load_model, predict, save_model
from maladist.cli.evaluate import _LABELS
from maladist.learning.cell_range import CellRange
from maladist.learning.domain import Domain
from maladist.testing import be_atoms
from tests.cli.conftest import Command
from tests.evaluation.common import as_snapshot

NOWHERE = ("--cluster", "tcp://127.0.0.1:9")  # a cluster that does not answer


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_all_figures_and_pictures_are_written(
    model: LDOSModel, client: Client, tmp_path: Path, command: Command
) -> None:
    for name, stretch in (("s0", 1.0), ("s1", 1.02), ("s2", 0.98)):
        atoms = be_atoms()
        atoms.set_cell(atoms.cell * stretch, scale_atoms=True)
        store = tmp_path / f"{name}.zarr"
        as_snapshot(predict(atoms, model, grid=(10, 9, 14), store=store, keep=("ldos",), client=client))
    save_model(model, tmp_path / "be.maladist")
    wanted, there = tmp_path / "all.json", ("--cluster", client.scheduler.address)
    arguments = ["evaluate", tmp_path / "be.maladist", tmp_path / "s*.zarr", *there]
    arguments += ["--train", tmp_path / "s*.zarr", "--json", wanted, "--plots", tmp_path / "plots", "--card"]
    status, out, err = command(*arguments)
    assert status == 0 and "snapshots: 3 of 3" in err and "errors.png" in out
    values = json.loads(wanted.read_text())
    assert [s["name"] for s in values["snapshots"]] == ["s0.zarr", "s1.zarr", "s2.zarr"]
    assert values["summary"]["all"]["total_free_energy_meV_per_atom"]["count"] == 3
    assert set(values["summary"]["all"]) <= set(_LABELS)  # nobody is shown a key of the JSON in place of its name
    assert set(values["baselines"]["errors"]) >= {"A: mean of training", "A: linear", "E_b: linear"}
    assert all((tmp_path / "plots" / f"{n}.png").stat().st_size > 10_000 for n in ("parity", "errors"))
    status, out, _ = command("card", tmp_path / "be.maladist")
    assert status == 0 and "| 2 atoms | 3 |" in out
    status, _, err = command(*arguments[:2], tmp_path / "none", *there)
    assert status == 2 and err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_calibration_is_written_into_the_models_file_and_then_used(
    model: LDOSModel, client: Client, tmp_path: Path, command: Command
) -> None:
    n, file = model.descriptor.n_features, tmp_path / "be.maladist"
    domain = Domain(CellRange((1.0, 20.0)), 1.0, torch.zeros(n, 1), torch.zeros(1))
    for i in range(5):
        atoms = be_atoms()
        atoms.set_cell(atoms.cell * (0.98 + 0.01 * i), scale_atoms=True)
        store = tmp_path / f"s{i}.zarr"
        made = predict(atoms, model, grid=(8, 7, 10), store=store, keep=("ldos",), client=client)
        as_snapshot(made, shift=0.02 * (-1) ** i)  # of two atoms: an error of 10 meV an atom
    there = ("--cluster", client.scheduler.address)
    save_model(model, file)
    status, _, err = command("evaluate", file, tmp_path / "s*.zarr", "--calibrate", *NOWHERE)
    assert status == 2 and "does not know its training" in err
    save_model(replace(model, domain=domain), file)
    status, _, err = command("evaluate", file, tmp_path / "s0.zarr", tmp_path / "s1.zarr", "--calibrate", *NOWHERE)
    assert status == 2 and "2 snapshots" in err and err.count("\n") == 1
    status, out, _ = command("evaluate", file, tmp_path / "s*.zarr", "--calibrate", *there)
    assert status == 0 and "from 5 cells of 2 atoms" in out and "90 % interval" not in out
    known = load_model(file).uncertainty
    assert known is not None and known.sizes == (2, 2)
    assert known.sigma("band_energy", 2, known.growth) == pytest.approx(
        0.01 * (5 / 4) ** 0.5, rel=0.3
    )  # g varies with the strain
    status, out, _ = command("evaluate", file, tmp_path / "s*.zarr", "--json", tmp_path / "a.json", *there)
    worth = json.loads((tmp_path / "a.json").read_text())["coverage"]["all"]["band_energy"]
    assert status == 0 and "90 % interval" in out and worth["within"] == 1 and worth["ratio"] < 1


def test_too_few_training_snapshots_are_refused_before_anything_is_computed(
    small_data_set: Path, folder: Path, command: Command
) -> None:
    """Refused afterwards, they took --json and --plots of a long computation along."""
    data, one = (small_data_set / "snapshots" / name for name in ("valid-0", "train-0"))
    status, _, err = command("evaluate", folder / "model.maladist", data, "--train", one, *NOWHERE)
    assert status == 2 and "train: 1 snapshots; wanted three or more" in err


@pytest.mark.parametrize("option", ["--json", "--plots"])
def test_places_that_cannot_be_written_are_refused_before_the_model_is_read(
    option: str, tmp_path: Path, command: Command
) -> None:
    status, _, err = command("evaluate", "no-model", "no-data", option, tmp_path / "nowhere" / "a", *NOWHERE)
    assert status == 2 and option[2:] in err and "no-model" not in err
