"""Files of a training: samples (rows of descriptors or LDOS, one .npy file a chunk), checkpoints, tables of metrics.

Each is there whole or not at all, whenever a process dies: see `maladist.io.targets`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from maladist.errors import DataFileError
from maladist.io.fields.npy import map_array
from maladist.io.foreign import refusing
from maladist.io.paths import plain_file
from maladist.io.targets import write_whole

Rows = npt.NDArray[np.float32]


def write_rows(path: Path, rows: Rows) -> None:
    """Write rows, (n, width) float32."""
    # Made in memory and written in one piece: `write_whole` then renames it, and no reader sees a part.
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(rows, dtype=np.float32), allow_pickle=False)
    write_whole(path, buffer.getvalue())


def read_rows(path: str | Path, start: int = 0, stop: int | None = None) -> Rows:
    """Read rows that ``write_rows`` wrote, all or some of them.

    Raises
    ------
    DataFileError
        A file that is damaged, or holds something else.
    """
    # Mapped: a batch reads its own rows, not the file.
    rows = map_array(path)
    if rows.ndim != 2 or rows.dtype != np.float32:
        raise DataFileError(str(path), f"{rows.dtype} of shape {rows.shape}", "rows of samples, float32")
    return np.array(rows[start:stop])


def write_checkpoint(path: Path, state: Mapping[str, object]) -> None:
    """Write tensors, numbers, texts, lists and mappings of them."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_whole(path, buffer.getvalue())


def read_checkpoint(path: Path) -> dict[str, object]:
    """Read a checkpoint; nothing in it is run.

    Raises
    ------
    DataFileError
        A file that is no checkpoint, or is damaged.
    """
    plain_file(path, "a checkpoint", str(path))
    with refusing(path, "a checkpoint", remedy="Remove it to begin again."):
        # weights_only: a checkpoint may come from somebody else, and a pickle can run programs.
        state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise DataFileError(str(path), f"a {type(state).__name__}", "a checkpoint", "Remove it to begin again.")
    return state


def write_table(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows as CSV; the columns are those of all rows, in the order in which they first come."""
    # Of all rows: an epoch without a validation has fewer columns than the one after it.
    columns = list(dict.fromkeys(name for row in rows for name in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, buffer.getvalue().encode())
