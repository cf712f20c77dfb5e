"""What a terminal shows of a run: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import Any

from distributed import Client
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

from maladist.prediction.plan import Plan
from maladist.reprs import size

_EVERY = 10.0  # seconds between plain lines


class TerminalObserver:
    """Shows the stages of a run; used as a context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._client: Client | None = None
        self._progress: Progress | None = None
        self._stage, self._total, self._done = "", 0, 0
        self._task: TaskID | None = None
        self._began = self._said = time.monotonic()
        self._memory = 0

    def __enter__(self) -> TerminalObserver:
        if self.console.is_terminal:
            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description:<18}"),
                BarColumn(bar_width=28),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[detail]}"),
                console=self.console,
            )
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def begin(self, client: Client, plan: Plan | str) -> None:
        """Say what will be done and where it can be watched."""
        self._client = client
        what = plan
        if isinstance(plan, Plan):
            what = f"{plan.n_atoms} atoms, {plan.grid.n_points} points in {len(plan.blocks)} blocks"
        n = plan.n_workers if isinstance(plan, Plan) else len(client.nthreads())
        self.console.print(
            f"{what} on {n} workers  ·  dashboard {client.dashboard_link}", highlight=False, soft_wrap=True
        )

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """Begin a stage."""
        self._stage, self._total, self._done = name, total, done
        self._began = self._said = time.monotonic()
        if self._progress is not None:
            self._task = self._progress.add_task(name, total=total, completed=done, detail="")
        elif done:
            self.console.print(
                f"{name}: {done} of {total} were done by an earlier run", highlight=False, soft_wrap=True
            )

    def advance(self, report: Any) -> None:
        """Count a finished task."""
        self._done += 1
        self._memory = max(self._memory, getattr(report, "peak_memory", 0))
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, advance=1, detail=self._detail())
            return
        now = time.monotonic()
        if now - self._said > _EVERY or self._done == self._total:
            self._said = now
            seconds = now - self._began
            left = seconds / max(1, self._done) * (self._total - self._done)
            tail = f", {left:.0f} s left" if self._done < self._total else f" in {seconds:.1f} s"
            detail = self._detail()
            self.console.print(
                f"{self._stage}: {self._done} of {self._total}{tail}{', ' + detail if detail else ''}", highlight=False
            )

    def _detail(self) -> str:
        workers = len(self._client.nthreads()) if self._client is not None and self._total > 4 else 0
        parts = [f"{workers} workers"] if workers else []
        if self._memory:
            parts.append(f"peak {size(self._memory)}")
        return ", ".join(parts)

    def count(self, name: str, total: int, done: int) -> None:
        """Show on a terminal that so many are done; elsewhere nothing: whoever counts says it in lines."""
        if self._progress is None:
            return
        if self._stage != name:
            self.stage(name, total, done - 1)
        self.advance(None)

    def note(self, text: str) -> None:
        """Say one thing."""
        self.console.print(f"note: {text}", highlight=False, soft_wrap=True)
