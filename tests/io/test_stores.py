"""Zarr stores: templates, regions, what is refused."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from maladist.errors import OutputError, StoreError
from maladist.io import datasets, stores
from maladist.io.appearing import check_target
from maladist.io.opening import open_dataset
from maladist.io.ownership import Claim
from maladist.io.stores import ArrayTemplate, field_template
from tests.conftest import Disk


@pytest.fixture
def store(tmp_path: Path) -> Claim:
    path = tmp_path / "a.zarr"
    arrays = {
        "density": field_template("density", (6, 4, 5), (3, 4, 5)),
        "work/x": ArrayTemplate((4,), (1,), ("block",)),
    }
    return stores.create(path, arrays, {"cell": [1.0] * 9})


def test_what_was_not_written_reads_as_nan_and_a_block_of_zeros_leaves_a_file(store: Claim) -> None:
    stores.write_region(store, "density", (slice(0, 3), slice(0, 4), slice(0, 5)), np.zeros((3, 4, 5)))
    density = stores.open_array(store, "density", "r")[...]
    assert (density[:3] == 0).all() and np.isnan(density[3:]).all()
    assert (Path(store) / "density" / "c" / "0" / "0" / "0").exists()


def test_a_region_that_cuts_a_chunk_is_refused_because_two_writers_of_one_lose_a_part(store: Claim) -> None:
    for region in ((slice(0, 2),), (slice(1, 3),), (slice(2, None),)):
        with pytest.raises(StoreError, match="wanted whole chunks"):
            stores.write_region(store, "density", region, np.zeros(()))
    stores.write_region(store, "density", (slice(3, None), slice(None)), np.ones((3, 4, 5)))
    stores.write_region(store, "work/x", (2,), np.ones(()))
    assert np.isnan(stores.read_region(store, "density")[:3]).all()


def test_an_unfinished_store_says_so_until_it_is_finished(store: Claim) -> None:
    with pytest.raises(StoreError, match="unfinished"):
        open_dataset(store)
    stores.write_region(store, "density", (), np.ones((6, 4, 5)))
    stores.finish(store)
    dataset = open_dataset(store, chunks={})
    assert dataset["density"].dims == ("x", "y", "z") and dataset["density"].attrs["units"] == "1/Å^3"
    assert not (Path(store) / "work").exists() and dataset.attrs["complete"]


def test_a_chunk_is_written_under_another_name_first(store: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    # A process that dies in the middle of a write must leave no chunk that looks whole.
    real, seen = Path.replace, []

    def watching(self: Path, target: Path) -> Path:
        seen.append((self.name, Path(target).name))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", watching)
    stores.write_region(store, "work/x", (slice(1, 2),), np.ones(1))
    assert any(name.endswith(".partial") and target == "1" for name, target in seen)


def test_scalars_and_vectors_are_replaced_when_written_again(store: Claim) -> None:
    for value in (1.5, 2.5):
        stores.write_values(
            store, {"ewald_eV": ((), np.array(value), "eV"), "dos": (("energy",), np.full(3, value), "1/eV")}
        )
    dataset = open_dataset(store, unfinished=True)
    assert float(dataset["ewald_eV"]) == 2.5 and (dataset["dos"] == 2.5).all()


def test_a_chunk_that_is_missing_when_a_store_is_finished_is_not_sealed(store: Claim) -> None:
    stores.write_region(store, "density", (slice(0, 3), slice(0, 4), slice(0, 5)), np.zeros((3, 4, 5)))
    with pytest.raises(StoreError, match="density/c/1/0/0"):
        stores.finish(store)
    assert not stores.is_complete(store)


# -- disks -----------------------------------------------------------------------------------------------------------


@pytest.mark.disks
def test_a_full_disk_is_named_and_what_was_written_stays(disk: Disk) -> None:
    arrays = {"density": field_template("density", (64, 64, 64), (32, 64, 64))}
    store = stores.create(disk.path / "a.zarr", arrays, {})
    half = (slice(0, 32), slice(None), slice(None))
    values = np.random.default_rng(0).random((32, 64, 64))
    stores.write_region(store, "density", half, values)
    disk.leave(100_000)
    with pytest.raises(OutputError, match=r"a\.zarr cannot be written \(No space left on device\)"):
        stores.write_region(store, "density", (slice(32, 64), slice(None), slice(None)), values)
    disk.free()
    assert np.array_equal(stores.read_region(store, "density", half), values)
    assert not list((disk.path / "a.zarr" / "density").rglob("*.partial"))


@pytest.mark.disks
def test_a_store_that_could_not_be_made_leaves_nothing(disk: Disk) -> None:
    disk.leave(4096)
    with pytest.raises(OutputError, match="No space left"):
        stores.create(disk.path / "a.zarr", {"density": field_template("density", (6, 4, 5), (3, 4, 5))}, {})
    assert [p.name for p in disk.path.iterdir()] == ["fill"]


@pytest.mark.disks
def test_a_read_only_disk_is_refused_for_writing_and_read(disk: Disk) -> None:
    store = stores.create(disk.path / "a.zarr", {}, {})
    stores.write_values(store, {"dos": (("energy",), np.ones(3), "1/eV")})
    stores.finish(store)
    disk.read_only()
    assert open_dataset(disk.path / "a.zarr")["dos"].values.tolist() == [1, 1, 1]
    with pytest.raises(OutputError, match="read-only"):
        check_target(disk.path / "a.zarr", overwrite=True)
    with pytest.raises(OutputError, match="Read-only file system"):
        stores.set_attributes(disk.path / "a.zarr", {"a": 1})


class Touches:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def write_format_2(path: Path, ran: Path) -> None:
    """An array of objects as format 2 has them: its filter unpickles what is read."""
    path.mkdir(parents=True, exist_ok=True)
    facts = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "compressor": None, "fill_value": None}
    (path / ".zarray").write_text(json.dumps({**facts, "order": "C", "filters": [{"id": "pickle", "protocol": 5}]}))
    (path / "0").write_bytes(pickle.dumps(np.array([Touches(ran)], dtype=object)))


def test_pickles_of_format_2_are_refused_and_never_run(store: Claim, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    stores.write_region(store, "density", (), np.ones((6, 4, 5)))
    stores.finish(store)
    for group in (tmp_path / "old.zarr", Path(store)):
        write_format_2(group / "dos", ran)
    (tmp_path / "old.zarr" / ".zgroup").write_text('{"zarr_format": 2}')
    for path in (tmp_path / "old.zarr", tmp_path / "old.zarr" / "dos"):
        with pytest.raises(StoreError, match="in zarr format 2; wanted one in format 3"):
            open_dataset(path)
    with pytest.raises(StoreError, match="format 2"):
        datasets.snapshot_groups(tmp_path / "old.zarr")
    with pytest.raises(StoreError, match="format 2"):
        stores.read_region(store, "dos")
    write_format_2(Path(store) / "reference", ran)
    with pytest.raises(StoreError, match="format 2"):
        datasets.read_reference(Path(store))
    assert not ran.exists()
