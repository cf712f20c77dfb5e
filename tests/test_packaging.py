"""What is published: metadata that agree, a recipe that conda's tool reads, and a wheel that works by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterable
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from maladist.io.yaml import parse_yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDAS_NAMES = {"torch": "pytorch", "dask": "dask-core", "matplotlib": "matplotlib-base"}


def needed(requirements: Iterable[str]) -> dict[str, SpecifierSet]:
    """Versions by the package's name."""
    return {r.name: r.specifier for r in map(Requirement, requirements)}


def test_every_place_has_the_same_version() -> None:
    recipe, citation = (parse_yaml((ROOT / f).read_text()) for f in ("deploy/conda/recipe.yaml", "CITATION.cff"))
    assert recipe["context"]["version"] == citation["version"] == PROJECT["version"]


def test_classifiers_name_the_pythons_and_that_it_is_typed() -> None:
    told = PROJECT["classifiers"]
    assert "Typing :: Typed" in told and (ROOT / "maladist" / "py.typed").is_file()
    assert [c[-4:] for c in told if "Python :: 3." in c] == ["3.11", "3.12", "3.13", "3.14"]
    assert PROJECT["authors"] == [{"name": "maladist developers"}]


def test_the_citation_has_what_the_format_demands() -> None:
    citation = parse_yaml((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0" and citation["message"] and citation["title"] == PROJECT["name"]
    assert citation["authors"] == PROJECT["authors"] and citation["license"] == PROJECT["license"]
    readme = (ROOT / "README.md").read_text()
    assert all(str(one["year"]) in readme for one in citation["references"])


def test_condas_own_tool_renders_the_recipe_and_its_requirements_are_ours() -> None:
    rattler_build = pytest.importorskip("rattler_build")
    (variant,) = rattler_build.Stage0Recipe.from_file(ROOT / "deploy/conda/recipe.yaml").render()
    assert str(variant.recipe.package.name) == PROJECT["name"]
    run = parse_yaml((ROOT / "deploy/conda/recipe.yaml").read_text())["requirements"]["run"]
    ours = {CONDAS_NAMES.get(name, name): versions for name, versions in needed(PROJECT["dependencies"]).items()}
    assert needed(run) == {**ours, "python": SpecifierSet(PROJECT["requires-python"])}


# -- built and installed ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Wheel, made from the sdist, and sdist."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)], check=True, timeout=300)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


@pytest.mark.slow
def test_the_wheel_has_all_that_the_package_reads_and_nothing_else(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        there = {n for n in wheel.namelist() if ".dist-info/" not in n}
    tracked = subprocess.run(["git", "ls-files", "maladist"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert there >= set(tracked.stdout.split()) and {n.split("/")[0] for n in there} == {"maladist"}
    with tarfile.open(built[1]) as sdist:
        inside = {n.partition("/")[2] for n in sdist.getnames()}
    assert {"pyproject.toml", "LICENSE", "README.md", "CITATION.cff", "constraints.txt", "tests/conftest.py"} <= inside


@pytest.mark.slow
def test_a_notebook_runs_from_the_wheel_without_the_repository(
    built: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that takes its data from `maladist.examples`; what the package requires is that of this environment."""
    installed, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    with zipfile.ZipFile(built[0]) as wheel:
        wheel.extractall(installed)
    elsewhere.mkdir()
    for name, value in (("PYTHONPATH", installed), ("IPYTHONDIR", tmp_path)):
        monkeypatch.setenv(name, str(value))
    notebook = jupytext.read(ROOT / "notebooks" / "10_a_surface.py")
    notebook.cells.append(nbformat.v4.new_code_cell("print(maladist.__file__)"))
    NotebookClient(notebook, timeout=180, resources={"metadata": {"path": str(elsewhere)}}).execute()
    assert notebook.cells[-1].outputs[0].text.strip() == str(installed / "maladist" / "__init__.py")


PYTHONS = [sys.executable, *os.environ.get("MALADIST_PYTHONS", "").split()]
"""Where the wheel is tried: 5.5 GB each where a torch without CUDA is not at hand."""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("python", PYTHONS)
def test_it_predicts_from_a_bare_environment(python: str, built: tuple[Path, Path], tmp_path: Path) -> None:
    alone = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def run(*words: object) -> str:
        done = subprocess.run([str(w) for w in words], cwd=tmp_path, env=alone, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(python, "-m", "venv", tmp_path / "venv")
    bin_ = tmp_path / "venv" / "bin"
    run(bin_ / "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", built[0])
    assert PROJECT["version"] in run(bin_ / "maladist", "--version")
    assert "be-1000K" in json.loads(run(bin_ / "maladist", "models", "--json"))
    code = "from ase.build import bulk; bulk('Be', a=2.28, c=3.58).write('be.extxyz')"
    run(bin_ / "python", "-c", code)
    told = run(bin_ / "maladist", "predict", "be.extxyz", "-m", "be-1000K", "-o", "be.zarr", "--json", "-", "--quiet")
    # −34.4 eV/atom is hcp beryllium's: what a wheel without its data, or with other versions, would not give.
    assert json.loads(told)["total_free_energy_eV"] / 2 == pytest.approx(-34.4, abs=0.2)
