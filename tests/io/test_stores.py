"""Zarr stores: templates, regions, what is refused."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from maladist import schema
from maladist.errors import OutputError, StoreError
from maladist.io import datasets, stores
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


def test_an_unfinished_store_says_so_until_it_is_finished(store: Claim) -> None:
    with pytest.raises(StoreError, match="unfinished"):
        stores.open_dataset(store)
    stores.write_region(store, "density", (...,), np.ones((6, 4, 5)))
    stores.finish(store)
    dataset = stores.open_dataset(store, chunks={})
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


@pytest.mark.parametrize("content", [None, "a file", "a folder"])
def test_what_is_not_a_store_is_refused_in_one_line(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "b.zarr"
    if content == "a file":
        path.write_text("no store")
    elif content == "a folder":
        path.mkdir()
    with pytest.raises(StoreError) as caught:
        stores.open_dataset(path)
    assert "\n" not in str(caught.value)


def test_a_target_in_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="not a folder"):
        stores.check_target(tmp_path / "no" / "a.zarr", overwrite=False)


def test_scalars_and_vectors_are_replaced_when_written_again(store: Claim) -> None:
    for value in (1.5, 2.5):
        stores.write_values(
            store, {"ewald_eV": ((), np.array(value), "eV"), "dos": (("energy",), np.full(3, value), "1/eV")}
        )
    dataset = stores.open_dataset(store, unfinished=True)
    assert float(dataset["ewald_eV"]) == 2.5 and (dataset["dos"] == 2.5).all()


# -- damage ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A finished store with a field of several chunks, a small vector, scalars, atoms and a group."""
    path = tmp_path / "f.zarr"
    attributes = {"cell": [1.0, 0, 0, 0, 1, 0, 0, 0, 1], "temperature_K": 1000.0, "xc": "pbe"}
    store = stores.create(path, {"density": field_template("density", (6, 4, 5), (3, 4, 5))}, attributes)
    stores.write_region(store, "density", (...,), np.random.default_rng(0).random((6, 4, 5)))
    values = {
        "dos": (("energy",), np.linspace(0, 1, 3), "1/eV"),
        "energy": (("energy",), np.arange(3.0), "eV"),
        "number": (("atom",), np.array([4, 4], np.int16), "1"),
        "position": (("atom", "xyz"), np.zeros((2, 3)), "Å"),
        "total_free_energy_eV": ((), np.array(0.0), "eV"),
        "run/block": (("task",), np.arange(2), "1"),
    }
    stores.write_values(store, values)
    stores.finish(store)
    stores.open_dataset(path)
    return path


FILES = [
    "density/c/1/0/0",
    "dos/c/0",
    "number/c/0",
    "total_free_energy_eV/c",
    "zarr.json",
    "density/zarr.json",
    "number/zarr.json",
    "digests/zarr.json",
]


def damage(file: Path, how: str) -> None:
    content = file.read_bytes()
    if how == "lost":
        file.unlink()
    elif how in ("null", "[]"):
        file.write_text(how)
    else:
        cut = {"empty": b"", "cut": content[: len(content) // 2], "longer": content + b"\0"}
        flipped = bytearray(content)
        flipped[len(content) // 3] ^= 0x04
        file.write_bytes(cut.get(how, bytes(flipped)))


@pytest.mark.parametrize("how", ["lost", "empty", "cut", "longer", "flipped", "null", "[]"])
@pytest.mark.parametrize("name", FILES)
def test_whatever_is_lost_or_garbled_is_told_in_one_line_when_a_store_is_opened(
    finished: Path, name: str, how: str
) -> None:
    damage(finished / name, how)
    if (name, how) == ("digests/zarr.json", "lost"):  # a store of an earlier version: held against the contract only
        (finished / "digests").rmdir()
        assert stores.open_dataset(finished)["number"].values.tolist() == [4, 4]
        return
    with pytest.raises(StoreError) as caught:
        stores.open_dataset(finished)
    assert "\n" not in str(caught.value) and str(finished) in str(caught.value)


@pytest.mark.parametrize("how", ["lost", "cut", "flipped"])
@pytest.mark.parametrize("chunks", [None, {}])
def test_of_what_is_large_a_chunk_is_held_against_its_checksum_when_it_is_read(
    finished: Path, how: str, chunks: dict[str, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "SMALL", 200)
    damage(finished / "density/c/1/0/0", how)
    dataset = stores.open_dataset(finished, chunks)
    assert np.isfinite(dataset["density"][:3].values).all()
    wanted = r"chunk 1, 0, 0 of its density is " + ("lost" if how == "lost" else "garbled")
    for read in (
        lambda: dataset["density"][3:].values,
        lambda: stores.read_region(finished, "density", (slice(3, 6),)),
        lambda: stores.open_array(finished, "density", "r")[4],
    ):
        with pytest.raises(StoreError, match=wanted):
            read()


def test_chunks_that_changed_places_are_told(finished: Path) -> None:
    one, other = (finished / "density/c" / i / "0/0" for i in "01")
    one.rename(finished / "x"), other.rename(one), (finished / "x").rename(other)
    with pytest.raises(StoreError, match="the chunks of its density are changed"):
        stores.open_dataset(finished)


def test_an_attribute_that_was_changed_is_told_and_can_be_sealed_on_purpose(finished: Path) -> None:
    stores.set_attributes(finished, {"temperature_K": 7000.0})
    with pytest.raises(StoreError, match=r"its attributes are not those that were written.*stores\.seal"):
        stores.open_dataset(finished)
    stores.seal(finished)
    assert stores.open_dataset(finished).attrs["temperature_K"] == 7000.0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cell", "abc"),
        ("cell", [1.0] * 8),
        ("cell", [float("nan")] * 9),
        ("cell", {"a": 1}),
        ("grid", [6, 4]),
        ("temperature_K", "1000"),
        ("n_electrons", [1, [2]]),
        ("n_electrons", True),
        ("broadening_kernel", "box"),
        ("pseudopotentials", ["Be"]),
        ("seconds", {"wall": "long"}),
        ("notes", "one"),
        ("schema_version", "1"),
    ],
)
def test_attributes_of_another_type_are_named(finished: Path, name: str, value: object) -> None:
    stores.set_attributes(finished, {name: value})
    stores.seal(finished)
    with pytest.raises(StoreError, match=name) as caught:
        stores.open_dataset(finished)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["density/c/1/0/0", "number/c/0", "dos/c/0"])
def test_a_store_of_an_earlier_version_that_lost_a_chunk_is_refused(finished: Path, name: str) -> None:
    shutil.rmtree(finished / "digests")
    (finished / name).unlink()
    with pytest.raises(StoreError, match=name.split("/")[0]):
        stores.open_dataset(finished)


def test_a_copy_by_xarray_has_no_digests_that_would_not_be_its_own(finished: Path, tmp_path: Path) -> None:
    stores.open_dataset(finished).to_zarr(tmp_path / "copy.zarr", consolidated=False)
    assert stores.open_dataset(tmp_path / "copy.zarr").attrs == stores.open_dataset(finished).attrs


def test_other_readers_find_a_plain_zarr_store(finished: Path) -> None:
    plain = xr.open_zarr(finished, consolidated=False)
    assert np.array_equal(plain["density"].values, stores.open_dataset(finished)["density"].values)


def test_a_chunk_that_is_missing_when_a_store_is_finished_is_not_sealed(store: Claim) -> None:
    stores.write_region(store, "density", (slice(0, 3), slice(0, 4), slice(0, 5)), np.zeros((3, 4, 5)))
    with pytest.raises(StoreError, match="density/c/1/0/0"):
        stores.finish(store)
    assert not stores.is_complete(store)


def test_stores_of_zarr_2_are_refused(tmp_path: Path) -> None:
    # Their codecs include pickle, which would run what is in a chunk.
    xr.Dataset({"a": ("i", [1, 2])}).to_zarr(tmp_path / "2.zarr", zarr_format=2, consolidated=False)
    with pytest.raises(StoreError, match="zarr format 2; wanted one in format 3"):
        stores.open_dataset(tmp_path / "2.zarr")


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
    assert stores.open_dataset(disk.path / "a.zarr")["dos"].values.tolist() == [1, 1, 1]
    with pytest.raises(OutputError, match="read-only"):
        stores.check_target(disk.path / "a.zarr", overwrite=True)
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
    stores.write_region(store, "density", (...,), np.ones((6, 4, 5)))
    stores.finish(store)
    for group in (tmp_path / "old.zarr", Path(store)):
        write_format_2(group / "dos", ran)
    (tmp_path / "old.zarr" / ".zgroup").write_text('{"zarr_format": 2}')
    for path in (tmp_path / "old.zarr", tmp_path / "old.zarr" / "dos"):
        with pytest.raises(StoreError, match="in zarr format 2; wanted one in format 3"):
            stores.open_dataset(path)
    with pytest.raises(StoreError, match="format 2"):
        datasets.snapshot_groups(tmp_path / "old.zarr")
    with pytest.raises(StoreError, match="format 2"):
        stores.read_region(store, "dos")
    write_format_2(Path(store) / "reference", ran)
    with pytest.raises(StoreError, match="format 2"):
        datasets.read_reference(Path(store))
    assert not ran.exists()
