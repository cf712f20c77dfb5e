"""The commands md and relax: what they print, write and refuse, and how they go on."""

from __future__ import annotations

import json
from pathlib import Path

import ase.io
import pytest
from distributed import Client

from maladist import save_model
from maladist.cli.app import main
from maladist.cli.options import ModelFlags
from maladist.cluster import Later
from maladist.testing import be_atoms, tiny_model


@pytest.fixture
def words(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Atoms and a model, as arguments; the cluster of all tests is there already."""
    monkeypatch.setattr(ModelFlags, "client", client)
    ase.io.write(tmp_path / "be.extxyz", be_atoms())
    save_model(tiny_model(), tmp_path / "be.maladist")
    return [str(tmp_path / "be.extxyz"), "--model", str(tmp_path / "be.maladist"), "--grid", "8", "8", "12"]


def test_md_runs_goes_on_and_refuses_other_arguments(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["md", *words, "--output", str(tmp_path / "md"), "--json", str(tmp_path / "md.json"), "--timestep", "0.2"]
    assert main([*command, "--steps", "2"]) == 0
    said = capsys.readouterr()
    assert "drift" in said.out and "trajectory.traj" in said.out
    assert "step 2 " in said.err and "MD steps: 2 of 2" in said.err
    found = json.loads((tmp_path / "md.json").read_text())
    assert found["steps"] == 2 and found["n_atoms"] == 2 and found["conserved_drift_meV_per_atom_per_ps"] is not None
    # Nothing is left to do, so nothing is computed.
    assert main([*command, "--steps", "2"]) == 0
    assert json.loads((tmp_path / "md.json").read_text()) == found
    assert main([*command, "--steps", "2", "--seed", "7"]) == 2
    assert "seed (0, not 7)" in capsys.readouterr().err
    assert main([*command, "--steps", "3", "--stop-novelty", "2"]) == 2
    assert "stop_novelty" in capsys.readouterr().err
    assert "stop_novelty" in json.loads((tmp_path / "md.json").read_text())["stopped"]


def test_relax_says_how_far_it_came(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["relax", *words, "--output", str(tmp_path / "relaxed")]
    assert main([*command, "--steps", "1", "--fmax", "0.001"]) == 2
    said = capsys.readouterr().err
    assert "at step 1" in said and "goes on" in said and "frames kept: 2" in said
    # Whatever its forces are, they are small enough now.
    assert main([*command, "--fmax", "1000", "--json", str(tmp_path / "a.json")]) == 0
    assert json.loads((tmp_path / "a.json").read_text())["step"] == 1
    assert "relaxed.extxyz" in capsys.readouterr().out and (tmp_path / "relaxed" / "relaxed.extxyz").is_file()


def test_a_cluster_starts_only_where_one_is_named() -> None:
    assert ModelFlags(model=Path("m")).client is None
    assert ModelFlags(model=Path("m"), workers=1).client == Later("local", 1)
    assert ModelFlags(model=Path("m"), cluster="slurm.yaml").client == Later("slurm.yaml")
