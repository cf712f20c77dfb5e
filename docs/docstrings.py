"""Docstrings here are plain text as Markdown has it; this gives Sphinx what it needs to read them.

An indented paragraph is a formula, and one in columns a table: both stay as they are written. |x| is an absolute value,
and [1] a reference of the same docstring.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from typing import Final

from sphinx.application import Sphinx

_SECTION: Final = re.compile(r"-{3,}$")
_LIST: Final = re.compile(r"(- |\d+\. |\.\. )")
_COLUMNS: Final = re.compile(r"[^\s.:]  +\S")
_COLON: Final = "\ue000"
_BEFORE_NAPOLEON: Final = 400
_AFTER_NAPOLEON: Final = 600


def as_written(app: Sphinx, what: str, name: str, of: object, options: object, lines: list[str]) -> None:
    """Change a docstring's lines in place."""
    del app, name, of, options
    # From the first of numpydoc's sections on, indentation has a meaning.
    sections = next((i - 1 for i, line in enumerate(lines) if _SECTION.match(line)), len(lines))
    lines[:] = [*_text(lines[:sections]), *map(_escaped, lines[sections:])]
    if lines and what in ("attribute", "data", "property"):
        # Napoleon takes what stands before a colon in the first line for the type; types here are annotations.
        lines[0] = lines[0].replace(":", _COLON)


def colons_back(app: Sphinx, what: str, name: str, of: object, options: object, lines: list[str]) -> None:
    """Undo what was done for napoleon."""
    del app, what, name, of, options
    lines[:] = [line.replace(_COLON, ":") for line in lines]


def _text(lines: list[str]) -> Iterator[str]:
    """The lines, with formulas and tables marked as literal."""
    listed = False
    for blank, group in groupby(lines, key=lambda line: not line.strip()):
        paragraph = list(group)
        indented = paragraph[0].startswith("   ")
        if blank or (indented and listed):
            yield from map(_escaped, paragraph)
        elif indented or all(_COLUMNS.search(line) or line.startswith("   ") for line in paragraph):
            yield from ("::", "", *(f"    {line}" for line in paragraph))
        else:
            listed = bool(_LIST.match(paragraph[0]))
            yield from map(_escaped, paragraph)


def _escaped(line: str) -> str:
    """A line without what looks like a substitution; a list of references is one of texts."""
    return re.sub(r"^\.\. \[(\d+)\]", r"- [\1]", re.sub(r"\[(\d+)\]_", r"[\1]", line)).replace("|", r"\|")


def setup(app: Sphinx) -> dict[str, bool]:
    """Let it see every docstring first."""
    app.connect("autodoc-process-docstring", as_written, priority=_BEFORE_NAPOLEON)
    app.connect("autodoc-process-docstring", colons_back, priority=_AFTER_NAPOLEON)
    return {"parallel_read_safe": True}
