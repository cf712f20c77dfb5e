"""A store is opened whole or refused in one line, whatever was lost of it, garbled or changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from maladist import schema
from maladist.errors import StoreError
from maladist.io import stores
from maladist.io.opening import open_dataset
from maladist.io.stores import field_template


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A finished store with a field of several chunks, a small vector, scalars, atoms and a group."""
    path = tmp_path / "f.zarr"
    attributes = {"cell": [1.0, 0, 0, 0, 1, 0, 0, 0, 1], "temperature_K": 1000.0, "xc": "pbe"}
    store = stores.create(path, {"density": field_template("density", (6, 4, 5), (3, 4, 5))}, attributes)
    stores.write_region(store, "density", (), np.random.default_rng(0).random((6, 4, 5)))
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
    open_dataset(path)
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
        assert open_dataset(finished)["number"].values.tolist() == [4, 4]
        return
    with pytest.raises(StoreError) as caught:
        open_dataset(finished)
    assert "\n" not in str(caught.value) and str(finished) in str(caught.value)


@pytest.mark.parametrize("how", ["lost", "cut", "flipped"])
@pytest.mark.parametrize("chunks", [None, {}])
def test_of_what_is_large_a_chunk_is_held_against_its_checksum_when_it_is_read(
    finished: Path, how: str, chunks: dict[str, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "SMALL", 200)
    damage(finished / "density/c/1/0/0", how)
    dataset = open_dataset(finished, chunks)
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
        open_dataset(finished)


def test_an_attribute_that_was_changed_is_told_and_can_be_sealed_on_purpose(finished: Path) -> None:
    stores.set_attributes(finished, {"temperature_K": 7000.0})
    with pytest.raises(StoreError, match=r"its attributes are not those that were written.*stores\.seal"):
        open_dataset(finished)
    stores.seal(finished)
    assert open_dataset(finished).attrs["temperature_K"] == 7000.0


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
        open_dataset(finished)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["density/c/1/0/0", "number/c/0", "dos/c/0"])
def test_a_store_of_an_earlier_version_that_lost_a_chunk_is_refused(finished: Path, name: str) -> None:
    shutil.rmtree(finished / "digests")
    (finished / name).unlink()
    with pytest.raises(StoreError, match=name.split("/")[0]):
        open_dataset(finished)


def test_a_copy_by_xarray_has_no_digests_that_would_not_be_its_own(finished: Path, tmp_path: Path) -> None:
    open_dataset(finished).to_zarr(tmp_path / "copy.zarr", consolidated=False)
    assert open_dataset(tmp_path / "copy.zarr").attrs == open_dataset(finished).attrs


def test_other_readers_find_a_plain_zarr_store(finished: Path) -> None:
    plain = xr.open_zarr(finished, consolidated=False)
    assert np.array_equal(plain["density"].values, open_dataset(finished)["density"].values)


@pytest.mark.parametrize("content", [None, "a file", "a folder"])
def test_what_is_not_a_store_is_refused_in_one_line(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "b.zarr"
    if content == "a file":
        path.write_text("no store")
    elif content == "a folder":
        path.mkdir()
    with pytest.raises(StoreError) as caught:
        open_dataset(path)
    assert "\n" not in str(caught.value)


def test_stores_of_zarr_2_are_refused(tmp_path: Path) -> None:
    # Their codecs include pickle, which would run what is in a chunk.
    xr.Dataset({"a": ("i", [1, 2])}).to_zarr(tmp_path / "2.zarr", zarr_format=2, consolidated=False)
    with pytest.raises(StoreError, match="zarr format 2; wanted one in format 3"):
        open_dataset(tmp_path / "2.zarr")
