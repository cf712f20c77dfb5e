"""The README is run: its commands and its Python, in its order, as a user would."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import ase.io
import pytest

from maladist.cli.app import app, main
from maladist.testing import tiny_model

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 120


def test_its_make_targets_exist() -> None:
    targets = (Path(__file__).parent.parent / "Makefile").read_text()
    for target in re.findall(r"make ([\w-]+)", README):
        assert re.search(rf"^{target}:", targets, re.MULTILINE), target


def test_its_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (Path(__file__).parent.parent / link).exists(), link


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_its_commands_and_its_python_run(tmp_path: Path, own_data: Path) -> None:
    from ase import Atoms

    from maladist import save_model

    # What `make demo` leaves, small.
    (tmp_path / "demo-output").mkdir()
    atoms = Atoms("Be2", scaled_positions=[[0.33, 0.7, 0.24], [0.66, 0.31, 0.77]], cell=[2.3, 2.2, 3.6], pbc=True)
    ase.io.write(tmp_path / "demo-output" / "be256.extxyz", atoms)
    save_model(tiny_model(), tmp_path / "demo-output" / "model.maladist")
    bin_folder = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}"}
    consoles = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    commands = [c for block in consoles for c in re.findall(r"^\$ (maladist .*)$", block, re.MULTILINE)]
    assert len(commands) >= 4
    for command in commands:
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    scripts = re.findall(r"<!-- tested -->\n```python\n(.*?)```", README, re.DOTALL)
    assert scripts
    for script in scripts:
        (tmp_path / "script.py").write_text(script)
        done = subprocess.run(
            [sys.executable, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "total free energy" in done.stdout


def test_its_commands_that_need_data_are_spelt_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their files are not there; what is said must be that, not a word on an option."""
    block = re.search(r"```text\n(maladist import-mala.*?)```", README, re.DOTALL)
    assert block
    for line in block[1].splitlines():
        assert main(shlex.split(line, comments=True)[1:]) == 2
        assert re.search(r"no such file|is not a|No such file|does not exist", capsys.readouterr().err), line


def test_the_commands_that_it_names_exist() -> None:
    named = set(re.findall(r"(?:`|^|\$ )maladist ([a-z][a-z-]+)", README, re.MULTILINE))
    assert len(named) >= 10
    assert named <= set(app), named - set(app)


def test_its_picture_is_small() -> None:
    assert (Path(__file__).parent.parent / "notebooks" / "be256.png").stat().st_size < 150_000
