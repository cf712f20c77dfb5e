"""`learn` on the command line: the errors of all rounds, and what cannot be is one line before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

import maladist
from maladist.active.learn import Round
from maladist.cluster import Later
from maladist.io.shipped import shipped_models
from maladist.io.yaml import yaml_text
from tests.active.test_config import GOOD
from tests.cli.conftest import Command, StandIn

ERRORS = {"8 atoms": {"total_free_energy_meV_per_atom": 3.0, "density_relative": 0.005}}


@pytest.mark.parametrize(("bound", "said"), [(4.0, "the bounds are kept: b.maladist"), (2.0, "5 rounds are done: ")])
def test_the_rounds_are_told_and_why_there_are_no_more(
    bound: float, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command, stand_in: StandIn
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("be.yaml").write_text(yaml_text({**GOOD, "bounds": {"total_free_energy_meV_per_atom": bound}}))
    calls = stand_in("maladist.learn", [Round(0, 0, "be-1000K", ERRORS), Round(1, 2, "b.maladist", ERRORS)])
    status, out, err = command("learn", "be.yaml", "--workers", 2)
    assert status == 0, err
    (config, folder), named = calls[0]
    assert isinstance(config, maladist.LearnConfig) and folder == Path("be")
    assert named["client"] == Later("local", 2)
    lines = out.splitlines()
    assert lines[1] == "round 1, 2 new cells, 8 atoms: A 3.00 meV/atom, density 0.50%" and lines[2].startswith(said)


@pytest.mark.usefixtures("no_cluster")
@pytest.mark.parametrize(
    ("more", "why"),
    [({"cuont": 3}, "cuont: is not a key"), ({"dft": None}, "dft: "), ({"atoms": ["no.xyz"]}, "no.xyz")],
)
def test_what_cannot_be_is_one_line_before_anything_is_made(
    more: dict[str, object], why: str, tmp_path: Path, command: Command
) -> None:
    folder = shipped_models()["be-1000K"].folder
    (tmp_path / "l.yaml").write_text(yaml_text({**GOOD, "dft": str(folder / "dft.yaml"), **more}))
    status, _, err = command("learn", tmp_path / "l.yaml", "--output", tmp_path / "out")
    assert status == 2 and why in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()
