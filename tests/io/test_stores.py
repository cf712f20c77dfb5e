"""Zarr stores: templates, regions, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maladist.errors import OutputError, StoreError
from maladist.io import stores
from maladist.io.stores import ArrayTemplate, field_template


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "a.zarr"
    arrays = {
        "density": field_template("density", (6, 4, 5), (3, 4, 5)),
        "work/x": ArrayTemplate((4,), (1,), ("block",)),
    }
    stores.create(path, arrays, {"cell": [1.0] * 9})
    return path


def test_what_was_not_written_reads_as_nan_and_a_block_of_zeros_leaves_a_file(store: Path) -> None:
    stores.write_region(store, "density", (slice(0, 3), slice(0, 4), slice(0, 5)), np.zeros((3, 4, 5)))
    density = stores.open_array(store, "density", "r")[...]
    assert (density[:3] == 0).all() and np.isnan(density[3:]).all()
    assert (store / "density" / "c" / "0" / "0" / "0").exists()


def test_an_unfinished_store_says_so_until_it_is_finished(store: Path) -> None:
    with pytest.raises(StoreError, match="unfinished"):
        stores.open_dataset(store)
    stores.finish(store)
    dataset = stores.open_dataset(store, chunks={})
    assert dataset["density"].dims == ("x", "y", "z") and dataset["density"].attrs["units"] == "1/Å^3"
    assert not (store / "work").exists() and dataset.attrs["complete"]


def test_a_chunk_is_written_under_another_name_first(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_scalars_and_vectors_are_replaced_when_written_again(store: Path) -> None:
    for value in (1.5, 2.5):
        stores.write_values(
            store, {"ewald_eV": ((), np.array(value), "eV"), "dos": (("energy",), np.full(3, value), "1/eV")}
        )
    dataset = stores.open_dataset(store, unfinished=True)
    assert float(dataset["ewald_eV"]) == 2.5 and (dataset["dos"] == 2.5).all()


def test_replacing_that_was_interrupted_leaves_a_path_that_can_be_used(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("shutil.rmtree", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            stores.create(store, {}, {}, overwrite=True)
    stores.create(store, {}, {})
    assert stores.attributes(store)["complete"] is False
