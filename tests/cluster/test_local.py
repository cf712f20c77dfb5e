"""Workers of this machine: brought back when they are lost, ended when nobody waits for them, and quiet about it."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from distributed import Client

from maladist.cluster import cluster, local
from maladist.cluster.local import RevivingCluster


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What Dask says from here on."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler, logger = Keep(logging.WARNING), logging.getLogger("distributed")
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        time.sleep(0.05)


def pids(client: Client) -> list[int]:
    return sorted(client.run(os.getpid).values())


def load_much() -> int:
    """Import what a prediction does."""
    import maladist.prediction.block  # noqa: F401

    return os.getpid()


LATE = """
import logging
from maladist.cluster import cluster
if __name__ == "__main__":
    with cluster("local", workers=1):
        pass
    for name in ("distributed.batched", "distributed.core"):
        logging.getLogger(name).info("late")
"""


def test_after_a_cluster_has_closed_dask_tells_no_traceback_of_its_last_messages(tmp_path: Path) -> None:
    """Its handlers say all again from the close on, and a message to a worker may be under way for longer."""
    script = tmp_path / "late.py"
    script.write_text(LATE)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=True)
    assert "distributed.core - INFO - late" in done.stderr  # else this test could not fail
    assert "distributed.batched" not in done.stderr


@pytest.mark.slow
def test_a_worker_with_everything_imported_leaves_at_once_and_without_a_word(said: list[str]) -> None:
    with cluster("local", workers=1) as client:
        process = psutil.Process(client.submit(load_much).result())
        # What a terminal sends to its whole foreground is for the client.
        assert client.submit(signal.getsignal, signal.SIGINT).result() is signal.SIG_IGN
    assert not process.is_running()
    assert not said


def test_a_task_that_runs_does_not_hold_up_an_error(said: list[str]) -> None:
    begun = time.monotonic()
    with pytest.raises(ArithmeticError), cluster("local", workers=1) as client:
        process = psutil.Process(pids(client)[0])
        _running = client.submit(time.sleep, 600)
        wait_for(lambda: bool(client.processing() and any(client.processing().values())))
        begun = time.monotonic()
        raise ArithmeticError
    assert not process.is_running() and time.monotonic() - begun < 20  # and not the ten minutes
    assert not any("still alive" in line for line in said)


def test_a_worker_that_is_slow_to_come_back_is_not_given_up() -> None:
    """Dask closes the nanny of a worker that is away for longer than this, for ever."""
    with cluster({"kind": "local", "config": {"distributed.deploy.lost-worker-timeout": "1ms"}}, workers=1) as client:
        for _ in range(2):
            (pid,) = pids(client)
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda pid=pid: bool(with_patience(client)) and with_patience(client) != [pid])
        assert client.submit(int).result() == 0


def with_patience(client: Client) -> list[int]:
    """Processes of the workers; of those that have just died, none."""
    with suppress(Exception):
        return [pid for pid in client.run(os.getpid, on_error="ignore").values() if isinstance(pid, int)]
    return []


@pytest.mark.parametrize("processes", [True, False])
def test_a_nanny_that_gave_up_is_replaced(processes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_LOOK", 0.1)
    with cluster({"kind": "local", "processes": processes}, workers=2) as client:
        assert isinstance(client.cluster, RevivingCluster)
        before = set(client.nthreads())
        client.sync(client.cluster.workers[0].close)
        wait_for(lambda: len(client.nthreads()) == 2 and set(client.nthreads()) != before)
        assert client.submit(int).result() == 0


def test_scaling_down_is_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_LOOK", 0.1)
    with cluster({"kind": "local", "processes": False}, workers=2) as client:
        client.cluster.scale(1)
        wait_for(lambda: len(client.nthreads()) == 1)
        time.sleep(0.5)
        assert len(client.nthreads()) == 1


def test_the_preload_of_a_description_is_kept(tmp_path: Path) -> None:
    (tmp_path / "mark.py").write_text("import os\nos.environ['MARKED'] = 'yes'\n")
    for preload in (str(tmp_path / "mark.py"), [str(tmp_path / "mark.py")]):
        with cluster({"kind": "local", "preload": preload}, workers=1) as client:
            assert client.submit(os.getenv, "MARKED").result() == "yes"


@pytest.mark.slow
def test_a_script_without_a_guard_ends_with_an_error_that_names_it(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import maladist\nwith maladist.cluster('local', workers=2):\n    print('computes')\n")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and not done.stdout
    *_, last = done.stderr.splitlines()
    assert "cluster: one that does not start" in last and 'below `if __name__ == "__main__":`' in last
    # Of multiprocessing and of Dask's nannies there were hundreds, of each worker.
    assert "Nanny failed to start." not in done.stderr and done.stderr.count("Traceback") == 2
