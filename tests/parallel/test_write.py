"""Arrays of Dask into chunks of a store."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from maladist.io import stores
from maladist.io.chunks import ChunkStore
from maladist.parallel.write import write_lazy


@pytest.mark.parametrize("chunks", [(1, 2, 3, 3), (2, (1, 4), 3, (2, 1)), (1, 5, 1, 3)])
def test_a_chunk_is_written_once_however_the_source_is_cut(
    chunks: tuple[int | tuple[int, ...], ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two temperatures of a chunk, written by two tasks at once, left one of them NaN."""
    written: Counter[str] = Counter()
    write = ChunkStore._write

    def counted(self: ChunkStore, key: str, value: object) -> None:
        written[key] += 1
        write(self, key, value)  # type: ignore[arg-type]

    values = np.arange(90.0).reshape(2, 5, 3, 3)
    store = stores.create(
        tmp_path / "a.zarr", {"density": stores.field_template("density", (5, 3, 3), (2, 3, 3), 2)}, {}
    )
    monkeypatch.setattr(ChunkStore, "_write", counted)
    write_lazy(store, {"density": da.from_array(values, chunks)}, "threads")
    assert written == dict.fromkeys((f"density/c/0/{i}/0/0" for i in range(3)), 1)
    np.testing.assert_array_equal(stores.read_region(store, "density"), values)
