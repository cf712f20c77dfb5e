"""A cluster that is held open, so that many runs share warm workers."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from distributed import Client

from maladist.cluster.description import commands, describe
from maladist.cluster.start import check_answers, cluster
from maladist.errors import ClusterError


def hold(
    description: str | Path | Mapping[str, object],
    file: str | Path,
    *,
    workers: int | None = None,
    say: Callable[[str], object] = print,
) -> None:
    """Hold a cluster open until SIGINT (Ctrl-C), SIGTERM or SIGHUP; ``--cluster FILE`` of other commands reaches it.

    Parameters
    ----------
    description, workers
        Description of the cluster and number of workers, as in `cluster`.
    file
        Scheduler file to write; it is removed in the end.
    say
        Function that is told, line by line, where the cluster can be reached.

    Raises
    ------
    ClusterError
        For the reasons of `cluster`; a description of a cluster that is running already; a file that exists.
    """
    told = describe(description, workers)
    if told["kind"] == "address":
        raise ClusterError("cluster", "a cluster that is running", "the description of one to start")
    _check_free(Path(file))
    for key, value in commands(told).items():
        lines = value if isinstance(value, list) else [value]
        say(f"runs what the description says, {key}: {'; '.join(map(str, lines))}")
    with _until_stopped() as stopped, cluster(description, workers) as client, scheduler_file(client, file):
        # Said only now: by the time that a user reads it, the file is there and workers answer.
        say(f"scheduler {client.scheduler.address}, dashboard {client.dashboard_link}")
        say(f"use it with --cluster {file}; stop it with Ctrl-C")
        stopped.wait()
        say("stopping")


def _check_free(path: Path) -> None:
    """Refuse a place for the scheduler file before workers are asked for, and say whose a file there is."""
    folder = path.resolve().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise ClusterError("scheduler_file", f"{path} cannot be written", "a file in a folder that can be written to")
    if not path.exists():
        return
    try:
        # Whose file it is decides what the user should do: use it, remove it, or choose another name.
        check_answers({"scheduler_file": path})
        whose, remedy = "a scheduler answers there", f"Use that cluster: --cluster {path}."
    except OSError:
        whose, remedy = "no scheduler answers there", "A cluster that was killed left it: remove it."
    except (ValueError, KeyError, TypeError):
        whose, remedy = "is no scheduler file", "It is left as it is."
    raise ClusterError("scheduler_file", f"{path} exists, and {whose}", "a new file", remedy)


@contextmanager
def _until_stopped() -> Iterator[threading.Event]:
    """An event that SIGINT, SIGTERM and (but for nohup) SIGHUP set."""
    stopped = threading.Event()
    numbers = [signal.SIGINT, signal.SIGTERM]
    # nohup starts a program with SIGHUP ignored, so that it outlives its terminal; that is left as it is.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {s: signal.signal(s, lambda *_: stopped.set()) for s in numbers}
    try:
        yield stopped
    finally:
        # `hold` is a function that other programs call: their handlers come back.
        for name, handler in before.items():
            signal.signal(name, handler)


@contextmanager
def scheduler_file(client: Client, path: str | Path) -> Iterator[Path]:
    """A file with the address of a client's scheduler, for others to reach it; removed in the end.

    Only its owner can read it. A cluster with TLS is reached with its credentials only (``security`` in the YAML).

    Raises
    ------
    ClusterError
        A file that exists, or a folder that cannot be written.
    """
    path = Path(path)
    try:
        # O_EXCL: of two commands that start at the same time only one gets the file. 0600:
        # whoever reaches a scheduler can run programs as its owner.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump({"type": "Scheduler", "address": client.scheduler.address}, file)
    except FileExistsError as error:
        raise ClusterError(
            "scheduler_file", f"{path} exists", "a new file", "Another cluster may be held there."
        ) from error
    except OSError as error:
        with suppress(OSError):
            path.unlink()  # an empty one, on a full disk
        raise ClusterError("scheduler_file", f"{path}: {error.strerror}", "a file that can be written") from error
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
