"""A store in memory, by the functions that make, write and read a store on a disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maladist.errors import StoreError
from maladist.io import stores
from maladist.io.memory import Memory
from maladist.io.opening import open_dataset
from maladist.io.stores import ArrayTemplate, Where

WORK = {"work/modes": ArrayTemplate((4, 2), (2, 2), ("x", "mode"))}
FIELD = {"numbers": ArrayTemplate((4,), (2,), ("x",), "int64", "1"), **WORK}


def _run(path: Where) -> Where:
    with stores.create(path, FIELD, {"shape": (1, 2)}) as store:
        stores.write_region(store, "numbers", (slice(0, 4),), np.array([3, 4, 5, 6]))
        stores.write_region(store, "work/modes", (slice(2, 4),), np.ones((2, 2)))
        assert np.isnan(stores.open_array(store, "work/modes", "r")[:2]).all()
        stores.open_array(store, "work/modes")[:2] = 2.0
        np.testing.assert_array_equal(stores.read_region(store, "work/modes", (slice(1, 3), 0)), [2.0, 1.0])
        stores.clear_work(store)
        with pytest.raises(StoreError, match="work/modes"):
            stores.open_array(store, "work/modes")
        stores.add_arrays(store, WORK)
        stores.write_values(store, {"mu": ((), np.float64(0.5), "eV"), "run/block": (("task",), np.arange(2), "1")})
        stores.set_attributes(store, {"notes": ["a"], "of": (1.0, None)})
        stores.finish(store)
    return store


def test_a_store_in_memory_holds_what_one_on_a_disk_does(tmp_path: Path) -> None:
    memory = Memory()
    assert _run(memory) is memory
    on_disk = open_dataset(Path(str(_run(tmp_path / "a.zarr"))), need=None)
    in_memory = open_dataset(memory)
    assert in_memory.attrs == on_disk.attrs and in_memory.attrs["complete"] is True
    assert in_memory.identical(on_disk.load())
    assert str(memory) == "memory" and set(memory.arrays) == {"numbers", "mu", "run/block"}


def test_what_is_read_of_it_may_be_worked_on() -> None:
    memory = Memory()
    stores.write_values(memory, {"a": (("x",), values := np.zeros(3), "1")})
    values[0] = 1.0
    stores.read_region(memory, "a")[:] = 2.0
    np.testing.assert_array_equal(stores.read_region(memory, "a"), 0.0)
