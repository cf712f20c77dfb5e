"""Accidents in the second pass, that of the forces, on real processes: the numbers are right in the end, or an error
names what is kept.

Every run here is held, bit by bit, against `straight`: the same blocks without an accident.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import dask
import numpy as np
import pytest
from ase import Atoms
from distributed import Client

import maladist
from maladist import LDOSModel, Prediction
from maladist.errors import BlockError, ClusterError, OutputError
from maladist.io import stores
from maladist.io.model_file import save_model
from maladist.io.structures import read_atoms
from maladist.prediction import forces as stages
from maladist.prediction.record import DERIVATIVES, POTENTIAL
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

FORCES = {**CUT, "forces": True, "stress": True}
PASS = "forces"  # as observers hear of the second pass


@pytest.fixture(scope="module")
def atoms(structure: Path) -> Atoms:
    """The eight atoms."""
    return read_atoms(str(structure))


@pytest.fixture(scope="module")
def straight(atoms: Atoms, workers: Client) -> Prediction:
    """The run without an accident."""
    prediction = maladist.predict(atoms, tiny_model(), client=workers, **FORCES)
    assert prediction.forces is not None and np.abs(prediction.forces).max() > 0.1
    return prediction


def slow(seconds: float) -> LDOSModel:
    """The model, with seconds for each thousand points of the second pass."""
    return with_accident(tiny_model(), seconds=seconds, backwards=True)


def go_on(atoms: Atoms, model: LDOSModel, store: Path, client: Client) -> tuple[Prediction, Watch]:
    """Resume a run that stopped in the second pass; the first is not made again."""
    watch = Watch(stage=PASS)
    again = maladist.predict(atoms, model, client=client, store=store, resume=True, **FORCES, observer=watch)
    assert watch.done_before["blocks"] == BLOCKS
    assert len(watch.computed) == BLOCKS - watch.earlier
    return again, watch


# -- workers ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_of_the_pass(atoms: Atoms, straight: Prediction) -> None:
    with maladist.cluster(PRELOAD, workers=2) as client:
        killed: list[int] = []

        def kill() -> None:
            killed.append(worker_pids(client)[0])
            os.kill(killed[0], signal.SIGKILL)

        watch = Watch(3, kill, stage=PASS)
        got = maladist.predict(atoms, slow(0.1), client=client, **FORCES, observer=watch)
        assert killed and killed[0] not in worker_pids(client)
    assert_identical(got, straight)


@pytest.mark.slow
def test_a_worker_that_runs_out_of_memory_once(atoms: Atoms, straight: Prediction, tmp_path: Path) -> None:
    once = tmp_path / "happened"
    accident = {"at": (0.0, 0.0, 0.0), "accident": "eat", "gigabytes": 1.5, "once": str(once), "backwards": True}
    with maladist.cluster({**PRELOAD, "memory_limit": "1GB"}, workers=2) as client:
        got = maladist.predict(atoms, with_accident(tiny_model(), **accident), client=client, **FORCES)
    assert once.exists()
    assert_identical(got, straight)


# -- blocks ----------------------------------------------------------------------------------------------------------


def test_a_block_that_fails_is_named_and_the_run_continues_when_the_cause_is_gone(
    atoms: Atoms, workers: Client, straight: Prediction, tmp_path: Path
) -> None:
    store, middle = tmp_path / "run.zarr", tuple(map(float, straight.grid.points()[straight.grid.n_points // 2]))
    accident = {"seconds": 0.02, "at": middle, "once": str(tmp_path / "happened"), "backwards": True}
    model = with_accident(tiny_model(), **accident)
    told = r"block block\d+ failed: ArithmeticError: made to fail here\. 32 of 32 blocks, and forces of \d+, are kept"
    with pytest.raises(BlockError, match=told):
        maladist.predict(atoms, model, client=workers, **FORCES, store=store)
    kept = done(store, DERIVATIVES)
    assert 0 < kept < BLOCKS
    again, watch = go_on(atoms, model, store, workers)
    assert watch.earlier >= kept
    assert_identical(again, straight)


# -- the client and the scheduler ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_killed_client_is_resumed_to_the_same_bits(
    structure: Path, workers: Client, straight: Prediction, tmp_path: Path
) -> None:
    store, model = tmp_path / "run.zarr", tmp_path / "slow.maladist"
    save_model(slow(0.2), model)
    command = predict_command(structure, model, store, "--forces", "--stress", "--cluster", workers.scheduler.address)
    client = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: done(store, DERIVATIVES) >= 3)
    finally:
        client.kill()
        client.wait()
    kept = done(store, DERIVATIVES)
    again = subprocess.run([*command, "--resume"], capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    # Tasks that ran when the client died go on to their end, and may have written theirs meanwhile.
    told = re.search(rf"forces: (\d+) of {BLOCKS} were done by an earlier run", again.stderr)
    assert told and kept <= int(told[1]) < BLOCKS
    assert_identical(Prediction.open(store), straight)


@pytest.mark.slow
def test_a_killed_scheduler_ends_the_run_with_one_error_and_another_one_resumes_it(
    atoms: Atoms, workers: Client, straight: Prediction, tmp_path: Path
) -> None:
    store, model = tmp_path / "run.zarr", slow(0.3)
    said = r"scheduler at tcp.* went away .* 32 of 32 blocks, and forces of \d+, are kept .*--resume"
    first = separate_cluster(tmp_path / "first")
    with (
        dask.config.set(IMPATIENT),
        first as (scheduler, file),
        pytest.raises(ClusterError, match=said),
        maladist.cluster(file) as client,
    ):
        killed = Watch(5, scheduler.kill, stage=PASS)
        maladist.predict(atoms, model, client=client, **FORCES, store=store, observer=killed)
    kept = done(store, DERIVATIVES)
    assert 5 <= kept < BLOCKS
    again, watch = go_on(atoms, model, store, workers)
    assert watch.earlier == kept
    assert_identical(again, straight)


# -- the store -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.disks
def test_a_full_disk_ends_the_run_with_one_error_and_room_continues_it(
    atoms: Atoms, workers: Client, straight: Prediction, disk: Disk
) -> None:
    store, model = disk.path / "run.zarr", slow(0.02)
    full = Watch(4, lambda: disk.leave(0), stage=PASS)
    told = r"No space left on device.* 32 of 32 blocks, and forces of \d+, are kept in .*--resume"
    with pytest.raises(OutputError, match=told):
        maladist.predict(atoms, model, client=workers, **FORCES, store=store, observer=full)
    disk.free()
    again, watch = go_on(atoms, model, store, workers)
    assert watch.earlier >= 4
    assert_identical(again, straight)


@pytest.fixture
def unfinished(atoms: Atoms, workers: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store whose blocks are all done in both passes, and nothing else."""

    def dies(*_: object) -> None:
        raise RuntimeError("power cut")

    store = tmp_path / "run.zarr"
    with monkeypatch.context() as broken:
        broken.setattr(stages, "add_row", dies)
        with pytest.raises(RuntimeError, match="power cut"):
            maladist.predict(atoms, tiny_model(), client=workers, **FORCES, store=store)
    assert done(store, DERIVATIVES) == BLOCKS
    return store


def test_rows_that_a_power_cut_left_half_written_are_computed_again(
    atoms: Atoms, workers: Client, straight: Prediction, unfinished: Path
) -> None:
    rows = unfinished / DERIVATIVES / "c"
    (rows / "2" / "0").unlink()
    cut(rows / "5" / "0")
    os.truncate(rows / "7" / "0", 0)
    stores.open_array(unfinished, DERIVATIVES)[11, 3] = np.nan
    again, watch = go_on(atoms, tiny_model(), unfinished, workers)
    assert sorted(watch.computed) == [2, 5, 7, 11]
    assert_identical(again, straight)


@pytest.mark.parametrize("lost", [DERIVATIVES, f"{DERIVATIVES}/zarr.json", POTENTIAL, f"{POTENTIAL}/zarr.json"])
def test_a_record_or_a_potential_that_is_lost_is_made_again(
    lost: str, atoms: Atoms, workers: Client, straight: Prediction, unfinished: Path
) -> None:
    gone = unfinished / lost
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    again, watch = go_on(atoms, tiny_model(), unfinished, workers)
    # The potential is made anew by every run, from the density; the rows that used it stand.
    assert watch.earlier == (BLOCKS if lost.startswith(POTENTIAL) else 0)
    assert_identical(again, straight)


def test_a_record_whose_description_is_cut_off_is_made_again(
    atoms: Atoms, workers: Client, straight: Prediction, unfinished: Path
) -> None:
    cut(unfinished / DERIVATIVES / "zarr.json")
    again, watch = go_on(atoms, tiny_model(), unfinished, workers)
    assert watch.earlier == 0
    assert_identical(again, straight)
