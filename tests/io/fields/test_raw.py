"""Regions of arrays in files: what numpy's own slices say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maladist.errors import OutputError
from maladist.io.fields import raw
from maladist.io.targets import explained
from tests.conftest import Disk

SHAPE = (5, 4, 6, 3)


@pytest.mark.parametrize("arrays", [1, 3])
@pytest.mark.parametrize(
    "region",
    [np.s_[0:5, 0:4, 0:6], np.s_[1:3, 0:4, 0:6], np.s_[4:5, 2:4, 0:6], np.s_[1:4, 1:3, 2:5], np.s_[0:5, 3:4, 5:6]],
)
def test_a_region_lands_where_numpy_would_put_it(
    region: tuple[slice, slice, slice], arrays: int, tmp_path: Path
) -> None:
    """In one array with all features, as .npy has them, or in one for each, as HDF5."""
    path, size = tmp_path / "a", 4 * 5 * 4 * 6 * 3
    offsets = [16 + i * size // arrays for i in range(arrays)]
    raw.allocate(path, 16 + size)
    wanted = np.zeros(SHAPE, np.float32)
    values = np.random.default_rng(0).random(wanted[region].shape, np.float32)
    wanted[region] = values
    raw.write_region(path, offsets, SHAPE, region, values)
    found = np.frombuffer(path.read_bytes()[16:], np.float32)
    found = found.reshape(SHAPE) if arrays == 1 else np.moveaxis(found.reshape(3, *SHAPE[:3]), 0, -1)
    assert np.array_equal(found, wanted) and path.stat().st_size == 16 + size


@pytest.mark.disks
def test_room_is_taken_before_anything_is_written(disk: Disk) -> None:
    with pytest.raises(OutputError, match="No space left"), explained(disk.path):
        raw.allocate(disk.path / "a", 10**9)
    raw.allocate(disk.path / "b", 20 * 2**20)
    assert disk.path.stat().st_size >= 0 and (disk.path / "b").stat().st_blocks * 512 >= 20 * 2**20
