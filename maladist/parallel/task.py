"""What a task needs of its process: torch on one thread, and of a worker memory that is at hand, then given back."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch
from distributed import Worker, get_worker

_M_TRIM_THRESHOLD: Final = -1  # of glibc's malloc.h
_M_MMAP_THRESHOLD: Final = -3
_ARRAY: Final = 16 * 2**20  # bytes of the largest array that lives for a batch of points only
_KEPT: Final = 64 * 2**20  # bytes that a thread keeps at most: it has several such arrays at a time
_OTHERWISE: Final = 128 * 1024  # glibc's own for both


@contextmanager
def in_a_task() -> Iterator[None]:
    """Torch on one thread; on one of Dask's workers that has little room, what was freed leaves it at the end.

    Dask gives nothing more to do to a worker that holds four fifths of its limit, and the run would wait for one that
    only seems to.
    """
    # For each task and not once a worker: a task that had the worker to itself may have raised the number.
    torch.set_num_threads(1)
    try:
        yield
    finally:
        if _has_little_room(_own_worker()) and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
            trim(0)


@contextmanager
def in_batches() -> Iterator[None]:
    """On Dask's workers freed memory is at hand for the next batch, where the C library is glibc.

    The arrays of a batch are some MB, and live for milliseconds. On Dask's workers, which start with a trim threshold
    of 64 kB, glibc gives them back to the system when they are freed. They then come anew, zeroed page by page, which
    took a third of a prediction's processor time. Elsewhere glibc finds its thresholds by itself, and would no longer
    if they were set once: the process is the user's.

    A worker that has little room goes back to Dask's thresholds: results and the large arrays of other tasks are to
    leave it as soon as they are freed.
    """
    worker = _own_worker()
    if worker is not None:
        _set_thresholds(_KEPT, _ARRAY)
    try:
        yield
    finally:
        if _has_little_room(worker):
            # Of another task of this process that still runs, too, which only costs it time.
            _set_thresholds(int(os.environ.get("MALLOC_TRIM_THRESHOLD_", _OTHERWISE)), _OTHERWISE)


def _own_worker() -> Worker | None:
    """The worker whose own process this is; None where a user computes too."""
    try:
        worker = get_worker()
    except ValueError:
        return None
    return worker if worker.nanny is not None else None


def _has_little_room(worker: Worker | None) -> bool:
    """Whether a worker's process holds more than half of what it may."""
    limit = worker.memory_manager.memory_limit if worker is not None else None
    return worker is not None and limit is not None and worker.monitor.get_process_memory() > limit / 2


def _set_thresholds(trim: int, mmap: int) -> None:
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_M_TRIM_THRESHOLD, trim)
        mallopt(_M_MMAP_THRESHOLD, mmap)
