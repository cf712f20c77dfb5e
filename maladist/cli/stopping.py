"""Ctrl-C, and what schedulers and closed terminals send in its place: the command ends, and says what is kept."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

_KEPT: Final = {
    "predict": "finished blocks are kept: the same command with --resume continues",
    "md": "the frames so far are kept: the same command goes on from the last",
    "relax": "the frames so far are kept: the same command goes on from the last",
    "tune": "finished trials are kept: the same command with --resume continues",
    "train": "finished epochs are kept: the same command with --resume continues",
    "learn": "all that is finished is kept: the same command goes on",
    "dft": "finished snapshots are kept: the same command does what is missing",
    "convert": "the same command makes the snapshot anew, those that were finished are kept",
    "observe": "its store is unfinished: the same command with --overwrite begins anew",
    "align": "nothing of it is kept: the same command begins anew",
    "export": "nothing of it is kept: the same command begins anew",
    "sample": "an MD's frames so far are in its file .md.traj: maladist sample trajectory takes from it",
}


class Stopped(KeyboardInterrupt):
    """A signal that ends the command, as Ctrl-C does.

    Attributes
    ----------
    number
        Number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise `Stopped`, as SIGINT raises KeyboardInterrupt; nohup's ignoring of one stays."""

    def stop(number: int, _: FrameType | None) -> None:
        # What Dask says of workers that the same signal ended, or of a call that Ctrl-C has cut short, is no news.
        logging.disable(logging.CRITICAL)
        raise KeyboardInterrupt if number == signal.SIGINT else Stopped(number)

    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # Only the main thread may set handlers; a test or a notebook may call the command from another.
    numbers = [getattr(signal, name) for name in names if threading.current_thread() is threading.main_thread()]
    # Only where nobody else has: nohup ignores SIGHUP, and that is to stay so.
    untouched = (signal.SIG_DFL, signal.default_int_handler)
    before = {n: signal.signal(n, stop) for n in numbers if signal.getsignal(n) in untouched}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        logging.disable(logging.NOTSET)


def what_is_kept(stopped: KeyboardInterrupt, command: str, output: Path | None = None) -> tuple[str, int]:
    """The line to say, and the exit status: 128 and the signal's number, as a shell has it.

    Parameters
    ----------
    output
        What the command makes; where it is not there yet, nothing is kept.
    """
    number = stopped.number if isinstance(stopped, Stopped) else signal.SIGINT
    kept = _KEPT.get(command, "")
    # The frames of `sample md` come before its output, in a file beside it.
    if kept and command != "sample" and output is not None and not output.exists():
        kept = f"{output} was not begun yet: the same command begins it"
    by = f" by {stopped}" if isinstance(stopped, Stopped) else ""
    return f"stopped{by}; {kept}" if kept else f"stopped{by}", 128 + number
