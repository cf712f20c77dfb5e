"""Arrays of numbers in .npy files, mapped: a block reads its own part only, and no pickle is ever loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from maladist.arrays import AnyArray
from maladist.errors import DataFileError
from maladist.io.foreign import refusing
from maladist.io.paths import plain_file


def map_array(path: str | Path) -> AnyArray:
    """Map a .npy file for reading.

    Raises
    ------
    DataFileError
        A file of another kind, of Python objects, truncated, or longer than its header says.
    """
    path = plain_file(path, "a .npy file", str(path))
    with refusing(path, "a complete .npy file of numbers"):
        # numpy.load would also open archives and, where it is told to, pickles.
        array: np.memmap[Any, Any] = np.lib.format.open_memmap(path, mode="r")
        # A file that was cut off can still be mapped, and would read as zeros or end the process with SIGBUS.
        length, wanted = path.stat().st_size, array.offset + array.nbytes
    if length != wanted:
        came = f"{length} bytes, where its header tells {array.dtype} of shape {array.shape}"
        raise DataFileError(str(path), came, f"{wanted} bytes", "Copy it again.")
    return array
