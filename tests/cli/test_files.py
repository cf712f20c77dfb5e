"""`info`, `import-mala`, `export-mala` on the command line: tables, damage by its place, nothing replaced unasked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from maladist import load_model, save_model
from maladist.io import datasets, stores
from maladist.io.shipped import shipped_models
from maladist.io.stores import field_template
from tests.cli.conftest import Command


def test_info_says_what_is_damaged(tmp_path: Path, command: Command) -> None:
    data = tmp_path / "d.zarr"
    datasets.open_data_set(data)
    group = stores.create(
        datasets.snapshot_path(data, "a"), {"density": field_template("density", (20, 2, 2), (1, 2, 2))}, {}
    )
    stores.write_region(group, "density", (), np.random.default_rng(0).random((20, 2, 2)))
    datasets.copy_reference(group, {"converged": True}, {})
    stores.finish(group)
    (tmp_path / "threads.yaml").write_text("kind: local\nprocesses: false\n")
    there = ("--cluster", tmp_path / "threads.yaml", "--workers", 1)
    status, out, _ = command("info", data, "--verify", *there)
    assert status == 0 and "as it was written" in out
    (data / "snapshots/a/density/c/3/0/0").unlink()
    status, out, err = command("info", data, "--verify", *there)
    assert status == 2 and "chunk 3, 0, 0 is lost" in out
    assert "damage in snapshots/a/density" in err and err.strip().count("\n") == 0


def test_models_lists_what_comes_with_the_package_for_people_and_programs(command: Command) -> None:
    status, out, _ = command("models")
    assert status == 0 and all(name in out and one.card.summary in out for name, one in shipped_models().items())
    status, out, _ = command("models", "--json")
    told = json.loads(out)
    assert status == 0 and told["be-1000K"]["elements"] == ["Be"] and Path(told["be-1000K"]["file"]).is_file()


def test_card_prints_the_page_of_a_shipped_model_and_makes_one_of_any_other(folder: Path, command: Command) -> None:
    status, out, _ = command("card", "be-1000K")
    assert status == 0 and out.startswith("# be-1000K") and "Errors on held-out cells" in out
    status, out, _ = command("card", folder / "model.maladist")
    assert status == 0 and out.startswith("# model.maladist") and "None are told" in out
    status, _, err = command("card", "nothing")
    assert status == 2 and "be-1000K" in err and err.count("\n") == 1


def test_info_of_a_file_shows_its_rows_and_what_is_no_file_is_a_line(folder: Path, command: Command) -> None:
    status, out, _ = command("info", folder / "model.maladist")
    assert status == 0 and "bispectrum" in out and "2000 K" in out
    status, _, err = command("info", folder / "nothing")
    assert status == 2 and err.count("\n") == 1


def test_import_writes_beside_the_zip_the_same_model_and_replaces_only_when_told(
    own_data: Path, tmp_path: Path, command: Command
) -> None:
    archive, made = tmp_path / "Be.zip", tmp_path / "Be.maladist"
    archive.write_bytes((own_data / "mala_small.zip").read_bytes())
    status, out, _ = command("import-mala", archive)
    assert status == 0 and out.startswith(f"{made}: ")
    assert load_model(made).content_hash == load_model(archive).content_hash
    made.write_text("mine")
    status, _, err = command("import-mala", archive)
    assert status == 2 and "exists" in err and made.read_text() == "mine"
    with_files = ("--pseudopotentials", own_data / "pseudopotentials", "--overwrite")
    assert command("import-mala", archive, *with_files).status == 0
    assert load_model(made).elements["Be"].pseudopotential != load_model(archive).elements["Be"].pseudopotential


def test_a_place_for_the_model_is_looked_at_before_the_zip_is_read(tmp_path: Path, command: Command) -> None:
    status, _, err = command("import-mala", tmp_path / "none.zip", "--output", tmp_path / "nowhere" / "a.maladist")
    assert status == 2 and "none.zip" not in err and "nowhere" in err


def test_export_writes_a_zip_says_how_mala_loads_it_and_what_its_energies_are(
    folder: Path, tmp_path: Path, command: Command
) -> None:
    made, moving = tmp_path / "Be.zip", tmp_path / "moving.maladist"
    save_model(replace(load_model(folder / "model.maladist"), energy_zero={"Be": 70.0}), moving)
    status, out, _ = command("export-mala", folder / "model.maladist", folder / "be.extxyz", "--output", made)
    assert status == 0 and 'load_run("Be"' in out and "this cell" not in out
    assert load_model(made).energy_grid.origin == load_model(folder / "model.maladist").energy_grid.origin
    status, _, err = command("export-mala", moving, folder / "be.extxyz", "--output", made)
    assert status == 2 and "exists" in err
    again = ("--overwrite", "--grid", 12, 10, 18)
    status, out, _ = command("export-mala", moving, folder / "be.extxyz", "--output", made, *again)
    assert status == 0 and "of this cell" in out
