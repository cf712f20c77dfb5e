"""Runs the programs of a calculation, and removes its folder when whoever asked for them is gone, however that ended.

A script of its own (standard library only), beside the worker and not in it: a worker that is killed leaves nothing
behind, since its end closes the pipe that this reads. `scratch` starts it, with the folder as its argument, and speaks
to it in lines of JSON: {"program": ["pw.x"], "stem": "scf"} in, {"status": 0} or {"error": "..."} out.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

_GRACE = 2.0  # seconds from SIGTERM, which a launcher hands on, to SIGKILL


class _Over(Exception):
    """Nobody waits for the calculation any more."""


def main(folder: Path) -> None:
    """Serve requests until the pipe is closed or a signal comes; then end what runs and remove the folder."""
    # A signal writes into this pipe: `select` then returns, where a handler alone would let it go on waiting.
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake)
    over: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda n, _: over.append(n))
    signal.signal(signal.SIGCHLD, lambda *_: None)  # so that the end of a program wakes the select below
    asked = b""
    try:
        while not over:
            ready, _, _ = select.select([0, woken], [], [])
            if woken in ready:
                os.read(woken, 4096)
            if 0 in ready:
                more = os.read(0, 65536)
                # The pipe is closed: whoever asked is gone, however that came about.
                if not more:
                    break
                asked += more
                if asked.endswith(b"\n"):
                    answer = _run(folder, json.loads(asked), woken, over)
                    asked = b""
                    os.write(1, json.dumps(answer).encode() + b"\n")
    except (_Over, BrokenPipeError):
        pass
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(folder: Path, request: dict[str, Any], woken: int, over: list[int]) -> dict[str, object]:
    """Run a program in the folder, STEM.in to STEM.out, and tell its status; raises where nobody waits for it."""
    stem = request["stem"]
    try:
        with (folder / f"{stem}.in").open("rb") as source, (folder / f"{stem}.out").open("wb") as sink:
            process = subprocess.Popen(
                request["program"],
                stdin=source,
                stdout=sink,
                stderr=subprocess.STDOUT,
                cwd=folder,
                process_group=0,
                preexec_fn=_die_with_parent,  # safe: there is one thread here
            )
    except OSError as error:
        return {"error": str(error)}
    while process.poll() is None:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
        if 0 in ready or over:  # while a program runs, nothing is asked: the pipe was closed
            _end(process)
            raise _Over
    return {"status": process.returncode}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program with all that it has started in its group."""
    # mpirun and the like hand SIGTERM on to what they have started, and cannot hand on SIGKILL.
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(_GRACE)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def _die_with_parent() -> None:
    """Where the system can, see to it that the program ends even where its keeper is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


if __name__ == "__main__":
    main(Path(sys.argv[1]))
