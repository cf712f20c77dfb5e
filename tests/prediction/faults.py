"""What the tests of accidents share: how a run is cut, who watches it, and processes that can be killed."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import psutil
from distributed import Client

from maladist.parallel.progress import Silent
from maladist.prediction.record import TALLY

CHUNKS = (7, 7, 12)  # 32 blocks, ragged in z
BLOCKS = 32
CUT = {"chunks": CHUNKS, "backend": "torch"}  # no compiler in the way of workers that start often
PRELOAD = {"kind": "local", "preload": "maladist.testing"}


class Watch(Silent):
    """Counts finished blocks of a pass and does something once after some of them."""

    def __init__(self, after: int = 0, then: Callable[[], Any] = lambda: None, *, stage: str = "blocks") -> None:
        self.after, self.then, self.watched = after, then, stage
        self.computed, self.notes, self.stage_name = list[int](), list[str](), ""
        self.done_before: dict[str, int] = {}

    @property
    def earlier(self) -> int:
        """Blocks of the pass that an earlier run has done."""
        return self.done_before[self.watched]

    def stage(self, name: str, total: int, done: int = 0) -> None:
        self.stage_name = name
        self.done_before[name] = done

    def advance(self, report: Any) -> None:
        if self.stage_name == self.watched:
            self.computed.append(report.block)
            if len(self.computed) == self.after:
                self.then()

    def note(self, text: str) -> None:
        self.notes.append(text)


def worker_pids(client: Client) -> list[int]:
    """Processes of the workers that answer."""
    answers = client.run(os.getpid, on_error="ignore")
    return [pid for pid in answers.values() if isinstance(pid, int)]


def predict_command(structure: Path, model: Path, store: Path, *more: str) -> list[str]:
    """`maladist predict` in a process that knows of accidents."""
    code = "import sys, maladist.testing; from maladist.cli.app import main; sys.exit(main())"
    chunks = [str(n) for n in CHUNKS]
    given = [
        str(structure),
        "--model",
        str(model),
        "--output",
        str(store),
        "--chunks",
        *chunks,
        "--backend",
        "torch",
        *more,
    ]
    return [sys.executable, "-c", code, "predict", *given]


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until a condition holds; fail where it does not in time."""
    for _ in itertools.takewhile(lambda _: not condition(), range(int(seconds / 0.05))):
        time.sleep(0.05)
    assert condition(), f"waited {seconds} s in vain"


@contextmanager
def separate_cluster(folder: Path, *first: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A scheduler and two workers, each a process of its own, the first with options; yields scheduler and file."""
    folder.mkdir()
    file = str(folder / "scheduler.json")

    def start(what: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{what}", "--scheduler-file", file, *options]
        return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    scheduler = start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    options = ("--nthreads", "1", "--host", "127.0.0.1", "--no-dashboard", "--preload", "maladist.testing")
    every = [scheduler, start("dask_worker", *options, *first), start("dask_worker", *options)]
    try:
        wait_for(Path(file).exists)
        yield scheduler, file
    finally:
        for process in every:
            for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
            process.kill()
            process.wait()


IMPATIENT: Final = {"distributed.comm.timeouts.connect": "4s"}
"""Dask's configuration of a client that looks for a scheduler that went away: 30 s is the default."""


def done(store: Path, record: str = TALLY) -> int:
    """Number of blocks in a record of a store."""
    folder = store / record / "c"
    return sum(1 for _ in folder.glob("*/0")) if folder.exists() else 0


def cut(path: Path) -> None:
    """Leave half of a file, as a power cut may."""
    os.truncate(path, path.stat().st_size // 2)
