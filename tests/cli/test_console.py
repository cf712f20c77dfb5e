"""What a terminal shows of a run, and what a file that stands in its place gets."""

from __future__ import annotations

from io import StringIO

from distributed import Client
from rich.console import Console

from maladist.cli.console import TerminalObserver


def told(terminal: bool, client: Client) -> str:
    stream = StringIO()
    with TerminalObserver(Console(file=stream, force_terminal=terminal, width=120)) as observer:
        observer.begin(client, "3 snapshots")
        observer.stage("snapshots", 3, done=1)
        observer.advance(None)
        observer.advance(None)
        observer.count("epochs", 2, 1)
        observer.count("epochs", 2, 2)
    return stream.getvalue()


def test_a_file_gets_plain_lines_and_no_bar(client: Client) -> None:
    text = told(False, client)
    assert f"3 snapshots on {len(client.nthreads())} workers" in text and client.dashboard_link in text
    assert "snapshots: 1 of 3 were done by an earlier run" in text
    assert "snapshots: 3 of 3 in " in text
    assert "epochs" not in text and "\x1b" not in text and "━" not in text


def test_a_terminal_gets_a_bar_for_every_stage(client: Client) -> None:
    text = told(True, client)
    assert "3/3" in text and "2/2" in text and "epochs" in text and "━" in text
