"""What a task needs of its process: torch on one thread, the memory of its batches at hand, and given back after it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch

_M_TRIM_THRESHOLD: Final = -1  # of glibc's malloc.h
_M_MMAP_THRESHOLD: Final = -3
_ARRAY: Final = 16 * 2**20  # bytes of the largest array that lives for a batch of points only
_KEPT: Final = 64 * 2**20  # bytes that a thread keeps at most: it has several such arrays at a time
_OTHERWISE: Final = 128 * 1024  # glibc's own for both


@contextmanager
def in_a_task() -> Iterator[None]:
    """Torch on one thread; what was freed is given back to the system at the end, where the C library is glibc.

    Dask gives nothing more to do to a worker that holds four fifths of its limit, and the run would wait for one that
    only seems to.
    """
    # For each task and not once a worker: a task that had the worker to itself may have raised the number.
    torch.set_num_threads(1)
    try:
        yield
    finally:
        if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
            trim(0)


@contextmanager
def in_batches() -> Iterator[None]:
    """Freed memory is at hand for the next batch, where the C library is glibc.

    The arrays of a batch are some MB, and live for milliseconds. By itself glibc gives many of them back to the system
    when they are freed, and all of them on Dask's workers, which start with a trim threshold of 64 kB. They then come
    anew, zeroed page by page, which took a third of a prediction's processor time.

    Not for good: results and the large arrays of other tasks are to leave as soon as they are freed.
    """
    _set_thresholds(_KEPT, _ARRAY)
    try:
        yield
    finally:
        # Of another task of this process that still runs, too, which only costs it time.
        _set_thresholds(int(os.environ.get("MALLOC_TRIM_THRESHOLD_", _OTHERWISE)), _OTHERWISE)


def _set_thresholds(trim: int, mmap: int) -> None:
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_M_TRIM_THRESHOLD, trim)
        mallopt(_M_MMAP_THRESHOLD, mmap)
