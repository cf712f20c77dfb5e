"""A store has one writer, however its runs begin and end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from distributed import Client

import maladist
from maladist import LDOSModel
from maladist.errors import OutputError, StoreError
from maladist.io import ownership, stores
from maladist.io.stores import WORK
from maladist.testing import Listener
from tests.conftest import Disk

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
CHUNKS = (4, 14, 20)


class At(Listener):
    """Does something once: whenever a task has ended, until it says that it is done."""

    def __init__(self, then: Callable[[], None]) -> None:
        super().__init__()
        self.then, self.done = then, False

    def advance(self, task: object) -> None:
        super().advance(task)
        if not self.done:
            self.done = True
            self.then()


@pytest.fixture
def run(atoms: Atoms, model: LDOSModel, client: Client, tmp_path: Path) -> Callable[..., maladist.Prediction]:
    def predicted(**more: object) -> maladist.Prediction:
        options = {"grid": (14, 14, 20), "chunks": CHUNKS, "store": tmp_path / "a.zarr", "client": client, **more}
        return maladist.predict(atoms, model, **options)  # type: ignore[arg-type]

    return predicted


def test_a_run_that_another_replaced_writes_nothing_into_its_store_and_says_so(
    run: Callable[..., maladist.Prediction], tmp_path: Path
) -> None:
    path, new = tmp_path / "a.zarr", []

    def replaced() -> None:
        """As by a run on another machine, to which this one has seemed dead."""
        owner = path / WORK / ownership.OWNER
        if not owner.exists():
            watcher.done = False
            return
        owner.unlink()  # a block that looks now finds none
        arrays = {"density": stores.field_template("density", (14, 14, 20), CHUNKS)}
        new.append(stores.create(path, arrays, {}, overwrite=True))

    watcher = At(replaced)
    with pytest.raises(StoreError, match=r"now belongs to another run|was removed or finished") as caught:
        run(observer=watcher)
    assert "\n" not in str(caught.value)
    assert np.isnan(stores.read_region(path, "density")).all() and new[0].holds()
    assert [p.name for p in (path / WORK).iterdir()] == [ownership.OWNER]


@pytest.mark.parametrize("how", ["overwrite", "resume", "anew"])
def test_a_second_run_is_refused_while_the_first_lives_and_the_first_ends_well(
    run: Callable[..., maladist.Prediction], tmp_path: Path, how: str
) -> None:
    said = []

    def second() -> None:
        if not (tmp_path / "a.zarr").exists():
            watcher.done = False
            return
        with pytest.raises(StoreError, match=r"is being written by another run \(process") as caught:
            run(**({} if how == "anew" else {how: True}))
        said.append(str(caught.value))

    watcher = At(second)
    found = run(observer=watcher)
    assert len(said) == 1 and "\n" not in said[0] and np.isfinite(found.density.values).all()
    assert not list(tmp_path.glob(".*"))


def test_a_run_that_failed_leaves_its_store_to_the_next(
    run: Callable[..., maladist.Prediction], tmp_path: Path
) -> None:
    def stop() -> None:
        if (tmp_path / "a.zarr").exists():
            raise KeyboardInterrupt
        watcher.done = False

    watcher = At(stop)
    with pytest.raises(KeyboardInterrupt):
        run(observer=watcher)
    assert not (tmp_path / "a.zarr" / WORK / ownership.OWNER).exists()
    assert np.isfinite(run(resume=True).density.values).all()


@pytest.mark.disks
@pytest.mark.parametrize("room", [4096, 150_000])
def test_a_run_that_found_no_room_says_so_and_goes_on_when_there_is_some(
    run: Callable[..., maladist.Prediction], disk: Disk, room: int, capfd: pytest.CaptureFixture[str]
) -> None:
    store = disk.path / "a.zarr"
    disk.leave(room)
    with pytest.raises(OutputError, match="No space left on device") as caught:
        run(store=store)
    assert "\n" not in str(caught.value) and "Traceback" not in capfd.readouterr().err
    disk.free()
    found = run(store=store, resume=True)
    assert np.array_equal(found.density.values, run().density.values)
