"""Who owns a store: one writer, dead owners that do not block, and what a run that lost its store can no longer do."""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys
import time
from dataclasses import asdict, replace
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import pytest

from maladist.errors import StoreError
from maladist.io import ownership, stores
from maladist.io.appearing import remove, take_over
from maladist.io.ownership import OWNER, Claim
from maladist.io.stores import WORK, ArrayTemplate

ARRAYS = {"density": ArrayTemplate((4, 2, 2), (1, 2, 2), ("x", "y", "z"))}
FIRST = (slice(0, 1), slice(None), slice(None))


def make(path: Path, **options: bool) -> Claim:
    return stores.create(path, ARRAYS, {}, **options)


def rewrite(claim: Claim, **changes: object) -> None:
    """Make the owner's file say something else of the owner."""
    owner = ownership.read_owner(claim.file)
    assert owner is not None
    claim.file.write_text(json.dumps(asdict(replace(owner, **changes))))  # type: ignore[arg-type]


def test_a_run_whose_store_was_replaced_writes_nothing_into_the_new_one(tmp_path: Path) -> None:
    old = make(tmp_path / "a.zarr")
    old.release()
    new = make(tmp_path / "a.zarr", overwrite=True)
    stores.write_region(new, "density", FIRST, np.ones((1, 2, 2)))
    with pytest.raises(StoreError, match="now belongs to another run"):
        stores.write_region(old, "density", FIRST, np.zeros((1, 2, 2)))
    with pytest.raises(StoreError, match="now belongs to another run"):
        stores.set_attributes(old, {"complete": True})
    assert (stores.read_region(new, "density")[0] == 1).all() and not stores.is_complete(new)


def test_the_store_may_be_replaced_between_a_look_at_its_owner_and_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The window that looking alone would leave: the chunk's place under its other name has gone with the old store."""
    old, real = make(tmp_path / "a.zarr"), Path.replace

    def late(self: Path, target: Path) -> Path:
        if self.name.endswith(".partial"):
            monkeypatch.setattr(Path, "replace", real)
            old.release()
            make(tmp_path / "a.zarr", overwrite=True)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", late)
    with pytest.raises(StoreError, match="now belongs to another run"):
        stores.write_region(old, "density", FIRST, np.zeros((1, 2, 2)))
    assert np.isnan(stores.read_region(tmp_path / "a.zarr", "density")).all()


def test_a_store_that_was_removed_does_not_come_back(tmp_path: Path) -> None:
    claim = make(tmp_path / "a.zarr")
    remove(claim)
    with pytest.raises(StoreError):
        stores.write_region(claim, "density", FIRST, np.zeros((1, 2, 2)))
    assert not list(tmp_path.iterdir())


def test_who_has_no_claim_cannot_write_where_a_run_does(tmp_path: Path) -> None:
    claim = make(tmp_path / "a.zarr")
    with pytest.raises(StoreError, match="is being written by a run"):
        stores.write_region(tmp_path / "a.zarr", "density", FIRST, np.zeros((1, 2, 2)))
    claim.release()
    stores.write_region(tmp_path / "a.zarr", "density", FIRST, np.zeros((1, 2, 2)))


def test_a_claim_travels_and_is_the_path(tmp_path: Path) -> None:
    claim = make(tmp_path / "a.zarr")
    there = pickle.loads(pickle.dumps(claim))
    stores.write_region(there, "density", FIRST, np.ones((1, 2, 2)))
    assert Path(there) == tmp_path / "a.zarr" and str(there) == str(tmp_path / "a.zarr")


@pytest.mark.parametrize("how", ["overwrite", "take over"])
def test_a_living_owner_is_not_replaced(how: str, tmp_path: Path) -> None:
    make(tmp_path / "a.zarr")
    with pytest.raises(StoreError, match=rf"another run \(process {os.getpid()} on {socket.gethostname()}"):
        make(tmp_path / "a.zarr", overwrite=True) if how == "overwrite" else take_over(tmp_path / "a.zarr")


def test_of_many_that_begin_together_one_wins(tmp_path: Path) -> None:
    def one(_: int) -> Claim | StoreError:
        try:
            return make(tmp_path / "a.zarr")
        except StoreError as error:
            return error

    with ThreadPool(8) as pool:
        came = pool.map(one, range(8))
    (winner,) = (c for c in came if isinstance(c, Claim))
    assert winner.holds() and [p.name for p in tmp_path.iterdir()] == ["a.zarr"]
    assert all("\n" not in str(c) and "a.zarr" in str(c) for c in came)


def test_the_store_of_a_process_that_was_killed_can_be_gone_on_with(tmp_path: Path) -> None:
    code = (
        "import sys, time; from tests.io.test_ownership import make; from pathlib import Path;"
        "make(Path(sys.argv[1])); print('made', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "a.zarr")], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"made\n"
        with pytest.raises(StoreError, match=f"process {process.pid} on"):
            take_over(tmp_path / "a.zarr")
        process.kill()
    claim = take_over(tmp_path / "a.zarr")
    stores.write_region(claim, "density", FIRST, np.ones((1, 2, 2)))


def test_a_number_of_a_process_that_is_used_again_is_another_process(tmp_path: Path) -> None:
    claim = make(tmp_path / "a.zarr")
    rewrite(claim, started=1.0e9)
    assert take_over(tmp_path / "a.zarr").holds() and not claim.holds()


def test_an_owner_on_another_machine_lives_as_long_as_it_gives_signs(tmp_path: Path) -> None:
    claim = make(tmp_path / "a.zarr")
    rewrite(claim, machine="elsewhere", host="elsewhere", process=1)
    with pytest.raises(StoreError, match=rf"on elsewhere.*counts as dead {ownership.STALE:.0f} s after"):
        take_over(tmp_path / "a.zarr")
    long_ago = time.time() - ownership.STALE - 5
    os.utime(claim.file, (long_ago, long_ago))
    assert take_over(tmp_path / "a.zarr").holds()


def test_an_owner_gives_signs_of_life_until_it_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "BEAT", 0.05)
    monkeypatch.setattr(ownership, "_beating", ownership.threading.Lock())
    claim = make(tmp_path / "a.zarr")
    os.utime(claim.file, (1.0, 1.0))
    until = time.monotonic() + 20
    while claim.file.stat().st_mtime < 1e9 and time.monotonic() < until:
        time.sleep(0.02)
    assert claim.file.stat().st_mtime > 1e9
    stores.write_region(claim, "density", (), np.ones((4, 2, 2)))
    stores.finish(claim)
    assert not (tmp_path / "a.zarr" / WORK).exists() and claim not in ownership._held


@pytest.mark.parametrize("content", ["", "null", "[1]", '{"id": 3}', "\xff"])
def test_an_owner_file_that_nobody_wrote_blocks_nobody(content: str, tmp_path: Path) -> None:
    claim = make(tmp_path / "a.zarr")
    claim.file.write_text(content, encoding="latin-1")
    assert take_over(tmp_path / "a.zarr").holds()


@pytest.mark.parametrize("left", [[], ["density/c/0/0"], ["work", "run/block"]])
def test_what_is_left_of_a_store_can_be_replaced(left: list[str], tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    path.mkdir()
    for name in left:
        (path / name).mkdir(parents=True)
    assert make(path, overwrite=True).holds()


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    for name in ("density", "photographs"):
        (tmp_path / "a" / name).mkdir(parents=True)
    with pytest.raises(StoreError, match="not a zarr store"):
        make(tmp_path / "a", overwrite=True)
    assert (tmp_path / "a" / "photographs").is_dir() and not (tmp_path / "a" / WORK / OWNER).exists()
