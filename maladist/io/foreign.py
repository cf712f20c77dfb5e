"""Readers of others: whatever they raise on a damaged file, and where they do not end, becomes one line of ours."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maladist.errors import DataFileError, InputError


@contextmanager
def refusing(
    path: str | Path, wanted: str, error: type[InputError] = DataFileError, remedy: str = "", argument: str = ""
) -> Iterator[None]:
    """Turn any exception of a foreign reader into one error of ours that names the file and the reason.

    ASE's sixty formats, h5py, numpy's header, torch's archive, JSON: each fails on a damaged file in its own ways
    (ParseError, SyntaxError, StopIteration, UFuncNoLoopError, KeyError, TypeError, struct.error, ...). They are not
    ours to enumerate, and whichever it is, it means the same: this file cannot be read. So `Exception` is right here,
    and only around the reader's own call. What the file's numbers mean is checked outside, where our faults stay ours.

    Parameters
    ----------
    path
        The file, as the user named it.
    wanted
        Description of what the file should be.
    error
        Class of the error to raise.
    remedy
        Advice on what to do next.
    argument
        Name of the argument; the file's where it is not given.

    Raises
    ------
    InputError
        The reader raised anything else; errors of ours go through as they are.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as problem:
        came = f"cannot be read ({reason(problem)})"
        raise error(argument or str(path), f"{path} {came}" if argument else came, wanted, remedy) from problem


def reason(problem: BaseException) -> str:
    """What an exception says, in one short line."""
    lines = str(problem).strip().splitlines()
    return f"{type(problem).__name__}: {lines[0]:.160}" if lines else type(problem).__name__


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise TimeoutError where the body takes longer, for foreign readers that loop for ever on a damaged file.

    It works by an alarm, which only the main thread of a program can have; in other threads there is no limit.
    """
    # Workers of Dask read in other threads; there Dask's own limits hold.
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def late(*_: object) -> None:
        raise TimeoutError(f"no end after {seconds:.0f} s")

    began, previous = time.monotonic(), signal.signal(signal.SIGALRM, late)
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        # Somebody else's alarm, a test's time limit for instance, goes on with what is left of it.
        signal.setitimer(signal.ITIMER_REAL, max(0.001, left - (time.monotonic() - began)) if left else 0)
        signal.signal(signal.SIGALRM, previous)
