"""Preload of local workers: they leave at once when all is closed, and a terminal's Ctrl-C is for the client alone.

Not imported but read by a worker before it has anything of maladist, so it uses the standard library only. Taking apart
an interpreter with three thousand modules costs a worker close to a second of a core. With more workers than cores that
is longer than the four seconds after which Dask's nanny kills them, and it said so at the end of every command.
"""

import atexit
import logging
import os
import signal
import sys

_AT_THE_END = ("Failed to communicate with scheduler during heartbeat", "Scheduler was unaware of this worker")


def dask_setup(_worker: object) -> None:
    """Called by Dask when a worker starts: what is registered later than this, by tasks, comes before it at the end."""
    atexit.register(_leave)
    logging.getLogger("distributed.worker").addFilter(_is_news)
    # That a message met a closed connection, INFO with a traceback: Dask's silence ends a little before a worker does.
    logging.getLogger("distributed.batched").setLevel(logging.WARNING)
    logging.getLogger("distributed.sizeof").setLevel(logging.ERROR)  # of deep profiles: a guess does
    for name in ("SIGINT", "SIGHUP"):  # a terminal sends them to all; the client hears them and closes its workers
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _is_news(record: logging.LogRecord) -> bool:
    """Not that a heartbeat has met a scheduler which has just closed; of one that is lost in a run the client tells."""
    return not record.getMessage().startswith(_AT_THE_END)


def _leave() -> None:
    # `os._exit` skips what Python does at its end, so that what is in buffers is written here.
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
