"""The pages of the API: they build without a warning, and what a user may call is on them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

import maladist

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text()


def documented() -> list[str]:
    names = re.search(r"^DOCUMENTED := maladist (.*?[^\\])$", MAKEFILE, re.MULTILINE | re.DOTALL)
    assert names
    words = re.findall(r"[a-z_.]+", names[1].replace("$(addprefix maladist.,", ""))
    return ["maladist", *(f"maladist.{word}" for word in words)]


@pytest.mark.timeout(120)
def test_the_pages_build_without_a_warning_and_hold_the_public_names(tmp_path: Path) -> None:
    pages = tmp_path / "docs"
    command = ["make", "-o", "setup", "docs", f"DOCS={pages}", f"BIN={Path(sys.executable).parent}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (pages / "maladist.html").read_text()
    # A module has a page of its own.
    modules = {name for name in maladist.__all__ if isinstance(getattr(maladist, name), ModuleType)}
    missing = [name for name in maladist.__all__ if f'id="{name}"' not in page and name not in {"cluster", *modules}]
    assert not missing
    assert 'id="cluster"' in (pages / "maladist" / "cluster.html").read_text()
    for module in (*documented(), *(f"maladist.{name}" for name in modules)):
        assert (pages / Path(*module.split("."))).with_suffix(".html").is_file(), module


def test_every_public_function_says_what_it_takes() -> None:
    """Numpydoc's sections are what the pages are made of."""
    public = {name: getattr(maladist, name) for name in maladist.__all__}
    functions = {name: found for name, found in public.items() if isinstance(found, FunctionType)}
    assert "predict" in functions
    for name, function in functions.items():
        text = function.__doc__ or ""
        assert "Parameters\n" in text, name
