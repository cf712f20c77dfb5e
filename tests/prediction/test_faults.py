"""Accidents of real machines in the pass over the blocks, on real processes: the numbers are right in the end, or an
error names what is kept. `test_faults_of_forces` has those of the second pass.

Every run here is held, bit by bit, against `straight`: the same blocks without an accident.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dask
import numpy as np
import psutil
import pytest
from ase import Atoms
from distributed import Client

import maladist
from maladist import Prediction
from maladist.cluster.local import RevivingCluster
from maladist.errors import BlockError, ClusterError, OutputError, StoreError
from maladist.io import stores
from maladist.io.model_file import save_model
from maladist.io.structures import read_atoms
from maladist.prediction.pilot import pilot_points
from maladist.prediction.setup import choose_grid
from maladist.testing import assert_identical, tiny_model, with_accident
from tests.conftest import Disk
from tests.prediction.faults import (
    BLOCKS,
    CUT,
    IMPATIENT,
    PRELOAD,
    Watch,
    cut,
    done,
    predict_command,
    separate_cluster,
    wait_for,
    worker_pids,
)

pytestmark = pytest.mark.filterwarnings("ignore:broadening correction")


@pytest.fixture(scope="module")
def atoms(structure: Path) -> Atoms:
    """The eight atoms."""
    return read_atoms(str(structure))


@pytest.fixture(scope="module")
def straight(atoms: Atoms, workers: Client) -> Prediction:
    """The run without an accident."""
    prediction = maladist.predict(atoms, tiny_model(), client=workers, **CUT)
    assert prediction.dataset.attrs["blocks"] == BLOCKS
    return prediction


@pytest.fixture(scope="module")
def quiet_point(atoms: Atoms) -> tuple[float, ...]:
    """A point of the grid that the pilot does not draw: an accident there happens to one block."""
    grid = choose_grid(atoms, tiny_model(), None)
    drawn, points = pilot_points(grid), grid.points()
    free = next(p for p in points[len(points) // 2 :] if np.abs(drawn - p).max(axis=1).min() > 1e-3)
    return tuple(map(float, free))


@contextmanager
def killer(client: Client, every: float, at_most: int) -> Iterator[list[int]]:
    """Kill -9 a random worker process every some seconds, from another thread.

    Not one that has only just begun: Dask's nanny does not restart a worker that dies before it has said that it runs.
    """
    killed: list[int] = []
    stop = threading.Event()

    def go() -> None:
        chance = random.Random(7)
        while not stop.wait(every if killed else 0.5) and len(killed) < at_most:
            with suppress(Exception):  # no worker answers just now
                old = [pid for pid in worker_pids(client) if time.time() - psutil.Process(pid).create_time() > 6]
                pid = chance.choice(old)
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield killed
    finally:
        stop.set()
        thread.join()


# -- workers ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seconds", "every", "at_most", "least"),
    [(0.6, 1.5, 2, 1), (3.0, 4.0, 99, 5)],
    ids=["quick", "long"],
)
def test_workers_killed_again_and_again(
    seconds: float, every: float, at_most: int, least: int, atoms: Atoms, straight: Prediction
) -> None:
    model = with_accident(tiny_model(), seconds=seconds)
    with maladist.cluster(PRELOAD, workers=2) as client:
        with killer(client, every, at_most) as killed:
            got = maladist.predict(atoms, model, client=client, **CUT)
        assert len(killed) >= least
    assert_identical(got, straight)


@pytest.mark.slow
def test_a_worker_that_runs_out_of_memory_once(
    atoms: Atoms, straight: Prediction, quiet_point: tuple[float, ...], tmp_path: Path
) -> None:
    once = tmp_path / "happened"
    model = with_accident(tiny_model(), at=quiet_point, accident="eat", gigabytes=1.5, once=str(once))
    with maladist.cluster({**PRELOAD, "memory_limit": "800MB"}, workers=2) as client:
        got = maladist.predict(atoms, model, client=client, **CUT)
    assert once.exists()
    assert_identical(got, straight)


@pytest.mark.slow
def test_a_block_that_no_worker_can_hold_ends_with_one_error_and_the_rest_kept(
    atoms: Atoms, quiet_point: tuple[float, ...], tmp_path: Path
) -> None:
    model = with_accident(tiny_model(), at=quiet_point, accident="eat", gigabytes=1.5)
    store = tmp_path / "run.zarr"
    few_deaths = {"distributed.scheduler.allowed-failures": 1}
    with maladist.cluster({**PRELOAD, "memory_limit": "800MB", "config": few_deaths}, workers=2) as client:
        named = r"block block\d+ failed: .*too little memory.* kept in .*--resume"
        with pytest.raises(BlockError, match=named):
            maladist.predict(atoms, model, client=client, **CUT, store=store)
    assert done(store) > BLOCKS // 2


def test_a_run_that_has_lost_all_workers_ends_after_a_while(
    atoms: Atoms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(RevivingCluster, "_look", lambda _: None)  # it would bring them back
    monkeypatch.setattr("maladist.parallel.watch.PATIENCE", 1.0)
    monkeypatch.setattr("maladist.parallel.watch._LOOK", 0.5)
    with maladist.cluster({"kind": "local", "processes": False}, workers=1) as client:
        watch = Watch(3, lambda: client.sync(client.cluster.workers[0].close))
        model = with_accident(tiny_model(), seconds=0.2)
        with pytest.raises(ClusterError, match=r"no worker since \d s.* of 32 blocks are kept .*--resume"):
            maladist.predict(atoms, model, client=client, **CUT, store=tmp_path / "run.zarr", observer=watch)
    said = [record.getMessage() for record in caplog.records if record.name == "maladist"]
    assert said == ["no worker; waiting up to 1 s for one"]


@pytest.mark.slow
def test_workers_that_join_and_leave(atoms: Atoms, straight: Prediction) -> None:
    model = with_accident(tiny_model(), seconds=0.6)
    seen: set[int] = set()
    with maladist.cluster({**PRELOAD, "adaptive": [0, 2]}) as client:
        watch = Watch(4, lambda: seen.add(len(client.nthreads())))
        got = maladist.predict(atoms, model, client=client, **CUT, observer=watch)
    assert seen and min(seen) >= 1
    assert_identical(got, straight)


@pytest.mark.slow
def test_a_worker_that_retires_before_its_limit_hands_its_blocks_on(
    atoms: Atoms, straight: Prediction, tmp_path: Path
) -> None:
    model = with_accident(tiny_model(), seconds=0.8)
    lifetime = ("--lifetime", "6s", "--lifetime-stagger", "1s")
    with separate_cluster(tmp_path / "it", *lifetime) as (_, file), maladist.cluster(file) as client:
        client.wait_for_workers(2, timeout=60)
        got = maladist.predict(atoms, model, client=client, **CUT)
        assert len(client.nthreads()) == 1
    assert_identical(got, straight)


# -- blocks ----------------------------------------------------------------------------------------------------------


def test_a_block_that_raises_is_named_and_the_run_continues_when_the_cause_is_gone(
    atoms: Atoms, workers: Client, straight: Prediction, quiet_point: tuple[float, ...], tmp_path: Path
) -> None:
    store, once = tmp_path / "run.zarr", tmp_path / "happened"
    model = with_accident(tiny_model(), seconds=0.02, at=quiet_point, once=str(once))
    with pytest.raises(
        BlockError, match=r"block block\d+ failed: ArithmeticError: made to fail here\. \d+ of 32 blocks"
    ):
        maladist.predict(atoms, model, client=workers, **CUT, store=store)
    kept = done(store)
    assert 0 < kept < BLOCKS
    watch = Watch()
    again = maladist.predict(atoms, model, client=workers, store=store, resume=True, **CUT, observer=watch)
    assert watch.earlier >= kept and len(watch.computed) == BLOCKS - watch.earlier
    assert_identical(again, straight)


# -- the client and the scheduler ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_killed_client_is_resumed_to_the_same_bits(
    structure: Path, workers: Client, straight: Prediction, tmp_path: Path
) -> None:
    store, model, yaml = tmp_path / "run.zarr", tmp_path / "slow.maladist", tmp_path / "local.yaml"
    save_model(with_accident(tiny_model(), seconds=0.6), model)
    yaml.write_text("kind: local\npreload: maladist.testing\nworkers: 2\n")
    command = predict_command(structure, model, store, "--cluster", str(yaml))
    client = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: done(store) >= 3)
        family = psutil.Process(client.pid).children(recursive=True)
    finally:
        client.kill()
        client.wait()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive, "workers outlive the client that started them"
    kept = done(store)
    assert kept < BLOCKS
    address = workers.scheduler.address
    again = subprocess.run(
        predict_command(structure, model, store, "--cluster", address, "--resume"), capture_output=True, text=True
    )
    assert again.returncode == 0, again.stderr
    assert f"blocks: {kept} of {BLOCKS} were done by an earlier run" in again.stderr
    assert_identical(Prediction.open(store), straight)


@pytest.mark.slow
def test_a_killed_scheduler_ends_the_run_with_one_error_and_another_one_resumes_it(
    atoms: Atoms, workers: Client, straight: Prediction, tmp_path: Path
) -> None:
    store, model = tmp_path / "run.zarr", with_accident(tiny_model(), seconds=0.3)
    said = r"scheduler at tcp.* went away .* \d+ of 32 blocks are kept .*--resume"
    first = separate_cluster(tmp_path / "first")
    with (
        dask.config.set(IMPATIENT),
        first as (scheduler, file),
        pytest.raises(ClusterError, match=said),
        maladist.cluster(file) as client,
    ):
        killed = Watch(5, scheduler.kill)
        maladist.predict(atoms, model, client=client, **CUT, store=store, observer=killed)
    kept = done(store)
    assert 5 <= kept < BLOCKS
    watch = Watch()
    again = maladist.predict(atoms, model, client=workers, store=store, resume=True, **CUT, observer=watch)
    assert len(watch.computed) == BLOCKS - kept
    assert_identical(again, straight)


# -- the store -------------------------------------------------------------------------------------------------------


@pytest.mark.disks
def test_a_full_disk_ends_the_run_with_one_error_and_room_continues_it(
    atoms: Atoms, workers: Client, straight: Prediction, disk: Disk
) -> None:
    store, model = disk.path / "run.zarr", with_accident(tiny_model(), seconds=0.02)
    full = Watch(4, lambda: disk.leave(0))
    with pytest.raises(OutputError, match=r"No space left on device.*blocks are kept in .*--resume"):
        maladist.predict(atoms, model, client=workers, **CUT, store=store, observer=full)
    time.sleep(0.5)  # the tasks that were running when the run ended
    kept = done(store)
    assert 0 < kept < BLOCKS
    disk.free()
    watch = Watch()
    again = maladist.predict(atoms, model, client=workers, store=store, resume=True, **CUT, observer=watch)
    assert len(watch.computed) <= BLOCKS - kept
    assert_identical(again, straight)


@pytest.mark.disks
def test_a_disk_that_is_full_from_the_start_is_named(atoms: Atoms, workers: Client, disk: Disk) -> None:
    disk.leave(4096)
    with pytest.raises(OutputError, match=r"cannot be written \(No space left on device\)"):
        maladist.predict(atoms, tiny_model(), client=workers, **CUT, store=disk.path / "run.zarr")


@pytest.fixture
def unfinished(atoms: Atoms, workers: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store whose blocks are all done, and nothing else."""

    def dies(*_: Any) -> None:
        raise RuntimeError("power cut")

    store = tmp_path / "run.zarr"
    with monkeypatch.context() as broken:
        broken.setattr("maladist.prediction.run.make_density", dies)
        with pytest.raises(RuntimeError, match="power cut"):
            maladist.predict(atoms, tiny_model(), client=workers, **CUT, store=store, keep=("ldos",))
    return store


def test_what_a_power_cut_left_half_written_is_computed_again(
    atoms: Atoms, workers: Client, straight: Prediction, unfinished: Path
) -> None:
    work = unfinished / "work"
    (work / "tally" / "c" / "2" / "0").unlink()
    cut(work / "tally" / "c" / "5" / "0")
    cut(chunk(work / "modes", 7))
    chunk(work / "modes", 11).unlink()
    os.truncate(chunk(work / "modes", 13), 0)
    cut(chunk(unfinished / "ldos", 30))
    watch = Watch()
    options = {"client": workers, "store": unfinished, "resume": True, "keep": ("ldos",), **CUT}
    again = maladist.predict(atoms, tiny_model(), observer=watch, **options)
    assert sorted(watch.computed) == [2, 5, 7, 11, 13, 30]
    assert "4 blocks of the earlier run cannot be read and are computed again" in watch.notes
    assert bool(np.isfinite(again.dataset["ldos"]).all())
    assert_identical(Prediction(again.dataset.drop_vars("ldos"), again.store), straight)


def chunk(array: Path, block: int) -> Path:
    """File of a block's chunk: 4 × 4 × 2 blocks."""
    return array / "c" / "/".join(map(str, np.unravel_index(block, (4, 4, 2)))) / "0"


@pytest.mark.parametrize("lost", ["work", "work/basis", "work/basis/c", "work/tally/zarr.json"])
def test_a_run_that_died_before_its_first_block_starts_again(
    lost: str, atoms: Atoms, workers: Client, unfinished: Path
) -> None:
    gone = unfinished / lost
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    watch = Watch()
    options = {"client": workers, "store": unfinished, **CUT, "keep": ("ldos",)}
    maladist.predict(atoms, tiny_model(), resume=True, observer=watch, **options)
    assert len(watch.computed) == BLOCKS


def test_a_store_whose_description_is_cut_off_is_refused_by_name(
    atoms: Atoms, workers: Client, unfinished: Path
) -> None:
    cut(unfinished / "zarr.json")
    with pytest.raises(StoreError, match=r"resume: .*run\.zarr: it cannot be read .*that a run left unfinished"):
        maladist.predict(atoms, tiny_model(), client=workers, store=unfinished, resume=True)
    assert stores.open_array(unfinished, "work/tally", "r").shape[0] == BLOCKS  # and left as it is
