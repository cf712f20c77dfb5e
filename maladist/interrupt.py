"""Ctrl-C while the command still imports: one line, as later on.

`maladist/__init__.py` imports this before all else, for torch and Dask come with it. Programs that import maladist keep
their own handling of Ctrl-C, and so do Dask's workers, whose parent tells them when to end.
"""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing import parent_process
from pathlib import Path
from types import FrameType


def _is_command() -> bool:
    """Whether this process is the command: the script `maladist`, or `python -m maladist`."""
    if parent_process() is not None:  # a worker, which is told its parent's arguments
        return False
    script, given = sys.argv[0] if sys.argv else "", sys.orig_argv
    by_module = script == "-m" and "maladist" in given[given.index("-m") + 1 : given.index("-m") + 2]
    return by_module or Path(script).stem == "maladist"


def _stop(number: int, _: FrameType | None) -> None:
    os.write(2, b"maladist: stopped\n")
    os._exit(128 + number)  # nothing is begun that would have to be ended


def imports_are_done() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again, which `maladist.cli.app.main` catches."""
    if signal.getsignal(signal.SIGINT) is _stop:
        signal.signal(signal.SIGINT, signal.default_int_handler)


if signal.getsignal(signal.SIGINT) is signal.default_int_handler and _is_command():
    signal.signal(signal.SIGINT, _stop)
