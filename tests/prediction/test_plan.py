"""The plan: what it says is what happens, and what cannot fit is refused."""

from __future__ import annotations

import math

import pytest
from ase import Atoms
from distributed import Client

import maladist
from maladist import LDOSModel
from maladist.errors import BlockError, WorkerTooSmallError
from maladist.parallel.workers import Workers
from maladist.prediction.plan import largest_block, make_plan, task_bytes
from maladist.prediction.setup import setup
from maladist.testing import be_atoms, tiny_model

pytestmark = pytest.mark.filterwarnings("ignore:broadening correction")

SMALL = Workers(count=2, threads=2, memory=600 * 2**20, most_threads=1, gpu=False)


def test_a_smaller_worker_gets_smaller_blocks(atoms: Atoms) -> None:
    ready = setup(atoms, tiny_model(), grid=(80, 80, 80))
    large = make_plan(ready, Workers(2, 2, 4 * 2**30, 1, False))
    kept = setup(atoms, tiny_model(levels=400), grid=(80, 80, 80), keep=("ldos",))
    small = make_plan(kept, Workers(2, 2, 700 * 2**20, 1, False))
    assert math.prod(small.block_shape) < math.prod(large.block_shape)
    assert small.task_bytes <= small.room


def test_what_cannot_fit_is_refused_with_the_size_that_would(atoms: Atoms) -> None:
    ready = setup(atoms, tiny_model(levels=400), grid=(120, 120, 120), keep=("ldos",))
    with pytest.raises(WorkerTooSmallError, match=r"blocks of at most \d+ points") as caught:
        make_plan(ready, SMALL, chunks=(120, 120, 120))
    fits = int(str(caught.value).split("at most ")[1].split()[0])
    edge = int(fits ** (1 / 3))
    assert make_plan(ready, SMALL, chunks=(edge, edge, edge)).task_bytes <= SMALL.room(len(ready.blob.data))


def test_the_largest_block_is_the_largest() -> None:
    model = tiny_model()
    n = largest_block(200 * 2**20, setup(be_atoms(), model), 24)
    assert task_bytes(n, model, 24, (), 4) <= 200 * 2**20 < task_bytes(n + 1, model, 24, (), 4)


def test_a_refused_run_submits_nothing(atoms: Atoms, tmp_path: object) -> None:
    options = {"kind": "local", "memory_limit": "620MB"}
    with maladist.cluster(options, workers=1) as client, pytest.raises(WorkerTooSmallError, match="Use "):
        maladist.predict(
            atoms, tiny_model(levels=400), client=client, grid=(90, 90, 90), chunks=(90, 90, 90), keep=("ldos",)
        )


def test_arguments_of_a_block_are_a_few_kilobytes_however_large_the_cell() -> None:
    model = tiny_model()
    sizes = [
        make_plan(setup(be_atoms((n, n, n)), model), Workers(2, 2, None, 1, False), chunks=(12, 12, 12)).argument_bytes
        for n in (4, 8)
    ]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.2) and max(sizes) < 10_000


@pytest.mark.parametrize("workers", [1, 2, 64])
def test_no_worker_of_a_large_cell_waits_for_one_task_and_their_number_cuts_no_other_slabs(workers: int) -> None:
    ready = setup(be_atoms((10, 10, 10)), tiny_model(), grid=(135, 135, 224), forces=True)
    planned = make_plan(ready, Workers(workers, workers, 4 * 2**30, 1, False))
    assert planned.distributed_fields and planned.distributed_potential
    assert len(planned.blocks) >= 2 * workers
    # Sums over other slabs would have other bits.
    assert "by 8 slabs of x and 8 of y" in dict(planned.rows())["density's terms"]


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(60, 60, 60), (80, 80, 70)])
def test_the_forecast_of_memory_is_within_a_quarter_of_what_a_worker_takes(shape: tuple[int, int, int]) -> None:
    atoms, model = be_atoms(), tiny_model(twojmax=2, levels=200)
    with maladist.cluster("local", workers=1) as client:
        idle = client.submit(_settled_memory, pure=False).result()
        planned = maladist.plan(atoms, model, client=client, grid=shape, chunks=shape, keep=("ldos",), calibrate=False)
        # A small run first: what is loaded once is not a block's.
        maladist.predict(atoms, model, client=client, grid=(12, 12, 12), keep=("ldos",))
        idle = client.submit(_settled_memory, pure=False).result()
        run = maladist.predict(atoms, model, client=client, grid=shape, chunks=shape, keep=("ldos",))
    taken = run.dataset.attrs["peak_memory_bytes"] - idle
    assert taken > 300e6
    assert planned.task_bytes == pytest.approx(taken, rel=0.25)


def _settled_memory() -> int:
    from maladist.parallel.workers import peak_memory

    return peak_memory()


def test_a_calibrated_plan_tells_the_time(atoms: Atoms, model: LDOSModel, client: Client) -> None:
    planned = maladist.plan(atoms, model, client=client)
    assert planned.seconds is not None and 0 < planned.seconds < 60
    assert dict(planned.rows())["time of the blocks"].startswith("about")


def test_the_forecast_of_a_run_with_forces_has_their_pass(
    atoms: Atoms, model: LDOSModel, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each pass is given its own seconds here: real ones of so small a block are noise."""
    monkeypatch.setattr("maladist.prediction.plan.time_ldos", lambda *_: 1.0)
    plain = maladist.plan(atoms, model, client=client, chunks=(6, 7, 9)).seconds
    real = maladist.plan(atoms, model, client=client, chunks=(6, 7, 9), forces=True).seconds
    assert plain is not None and real is not None and real > plain
    monkeypatch.setattr("maladist.prediction.plan.time_derivatives", lambda *_: 3.0)
    assert maladist.plan(atoms, model, client=client, chunks=(6, 7, 9), stress=True).seconds == 4 * plain


def test_a_block_that_fails_in_the_calibration_is_named(atoms: Atoms, model: LDOSModel, client: Client) -> None:
    # A device by its name, which no machine has: only where the block is computed is that known.
    with pytest.raises(BlockError, match=r"block calibration0 failed: [A-Za-z]+Error"):
        maladist.plan(atoms, model, client=client, device="cuda:99")


def test_a_workers_peak_memory_is_its_own_and_not_that_of_who_started_it() -> None:
    ballast = bytearray(900 * 2**20)
    ballast[:: 2**12] = b"x" * len(ballast[:: 2**12])
    with maladist.cluster("local", workers=1) as client:
        assert client.submit(_settled_memory, pure=False).result() < 700 * 2**20
