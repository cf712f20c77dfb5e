"""What a file or a store holds, for people; what is neither is refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from maladist import save_model
from maladist.errors import InputError
from maladist.io import stores
from maladist.io.inspect import describe
from maladist.learning.model import LDOSModel


def test_models_by_their_file_and_by_their_name(model: LDOSModel, tmp_path: Path) -> None:
    rows = dict(describe(save_model(model, tmp_path / "a.maladist")))
    assert "Be" in " ".join(rows.values())
    assert "1000 K" in " ".join(dict(describe("be-1000K")).values())


def test_a_store_and_a_snapshot(small_data_set: Path) -> None:
    rows = dict(describe(small_data_set / "snapshots" / "train-0"))
    assert rows["kind"] == "store"
    assert "1/(eV Å^3)" in rows["ldos"] and rows["assume_isolated"] == "none, a crystal"
    assert rows["energies"].startswith("-6 to ") and "broadening gaussian" in rows["energies"]


def test_a_data_set_tells_what_its_snapshots_are_and_where_they_differ(small_data_set: Path, tmp_path: Path) -> None:
    rows = dict(describe(small_data_set))
    assert rows["kind"] == "data set" and rows["snapshots"].startswith("5: test-4-atoms to ")
    assert rows["assume_isolated"] == "none, a crystal" and " levels, " in rows["energies"]
    copy = shutil.copytree(small_data_set, tmp_path / "d.zarr")
    stores.set_attributes(slab := copy / "snapshots" / "valid-0", {"assume_isolated": "2D"})
    stores.seal(slab)
    assert dict(describe(copy))["assume_isolated"] == "none, a crystal; 2D"


def test_a_folder_of_other_files_is_not_told_of_as_a_damaged_store(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")  # of an MD
    with pytest.raises(InputError, match=r"a folder with other files; wanted a zarr store, as predict and dft make\.$"):
        describe(tmp_path)


def test_what_is_neither(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "letter").write_text("Dear Sir or Madam")
    (tmp_path / "folder").mkdir()
    for name, words in (("nowhere", "No such file"), ("fifo", "FIFO"), ("letter", "model"), ("folder", "store")):
        with pytest.raises(InputError, match=words) as caught:
            describe(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_folder_of_frames_is_told_by_their_names(tmp_path: Path) -> None:
    for name in ("000000.zarr", "000001.zarr"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "zarr.json").write_text("{}")
    assert describe(tmp_path) == [("folder of results", "2, of a frame each: 000000.zarr to 000001.zarr")]
