"""The preload of local workers: deaf to what a terminal sends, gone at once, with its last words said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from maladist.cluster.local import _LEAVE

FOLDER = str(Path(_LEAVE).parent)
PROGRAM = """
import signal, sys, atexit
sys.path.insert(0, sys.argv[1])
import leave
atexit.register(lambda: print("never: registered before"))
leave.dask_setup(None)
atexit.register(lambda: sys.stdout.write("what tasks registered; "))
signal.raise_signal(signal.SIGINT)
signal.raise_signal(signal.SIGHUP)
sys.stdout.write("done; ")
"""


def test_a_worker_ends_at_once_but_for_what_tasks_registered() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, FOLDER], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "done; what tasks registered; "


HEARTBEAT = """
import logging, sys
sys.path.insert(0, sys.argv[1])
import leave
logging.basicConfig(format="%(message)s")
logging.getLogger("distributed").setLevel(logging.INFO)
leave.dask_setup(None)
logging.getLogger("distributed.batched").info("Batched Comm Closed", exc_info=True)
log = logging.getLogger("distributed.worker")
try:
    raise OSError("closed")
except OSError:
    log.exception("Failed to communicate with scheduler during heartbeat.")
log.warning("Scheduler was unaware of this worker; shutting down.")
log.warning("Unmanaged memory use is high.")
"""


def test_of_a_scheduler_that_has_closed_a_worker_says_nothing_and_of_all_else_what_it_has_to() -> None:
    done = subprocess.run([sys.executable, "-c", HEARTBEAT, FOLDER], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "Unmanaged memory use is high.\n")


def test_the_module_needs_nothing_but_the_standard_library() -> None:
    """A worker reads it before anything else: an import of more would cost each worker its time."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import leave; print({'numpy', 'dask'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code, FOLDER], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "set()", done.stderr
