"""What is printed is printed as it is: names that look like markup or emoji, and lines longer than a terminal."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass

import pytest
from rich.console import Console
from rich.table import Table

from maladist.cli.console import Notes, TerminalObserver
from maladist.cli.streams import err, out, say
from maladist.parallel.progress import Finished


@dataclass(frozen=True)
class Named(Finished):
    """A task that has a line to say."""

    line_of: str = ""

    def line(self, *, bar: bool) -> str:
        return self.line_of


LOOK_LIKE_MARKUP = ["span[hosts=1]", "data[test]/a.zarr: 3 of 4", "runs[/x]/a.zarr", "[bold]a[/bold]", "a:cat:b.zarr"]


@pytest.mark.parametrize(
    "text", ["x" * 500, "energy 1.5 eV of /a/b.zarr: 7 of 9", "s0001: −0.0312 meV/atom", *LOOK_LIKE_MARKUP]
)
def test_a_line_is_neither_broken_nor_coloured(text: str) -> None:
    stream = io.StringIO()
    say(text, Console(file=stream, width=40, force_terminal=True, color_system="truecolor"))
    assert stream.getvalue() == f"{text}\n"


@pytest.mark.parametrize("text", LOOK_LIKE_MARKUP)
def test_the_names_in_a_table_are_printed_as_they_are(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(text, title=text, box=None)
    table.add_row(text)
    for console in (out, err):
        console.print(table)
    assert all(stream.count(text) == 3 for stream in capsys.readouterr())


def test_a_run_says_names_as_they_are() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=40)
    with TerminalObserver(console) as observer:
        for text in LOOK_LIKE_MARKUP:
            observer.note(text)
            observer.stage(text, 2, done=1)
            observer.advance(Named(line_of=text))
            Notes(console).emit(logging.makeLogRecord({"msg": text}))
    lines = stream.getvalue().splitlines()
    for text in LOOK_LIKE_MARKUP:
        assert lines.count(f"note: {text}") == 2 and text in lines
        assert f"{text}: 1 of 2 were done by an earlier run" in lines


def test_results_and_what_is_said_beside_them_go_different_ways() -> None:
    assert err.stderr and not out.stderr
