"""The notebooks: each is a script and its twin without output, and runs in any folder from first cell to last."""

from __future__ import annotations

from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "notebooks"
SCRIPTS = sorted(FOLDER.glob("[0-9][0-9]_*.py"))


def names(scripts: list[Path]) -> list[str]:
    return [s.stem for s in scripts]


def test_there_are_notebooks_and_no_strays() -> None:
    assert len(SCRIPTS) >= 4
    assert names(sorted(FOLDER.glob("*.ipynb"))) == names(SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS, ids=names(SCRIPTS))
def test_the_notebook_is_its_scripts_twin(script: Path) -> None:
    """`make notebooks` writes the twins anew."""
    twin = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    nbformat.validate(twin)
    said = [(c.cell_type, c.source) for c in jupytext.read(script).cells]
    assert [(c.cell_type, c.source) for c in twin.cells] == said
    assert not any(c.get("outputs") or c.get("execution_count") for c in twin.cells)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=names(SCRIPTS))
@pytest.mark.timeout(200)
def test_it_runs_in_an_empty_folder_and_shows_something(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MALADIST_NOTEBOOK_SIZE", "small")
    monkeypatch.setenv("MALADIST_SCRATCH", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    # As after `pip install`: nothing of the repository beside it, and of the package only what is imported.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    notebook = jupytext.read(script)
    NotebookClient(notebook, timeout=180, resources={"metadata": {"path": str(elsewhere)}}).execute()
    pictures = [o for c in notebook.cells for o in c.get("outputs", []) if "image/png" in o.get("data", {})]
    assert pictures
