"""Examples in the docstrings of public functions: each runs, and prints what it says.

They take two atoms of beryllium, ``be``, and run in a folder with a data set of DFT, ``be.zarr``, pseudopotentials in
``upf``, a training's ``train.yaml`` and a result, ``result.zarr``; docs/reference/index.md says so.
"""

from __future__ import annotations

import doctest
import inspect
import io
import shutil
from pathlib import Path
from typing import Any

import pytest
from ase.build import bulk

import maladist

NAMES = [name for name in sorted(maladist.__all__) if inspect.isfunction(getattr(maladist, name))]
WITHOUT = {"convert", "dft", "learn", "oneshot", "stm", "tune"}
"""What takes Quantum ESPRESSO or its files, a slab that a model knows, or minutes: the guides show them."""
WITH_WORKERS = {
    "align",
    "check",
    "cluster",
    "distil",
    "evaluate",
    "export",
    "observe",
    "performance_report",
    "predict_many",
    "train",
}

TRAINING = """\
data: {train: [be.zarr/snapshots/train-*], points: 50, pseudopotentials: upf}
descriptor: {family: power_spectrum, radial: [3, 2], cutoff: 4.0}
network: {hidden: [8]}
batch: {snapshots: 2, points: 50}
epochs: 1
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, own_data: Path, small_data_set: Path) -> Path:
    path = tmp_path_factory.mktemp("examples")
    shutil.copytree(small_data_set, path / "be.zarr")
    shutil.copytree(own_data / "pseudopotentials", path / "upf")
    (path / "train.yaml").write_text(TRAINING)
    maladist.predict(_beryllium(), "be-1000K-2", store=path / "result.zarr")
    return path


def _beryllium() -> Any:
    return bulk("Be", "hcp", a=2.2866, c=3.5833)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n in WITH_WORKERS else []) for n in NAMES if n not in WITHOUT],
)
def test_the_example_of_a_public_function_prints_what_it_says(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    found = getattr(maladist, name)
    known = {"maladist": maladist, "be": _beryllium(), "bulk": bulk}
    (example,) = doctest.DocTestFinder(recurse=False).find(found, name, globs=known)
    assert example.examples, f"maladist.{name} has no example"
    assert not any(one.options.get(doctest.SKIP) for one in example.examples)
    said = io.StringIO()
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed = doctest.DocTestRunner(optionflags=options).run(example, out=said.write).failed
    assert not failed, said.getvalue()


def test_every_public_function_has_an_example_or_is_named() -> None:
    assert {n for n in NAMES if ">>>" not in (inspect.getdoc(getattr(maladist, n)) or "")} == WITHOUT
