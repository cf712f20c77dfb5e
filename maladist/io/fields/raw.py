"""Numbers of a field at their place in a file: what .npy and contiguous HDF5 datasets have in common.

The file's room on the disk is taken before the first number is written, and numbers are written by pwrite, not through
a memory map: on a full disk a map ends the process with SIGBUS (and the HDF5 library with SIGSEGV), pwrite says so.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np

from maladist.arrays import AnyArray

_CANNOT = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)  # file systems that cannot promise room


def allocate(path: Path, size: int) -> None:
    """Make a file this long, or make it so long, and take its room on the disk where the file system can.

    Raises
    ------
    OSError
        There is no room on the disk.
    """
    # Also of a file that has a header already: only its length changes.
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(handle, 0, size)
            except OSError as error:
                if error.errno not in _CANNOT:
                    raise OSError(error.errno, error.strerror, str(path)) from None
        os.ftruncate(handle, size)
    finally:
        os.close(handle)


def write_region(
    path: Path,
    offsets: Sequence[int],
    shape: tuple[int, ...],
    region: tuple[slice, slice, slice],
    values: AnyArray,
) -> None:
    """Write a region of a field into a file that is long enough.

    Parameters
    ----------
    path
        File of the field.
    offsets
        Offsets of the arrays in it, bytes: of one (x, y, z, features), or of as many (x, y, z) as there are features.
    shape
        Shape of the field, (x, y, z, features).
    region
        Region in x, y and z, with steps of one.
    values
        Values of the region, (x, y, z, features), of the file's dtype.
    """
    handle = os.open(path, os.O_WRONLY)
    try:
        for offset, part in zip(offsets, np.split(values, len(offsets), axis=-1), strict=True):
            _write_array(handle, offset, (*shape[:3], part.shape[-1]), region, part)
    finally:
        os.close(handle)


def _write_array(handle: int, offset: int, shape: tuple[int, ...], region: Sequence[slice], values: AnyArray) -> None:
    """Write a region of an array in C order, all of its last axis: run by run of numbers that lie together."""
    bounds = [s.indices(n)[:2] for s, n in zip(region, shape, strict=False)]
    axes = len(bounds)
    # The fewer runs the better: each is a call of the system.
    while axes > 1 and bounds[axes - 1] == (0, shape[axes - 1]):
        axes -= 1  # axes that are written whole lie together with the one before
    strides = [values.itemsize * prod(shape[i + 1 :]) for i in range(axes)]
    starts = np.array(offset + bounds[axes - 1][0] * strides[axes - 1])
    for (low, high), stride in zip(bounds[: axes - 1], strides, strict=False):
        starts = np.add.outer(starts, np.arange(low, high) * stride)
    runs = np.ascontiguousarray(values).reshape(starts.size, -1)
    # pwrite takes its place with it, so that tasks in one process may share a file without a lock.
    for at, run in zip(starts.ravel().tolist(), runs, strict=True):
        _write_at(handle, run.data.cast("B"), at)


def _write_at(handle: int, data: memoryview, at: int) -> None:
    while data:
        written = os.pwrite(handle, data, at)  # on a disk that gets full: a part first, then the error
        data, at = data[written:], at + written
