"""Stores that come and go whole: nobody sees half of one, what fails leaves nothing, what is another's stays."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from maladist.errors import OutputError, StoreError
from maladist.io import ownership, stores
from maladist.io.appearing import appearing, check_target, remove, take_over
from maladist.io.chunks import WORK
from maladist.io.ownership import Claim


def test_what_a_killed_removal_left_is_cleaned_up_at_the_next_start(tmp_path: Path) -> None:
    left = [tmp_path / f".a.zarr.{'0123456789abcdef' * 2}.{end}" for end in ("removed", "new")]
    other = tmp_path / f".b.zarr.{'0123456789abcdef' * 2}.removed"
    mine = tmp_path / ".a.zarr.notes.removed"
    for folder in (*left, other, mine):
        folder.mkdir()
        os.utime(folder, (1.0, 1.0))
    fresh = tmp_path / f".a.zarr.{'0' * 32}.new"  # of a run that begins just now
    fresh.mkdir()
    stores.create(tmp_path / "a.zarr", {}, {})
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([mine.name, other.name, fresh.name, "a.zarr"])


def test_replacing_that_was_interrupted_leaves_a_path_that_can_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stores.create(tmp_path / "a.zarr", {}, {}) as store:
        pass
    with monkeypatch.context() as broken:
        broken.setattr("shutil.rmtree", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            stores.create(store, {}, {}, overwrite=True)
    stores.create(store, {}, {})
    assert stores.attributes(store)["complete"] is False


@pytest.mark.parametrize("owned", [False, True])
def test_it_appears_with_all_that_is_in_it_and_belongs_to_its_maker_where_that_is_wanted(
    owned: bool, tmp_path: Path
) -> None:
    path = tmp_path / "a.zarr"
    with appearing(path, owned=owned) as making:
        (Path(making) / "one").touch()
        assert not path.exists() and Path(making).name.startswith(".")
    assert (path / "one").exists() and [p.name for p in tmp_path.iterdir()] == ["a.zarr"]
    assert Claim(str(path), making.id, WORK).holds() == owned == (path / WORK).exists()
    assert making not in ownership._held  # nobody gives signs of life at a path that is gone


@pytest.mark.parametrize("there", [False, True])
def test_one_that_fails_leaves_what_was_there_and_nothing_hidden(there: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    if there:
        path.mkdir()
        (path / "old").touch()
    with pytest.raises(KeyboardInterrupt), appearing(path, overwrite=True) as making:
        (Path(making) / "half").touch()
        raise KeyboardInterrupt
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")] == ["a.zarr", "a.zarr/old"][: 2 * there]


def test_what_is_there_is_replaced_only_when_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    path.mkdir()
    (path / "old").touch()
    with appearing(path, overwrite=True) as making:
        (Path(making) / "new").touch()
        assert (path / "old").exists()
    assert [p.name for p in path.iterdir()] == ["new"] and [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def test_a_run_that_was_faster_keeps_its_store(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    with pytest.raises(StoreError, match=r"a\.zarr exists.*Another run has made it"), appearing(path):
        path.mkdir()
        (path / "theirs").touch()
    assert [p.name for p in path.iterdir()] == ["theirs"] and [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def test_a_store_that_is_being_written_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    with appearing(path, owned=True):
        pass
    refused = pytest.raises(StoreError, match="is being written by another run")
    with refused, appearing(path, overwrite=True) as making:
        (Path(making) / "new").touch()
    assert not (path / "new").exists()


def test_an_error_names_the_place_that_was_asked_for_and_not_the_hidden_one(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    with pytest.raises(OutputError) as caught, appearing(path) as making:
        raise OutputError("output", f"{Path(making) / 'density'} cannot be written", "room on the disk")
    assert caught.value.came == f"{path / 'density'} cannot be written"
    with pytest.raises(OutputError, match=r"nowhere/a\.zarr cannot be written"), appearing(tmp_path / "nowhere/a.zarr"):
        pass


def test_a_store_is_removed_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    mine = stores.create(path, {}, {})
    mine.release()
    theirs = take_over(path)
    remove(mine)
    assert path.exists() and theirs.holds()
    remove(theirs)
    assert not list(tmp_path.iterdir()) and theirs not in ownership._held
    with pytest.raises(OutputError, match="cannot be written"):
        remove(path)


def test_a_removal_that_is_interrupted_leaves_no_half_of_a_store_at_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.zarr"
    (path / "density").mkdir(parents=True)

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(shutil, "rmtree", interrupted)
        remove(path)
    assert not path.exists() and len(list(tmp_path.iterdir())) == 1
    stores.create(path, {}, {})
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def test_a_target_in_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="not a folder"):
        check_target(tmp_path / "no" / "a.zarr", overwrite=False)
