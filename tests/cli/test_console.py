"""What a terminal shows of a run, and what a file that stands in its place gets."""

from __future__ import annotations

from io import StringIO
from types import SimpleNamespace

import pytest
from distributed import Client
from rich.console import Console

from maladist.cli import streams
from maladist.cli.console import TerminalObserver
from maladist.parallel.progress import Finished
from maladist.training.metrics import EpochReport
from maladist.training.validation import SnapshotErrors, Validated


def told(terminal: bool, client: Client) -> str:
    stream = StringIO()
    with TerminalObserver(Console(file=stream, force_terminal=terminal, width=120)) as observer:
        observer.begin(client, "3 snapshots")
        observer.stage("snapshots", 3, done=1)
        observer.advance(Finished())
        observer.advance(Finished())
        observer.stage("epochs", 2)
        observer.advance(EpochReport(1, 2, 0.5, (0.5,), 1e-3))
        observer.advance(EpochReport(2, 2, 0.5, (0.25,), 1e-3, Validated(0.125, (SnapshotErrors("a"),))))
        observer.note("one thing")
    return stream.getvalue()


def test_a_file_gets_plain_lines_and_no_bar(client: Client) -> None:
    text = told(False, client)
    assert f"3 snapshots on {len(client.nthreads())} workers" in text and client.dashboard_link in text
    assert "snapshots: 1 of 3 were done by an earlier run" in text
    assert "snapshots: 3 of 3 in " in text
    assert "epoch 1 of 2: loss 0.5, 0.50 s\n" in text and "epochs: 2 of 2 in " in text
    assert "epoch 2 of 2: loss 0.25, 0.50 s; validation loss 0.125" in text
    assert "note: one thing" in text
    assert "\x1b" not in text and "━" not in text


def test_what_is_left_is_reckoned_without_the_first_task_which_waited_for_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    monkeypatch.setattr("maladist.cli.console.time", SimpleNamespace(monotonic=lambda: clock[0]))
    stream = StringIO()
    with TerminalObserver(Console(file=stream, width=120)) as observer:
        observer.stage("levels", 12)
        for clock[0] in (30.0, 60.0):
            observer.advance(Finished())
    assert stream.getvalue() == "levels: 1 of 12\nlevels: 2 of 12, 300 s left\n"


def test_a_terminal_gets_a_bar_for_every_stage(client: Client) -> None:
    text = told(True, client)
    assert "3/3" in text and "2/2" in text and "epochs" in text and "━" in text
    assert "validation loss 0.125" in text and "epoch 1 of 2" not in text  # the bar says that it is done


def test_without_progress_notes_are_said_all_the_same(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams.progress, "quiet", True)
    with TerminalObserver() as observer:
        observer.stage("epochs", 1)
        observer.advance(EpochReport(1, 1, 0.5, (0.5,), 1e-3))
        observer.note("one thing")
    assert capsys.readouterr().err == "note: one thing\n"


def test_lines_of_tasks_may_go_elsewhere(client: Client) -> None:
    progress, lines = StringIO(), StringIO()
    with TerminalObserver(Console(file=progress), Console(file=lines)) as observer:
        observer.stage("epochs", 1)
        observer.advance(EpochReport(1, 1, 0.5, (0.5,), 1e-3))
    assert lines.getvalue().startswith("epoch 1 of 1") and "epochs: 1 of 1" in progress.getvalue()
