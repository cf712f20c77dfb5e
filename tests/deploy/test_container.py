"""The image's recipe, as far as it can be held against the checkout without a container engine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "container"
DOCKERFILE = (FOLDER / "Dockerfile").read_text()


def test_everything_that_is_copied_exists() -> None:
    lines = [line.split() for line in DOCKERFILE.splitlines() if line.startswith("COPY") and "--from" not in line]
    assert lines
    for name in [name for _, *names, _ in lines for name in names]:
        assert (ROOT / name).exists(), name


def test_every_argument_that_is_used_is_declared_in_its_stage() -> None:
    for stage in DOCKERFILE.split("FROM ")[1:]:
        body = stage.split("\n", 1)[1]
        used = set(re.findall(r"\$\{(\w+)\}", body))
        declared = set(re.findall(r"^ARG (\w+)", body, re.MULTILINE))
        assert used <= declared, used - declared


def test_torch_is_pinned_where_the_recipe_looks_for_it() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert len([line for line in lines if line.startswith("torch==")]) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--version"], r"\d+\.\d+"),
        (["dask-worker", "--help"], "Usage"),
        (["dask-scheduler", "--help"], "Usage"),
        (["python", "-c", "print(6 * 7)"], "42"),
    ],
)
def test_the_entry_point_runs_maladist_or_what_it_is_asked_for(arguments: list[str], said: str) -> None:
    shell = shutil.which("sh")
    assert shell is not None
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        [shell, str(FOLDER / "entrypoint.sh"), *arguments],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert re.search(said, ran.stdout)
