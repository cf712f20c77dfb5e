"""Programs of a calculation and their folder: whatever ends the task, none of them is left, and none listens."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from ase import Atoms
from distributed import Client, LocalCluster

from maladist.datasets.dft.espresso import Espresso
from maladist.datasets.dft.scratch import Scratch, ending
from maladist.errors import DependencyError, DFTError

ENDLESS = 'sleep 300 & echo "$$ $!" > pids; wait'


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make a shell script the pw.x of this machine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def make(text: str) -> None:
        (folder / "pw.x").write_text(f"#!/bin/sh\n{text}\n")
        (folder / "pw.x").chmod(0o755)

    return make


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        time.sleep(0.02)


def running(place: Path) -> list[int]:
    """Processes of the endless program in a folder below a place, once they run."""
    wait_for(lambda: any(p.read_text().count(" ") for p in place.glob("dft-*/pids")))
    (pids,) = place.glob("dft-*/pids")
    return [int(p) for p in pids.read_text().split()]


def alive(pid: int) -> bool:
    """Whether a process runs; it may end between any two questions."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def gone(place: Path, pids: list[int]) -> bool:
    return not any(map(alive, pids)) and not list(place.glob("dft-*"))


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("exit 3", 3, "stopped with status 3"),
        ("kill -9 $$", -9, "was ended by SIGKILL, perhaps for want of memory"),
        ("exit 0", 0, "stopped with status 0"),
    ],
)
def test_how_a_program_ended_is_told(
    text: str, status: int, words: str, program: Callable[[str], None], tmp_path: Path
) -> None:
    program(text)
    with Scratch("a", str(tmp_path)) as scratch:
        (scratch.folder / "scf.in").touch()
        assert scratch.run("pw.x", "scf") == status and ending(status) == words
        with pytest.raises(DependencyError, match=r"no\.x: not found"):
            scratch.run("no.x", "scf")
        program("cat; echo $OMP_NUM_THREADS")  # and the next one runs
        (scratch.folder / "scf.in").write_text("given\n")
        scratch.run("pw.x", "scf")
        assert (scratch.folder / "scf.out").read_text().split() == ["given", "1"]
    assert gone(tmp_path, [])


def run_endlessly(place: str) -> None:
    with Scratch("a", place) as scratch:
        (scratch.folder / "scf.in").touch()
        scratch.run("pw.x", "scf")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_is_killed_leaves_no_program_and_no_folder(
    number: signal.Signals, program: Callable[[str], None], tmp_path: Path
) -> None:
    program(ENDLESS)
    code = f"from tests.datasets.dft.test_scratch import run_endlessly; run_endlessly({str(tmp_path)!r})"
    worker = subprocess.Popen([sys.executable, "-c", code])
    try:
        pids = running(tmp_path)
    finally:
        worker.send_signal(number)
        worker.wait()
    wait_for(lambda: gone(tmp_path, pids), 20)


def test_a_keeper_that_is_killed_takes_the_program_along(program: Callable[[str], None], tmp_path: Path) -> None:
    program("exec sleep 300")
    with Scratch("a", str(tmp_path)) as scratch:
        (scratch.folder / "scf.in").touch()
        killed: list[psutil.Process] = []

        def kill() -> None:
            keeper = psutil.Process(scratch._keeper.pid)
            wait_for(lambda: any(c.name() == "sleep" for c in keeper.children()))
            killed.extend(keeper.children())
            keeper.kill()

        thread = threading.Thread(target=kill)
        thread.start()
        with pytest.raises(DFTError, match="ended from outside"):
            scratch.run("pw.x", "scf")
        thread.join()
        assert not psutil.wait_procs(killed, timeout=20)[1]
    assert gone(tmp_path, [])


@pytest.mark.parametrize("how", ["cancelled", "worker closed"])
def test_a_task_that_nobody_waits_for_ends_its_program(
    how: str, program: Callable[[str], None], tmp_path: Path
) -> None:
    program(ENDLESS)
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as there,
        Client(there) as client,
    ):
        future = client.submit(run_endlessly, str(tmp_path), pure=False)
        pids = running(tmp_path)
        if how == "cancelled":
            future.cancel()
            wait_for(lambda: gone(tmp_path, pids), 20)
    assert gone(tmp_path, pids)


@pytest.mark.qe
@pytest.mark.skipif(shutil.which("pw.x") is None, reason="no pw.x on this machine")
def test_pw_listens_nowhere_and_starts_no_daemon(tmp_path: Path, own_data: Path) -> None:
    be = Atoms("Be2", [[0, 0, 0], [0, 1.3, 1.8]], cell=[[2.26, 0, 0], [-1.13, 1.957, 0], [0, 0, 3.57]], pbc=True)
    energies = {"origin": -6.0, "spacing": 0.5, "levels": 39}
    code = Espresso(
        temperature=1000.0,
        pseudopotentials=str(own_data / "pseudopotentials"),
        ecutwfc=25,
        kpoints=[4, 4, 2],
        energies=energies,
        broadening=0.5,
    )
    names, addresses = set[str](), set[str]()
    with Scratch("a", str(tmp_path)) as scratch:
        keeper, done = psutil.Process(scratch._keeper.pid), threading.Event()

        def look() -> None:
            while not done.wait(0.02):
                for process in keeper.children(recursive=True):
                    with suppress(psutil.Error):
                        names.add(process.name())
                        there = process.net_connections("inet")
                        addresses.update(c.laddr.ip for c in there if c.status == psutil.CONN_LISTEN)

        thread = threading.Thread(target=look)
        thread.start()
        try:
            code.calculate(be, scratch)
        finally:
            done.set()
            thread.join()
    assert "pw.x" in names and "orted" not in names
    assert not addresses, "a pw.x of Open MPI listens on every interface unless it is told"
