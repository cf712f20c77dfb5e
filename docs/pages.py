"""Gather the pages into a folder that Sphinx reads: those here, those that live elsewhere, those made of the code.

    python docs/pages.py docs/_build/source

A page that lives elsewhere (a notebook, a folder's README, the changelog) is taken as it is, and its links are turned
to the page of what they name, or to the file itself, so that no text is written twice.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import made_of_code

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent

PAGES: Final = {
    **{p.relative_to(HERE).as_posix(): p for p in sorted(HERE.rglob("*.md")) if "_build" not in p.parts},
    **{f"tutorial/{p.name}": p for p in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))},
    **{f"guides/{p.name}": p for p in sorted((ROOT / "notebooks").glob("*.md"))},
    "guides/clusters/index.md": ROOT / "deploy" / "README.md",
    **{f"guides/clusters/{p.parent.name}.md": p for p in sorted((ROOT / "deploy").glob("*/README.md"))},
    **{f"models/{p.parent.name}.md": p for p in sorted((ROOT / "maladist" / "data").glob("*/README.md"))},
    "about/changelog.md": ROOT / "CHANGELOG.md",
    "about/contributing.md": ROOT / "CONTRIBUTING.md",
}
"""Files by their place on the site."""

EXAMPLES: Final = {
    "_made/train.yaml": ROOT / "maladist/data/be_1000K_2/train.yaml",
    "_made/dft.yaml": ROOT / "maladist/data/be_1000K/dft.yaml",
    "_made/learn.yaml": ROOT / "maladist/data/be_1000K/learn.yaml",
    "_made/cluster.yaml": ROOT / "deploy/slurm/slurm.yaml",
}
"""Files that pages show."""

_LINK: Final = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
_CODE: Final = re.compile(r"^(```|~~~).*?^\1`*$", re.MULTILINE | re.DOTALL)
_FRONT_MATTER: Final = re.compile(r"\A---\n.*?^---\n+", re.MULTILINE | re.DOTALL)
_ALL_BESIDE: Final = "\n```{toctree}\n:hidden:\n:glob:\n\n*\n```\n"


def gather(target: Path) -> None:
    """Write all pages to a folder, and remove what else it holds; what has not changed keeps its time, for Sphinx."""
    pages = dict(_pages(target)) | dict(made_of_code.pages())
    for path in list(target.rglob("*.*")):
        if path.is_file() and path.relative_to(target).as_posix() not in pages:
            path.unlink()
    for place, text in pages.items():
        path = target / place
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def _pages(target: Path) -> Iterator[tuple[str, str]]:
    """The pages that are written by hand, by their place."""
    for place, source in (PAGES | EXAMPLES).items():
        text = source.read_text()
        if source.suffix == ".ipynb":
            text = _notebook(text, source, target / place, target)
        elif source.suffix == ".md":
            text = relinked(_FRONT_MATTER.sub("", text), source, target / place, target)
        yield place, text + (_ALL_BESIDE if place == "guides/clusters/index.md" else "")


def relinked(text: str, source: Path, page: Path, site: Path) -> str:
    """A page's text with its links, relative to where it lives, made relative to where it is put.

    Links to what is not in the repository stay; Sphinx tells of those that lead nowhere.
    """
    places = {file: place for place, file in PAGES.items()}

    def link(found: re.Match[str]) -> str:
        named = (source.parent / found[1]).resolve()
        named = named / "README.md" if named.is_dir() else named
        if not named.exists():
            return found[0]
        to = site / places[named] if named in places else named
        return os.path.relpath(to, page.parent) + (found[2] or "")

    return "".join(part if code else _LINK.sub(link, part) for part, code in _parts(text))


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """The stretches of a text, and whether each is code."""
    end = 0
    for code in _CODE.finditer(text):
        yield text[end : code.start()], False
        yield code[0], True
        end = code.end()
    yield text[end:], False


def _notebook(text: str, source: Path, page: Path, site: Path) -> str:
    """A notebook with the links of its texts turned."""
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = relinked("".join(cell["source"]), source, page, site)
    return json.dumps(notebook)


if __name__ == "__main__":
    gather(Path(sys.argv[1]).resolve())
