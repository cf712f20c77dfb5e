"""The keeper of a calculation's folder, as a program: it answers in lines, and whatever ends it leaves nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from maladist.datasets.dft import keeper


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder to keep, with the input of a program."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "a.in").write_text("from the input\n")
    return tmp_path / "kept"


@pytest.fixture
def kept(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A keeper, as a worker starts it."""
    command = [sys.executable, "-I", "-S", keeper.__file__, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        process.kill()


def ask(kept: subprocess.Popen[bytes], program: str) -> None:
    assert kept.stdin is not None
    kept.stdin.write(json.dumps({"program": [program], "stem": "a"}).encode() + b"\n")
    kept.stdin.flush()


def answer(kept: subprocess.Popen[bytes]) -> dict[str, object]:
    assert kept.stdout is not None
    return dict(json.loads(kept.stdout.readline()))


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_programs_run_one_after_another_in_the_folder_and_their_ends_are_told(
    kept: subprocess.Popen[bytes], folder: Path, tmp_path: Path
) -> None:
    ask(kept, script(tmp_path / "fails", "cat; echo to stderr >&2; pwd; exit 3"))
    assert answer(kept) == {"status": 3}
    assert (folder / "a.out").read_text().splitlines() == ["from the input", "to stderr", str(folder)]
    ask(kept, script(tmp_path / "killed", "kill -9 $$"))
    assert answer(kept) == {"status": -9}
    ask(kept, str(tmp_path / "absent"))
    assert "No such file" in str(answer(kept)["error"])
    ask(kept, script(tmp_path / "works", "exit 0"))
    assert answer(kept) == {"status": 0}


@pytest.mark.parametrize(
    ("how", "busy"),
    [
        *((how, False) for how in (None, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)),
        *((how, True) for how in (None, signal.SIGTERM)),
    ],
)
def test_however_it_ends_neither_folder_nor_program_is_left(
    how: signal.Signals | None, busy: bool, kept: subprocess.Popen[bytes], folder: Path, tmp_path: Path
) -> None:
    assert kept.stdin is not None
    started = list[psutil.Process]()
    ask(kept, "true")
    answer(kept)  # so it has set itself up
    if busy:
        ask(kept, script(tmp_path / "endless", "sleep 300 & wait"))
        end = time.monotonic() + 60
        while len(started) < 2:  # the shell and what it has started
            assert time.monotonic() < end
            started = psutil.Process(kept.pid).children(recursive=True)
            time.sleep(0.01)
    if how is None:
        kept.stdin.close()  # as the end of the worker does
    else:
        kept.send_signal(how)
    assert kept.wait(60) == 0
    assert not folder.exists() and not psutil.wait_procs(started, timeout=20)[1]


def test_what_a_program_has_started_and_takes_no_hint_is_killed(
    kept: subprocess.Popen[bytes], folder: Path, tmp_path: Path
) -> None:
    """mpirun ends by SIGTERM; a rank that hangs in a read does not."""
    assert kept.stdin is not None
    ask(kept, script(tmp_path / "launcher", """sh -c 'trap "" TERM; touch deaf; while :; do sleep 0.1; done' & wait"""))
    end = time.monotonic() + 60
    while not (folder / "deaf").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    (launcher,) = psutil.Process(kept.pid).children()
    (deaf,) = launcher.children()
    kept.stdin.close()
    assert kept.wait(60) == 0 and not psutil.wait_procs([launcher, deaf], timeout=20)[1]
