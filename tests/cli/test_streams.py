"""What is printed is printed as it is: paths that look like markup, and lines longer than a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from maladist.cli.streams import err, out, say


@pytest.mark.parametrize("text", ["x" * 500, "energy 1.5 eV of /a/b.zarr: 7 of 9", "s0001: −0.0312 meV/atom"])
def test_a_line_is_neither_broken_nor_coloured(text: str) -> None:
    stream = io.StringIO()
    say(text, Console(file=stream, width=40, force_terminal=True, color_system="truecolor"))
    assert stream.getvalue() == f"{text}\n"


def test_results_and_what_is_said_beside_them_go_different_ways() -> None:
    assert err.stderr and not out.stderr
