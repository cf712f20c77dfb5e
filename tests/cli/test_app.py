"""The command line: what it prints, its exit status, what it leaves behind."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import maladist
from maladist.cli import streams
from maladist.cli.app import main
from maladist.cli.streams import say
from maladist.errors import BlockError, ClusterError, ClusterLostError, DataFileError, InputError, SnapshotsError

pytestmark = pytest.mark.filterwarnings("ignore")


def test_debug_shows_the_traceback(folder: Path) -> None:
    with pytest.raises(maladist.errors.InputError):
        main(["--debug", "info", str(folder / "nowhere")])


def caused(error: Exception, by: BaseException) -> Exception:
    error.__cause__ = by
    return error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InputError("a", "b", "c"), 2),
        (OSError(28, "No space left on device", "a.zarr"), 2),
        (ClusterError("cluster", "no such file", "one"), 2),
        (ClusterLostError("cluster", "no worker", "one"), 3),
        (BlockError("3", "it failed"), 3),
        (caused(BlockError("3", "a.cube is cut off"), DataFileError("a.cube", "cut off", "a whole one")), 2),
        (caused(BlockError("3", "it failed"), ArithmeticError("no such number")), 3),
        (SnapshotsError("snapshots", "1 failed", "all done"), 3),
    ],
)
def test_what_is_refused_and_what_has_failed_have_statuses_of_their_own(
    error: Exception, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("cyclopts.App.__call__", fail)
    assert main(["check", "x.zarr"]) == status
    said = capsys.readouterr().err
    assert said.startswith("maladist: ") and said.count("\n") == 1


def test_the_help_tells_the_statuses_and_what_every_command_takes(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "Exit status: 0, done; 1, " in told and "3, the run failed" in told and "--quiet" in told


def test_quiet_takes_the_progress_away_and_the_next_command_has_it_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def compute(*_: object, **__: object) -> None:
        say("a bar", streams.progress)
        say("a result")

    monkeypatch.setattr("cyclopts.App.__call__", compute)
    for word in ("--quiet", "-q"):
        assert main(["check", "x.zarr", word]) == 0
        assert capsys.readouterr() == ("a result\n", "")
    assert main(["check", "x.zarr"]) == 0
    assert capsys.readouterr() == ("a result\n", "a bar\n")


@pytest.mark.parametrize(
    ("number", "status", "words"),
    [
        (signal.SIGINT, 130, "stopped; finished"),
        pytest.param(signal.SIGTERM, 143, "stopped by SIGTERM; finished", marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_and_a_schedulers_signal_say_what_is_kept_and_nothing_else(
    number: signal.Signals, status: int, words: str, folder: Path
) -> None:
    store = folder / f"stopped-{status}.zarr"
    arguments = ("predict", folder / "be.extxyz", "--model", folder / "model.maladist", "--output", store)
    small = ("--workers", "1", "--grid", "40", "40", "60", "--chunks", "6", "6", "6")
    command = [sys.executable, "-m", "maladist", *map(str, arguments), *small]
    # A shell that starts a command in the background lets it ignore SIGINT; a terminal does not.
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while process.poll() is None and not list(store.glob("work/tally/c/*")):
        time.sleep(0.05)
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, number)  # as a terminal and Slurm do: to the workers too
    _, err = process.communicate(timeout=120)
    assert process.returncode == status and words in err and "--resume continues" in err, err
    assert "Traceback" not in err and "distributed" not in err, err
    assert not psutil.wait_procs(family, timeout=20)[1]
    assert not maladist.io.stores.is_complete(store)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_every_verb_with_its_status(
    number: signal.Signals, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)]
    monkeypatch.setattr("cyclopts.App.__call__", lambda *_, **__: os.kill(os.getpid(), number) or time.sleep(5))
    assert main(["check", "x.zarr"]) == status
    assert capsys.readouterr().err.startswith("maladist: stopped")
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)] == before
    assert logging.getLogger("distributed").isEnabledFor(logging.CRITICAL)


def test_ctrl_c_that_an_extension_module_has_made_an_import_error_of_is_still_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise caused(ImportError("initialization failed"), KeyboardInterrupt())

    monkeypatch.setattr("cyclopts.App.__call__", fail)
    assert main(["check", "x.zarr"]) == 130
    assert capsys.readouterr().err == "maladist: stopped\n"


@pytest.mark.parametrize(("there", "words"), [(False, "was not begun yet"), (True, "finished blocks are kept")])
def test_a_command_that_is_stopped_looks_for_what_it_was_to_make(
    there: bool, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "a.zarr"
    if there:
        store.mkdir()
    monkeypatch.setattr("cyclopts.App.__call__", lambda *_, **__: signal.raise_signal(signal.SIGTERM))
    assert main(["predict", "be.extxyz", "--model", "be.maladist", "--output", str(store)]) == 143
    assert words in capsys.readouterr().err


def test_a_command_that_is_stopped_before_its_words_are_read_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cyclopts.App.__call__", lambda *_, **__: signal.raise_signal(signal.SIGTERM))
    assert main(["predict"]) == 143
    assert capsys.readouterr().err.startswith("maladist: stopped by SIGTERM; ")
