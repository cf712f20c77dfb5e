"""What a terminal shows of a run: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from maladist.cli.streams import err, progress, say
from maladist.parallel.progress import Finished
from maladist.reprs import size

if TYPE_CHECKING:
    from distributed import Client

    from maladist.parallel.here import Runner

_EVERY = 10.0  # seconds between plain lines


class Notes(logging.Handler):
    """Shows what a run says outside of its stages, such as that no worker is left."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Say it in a line."""
        say(f"note: {record.getMessage()}", self.console)


class TerminalObserver:
    """Shows the stages of a run; used as a context manager.

    Parameters
    ----------
    console
        Console that progress and notes go to; standard error by default, where --quiet takes the progress away.
    lines
        Console that the lines of finished tasks go to; that of the progress by default.
    """

    def __init__(self, console: Console | None = None, lines: Console | None = None) -> None:
        self.console, self.notes = console or progress, console or err
        self.lines = lines or self.console
        self._client: Client | None = None
        self._progress: Progress | None = None
        self._stage, self._total, self._done = "", 0, 0
        self._task: TaskID | None = None
        self._began = self._said = time.monotonic()
        self._memory = 0

    def __enter__(self) -> TerminalObserver:
        # A live line redraws itself: in a file or a log it would be pages of control characters.
        if self.console.is_terminal:
            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description:<18}", markup=False),
                BarColumn(bar_width=28),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[detail]}", markup=False),
                console=self.console,
            )
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def begin(self, client: Runner, work: str) -> None:
        """Say what will be done and where it can be watched."""
        from maladist.parallel.here import InProcess  # which whatever computes has loaded; this file is read by all

        if isinstance(client, InProcess):
            self._say(f"{work} in this process, {client.threads} threads")
            return
        self._client = client
        self._say(f"{work} on {len(client.nthreads())} workers  ·  dashboard {client.dashboard_link}")

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """Begin a stage."""
        self._stage, self._total, self._done = name, total, done
        self._began = self._said = time.monotonic()
        self._first: tuple[int, float] | None = None
        if self._progress is not None:
            self._task = self._progress.add_task(name, total=total, completed=done, detail="")
        elif done:
            self._say(f"{name}: {done} of {total} were done by an earlier run")

    def advance(self, task: Finished) -> None:
        """Count a finished task, and say what it has to say."""
        self._done += 1
        self._memory = max(self._memory, task.peak_memory_bytes)
        # Whoever watches a bar knows how many are done; a log needs the line.
        if line := task.line(bar=self._progress is not None):
            say(line, self.lines)
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, advance=1, detail=self._detail())
            return
        now = time.monotonic()
        self._first = self._first or (self._done, now)
        # Plain lines at intervals: a log of a hundred thousand blocks must stay readable.
        if now - self._said > _EVERY or self._done == self._total:
            self._said = now
            tail = self._left(now) if self._done < self._total else f" in {now - self._began:.1f} s"
            detail = self._detail()
            self._say(f"{self._stage}: {self._done} of {self._total}{tail}{', ' + detail if detail else ''}")

    def _left(self, now: float) -> str:
        """How long it will take, from the first task on: that one waits for workers and their imports."""
        assert self._first is not None
        done, then = self._done - self._first[0], now - self._first[1]
        return f", {then / done * (self._total - self._done):.0f} s left" if done else ""

    def note(self, text: str) -> None:
        """Say one thing."""
        say(f"note: {text}", self.notes)

    def _say(self, text: str) -> None:
        say(text, self.console)

    def _detail(self) -> str:
        # Asked only where there are many tasks: a question of the scheduler for each of three is a waste.
        workers = len(self._client.nthreads()) if self._client is not None and self._total > 4 else 0
        parts = [f"{workers} workers"] if workers else []
        if self._memory:
            parts.append(f"peak {size(self._memory)}")
        return ", ".join(parts)
