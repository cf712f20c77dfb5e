"""Where a run computes that was given no client, and that it changes no bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from distributed import Client, LocalCluster

import maladist
from maladist import LDOSModel
from maladist.errors import BlockError
from maladist.numerics import cores
from maladist.parallel.here import InProcess
from maladist.prediction import place
from maladist.prediction.options import Options
from maladist.prediction.pilot import pilot_points
from maladist.prediction.setup import setup
from maladist.testing import Listener, assert_identical, with_accident, with_density_channel

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.mark.parametrize("channel", [False, True])
def test_a_small_cell_in_this_process_has_the_bits_of_a_cluster(
    atoms: Atoms, model: LDOSModel, client: Client, channel: bool
) -> None:
    known = with_density_channel(model) if channel else model
    options: Options = {"grid": (12, 12, 16), "temperature": (1000.0, 2000.0), "chunks": (5, 6, 8)}
    options |= {"forces": True, "stress": True, "keep": ("ldos",)}
    watch = Listener()
    here = maladist.predict(atoms, known, observer=watch, **options)
    there = maladist.predict(atoms, known, client=client, **options)
    assert watch.work[0].endswith("on 1 workers")
    assert_identical(here, there)
    assert here.dataset.attrs["workers"] == 1 and not np.isnan(here.dataset["forces"]).any()


def test_blocks_of_a_small_cell_are_those_of_a_local_cluster(atoms: Atoms, model: LDOSModel) -> None:
    ready = setup(atoms, model)
    small = place.is_small(ready)
    with place.client_or_here(None, small) as here, maladist.cluster("local", workers=cores()) as client:
        assert isinstance(here, InProcess)
        plans = [maladist.plan(atoms, model, client=where, calibrate=False) for where in (None, client)]
    assert plans[0].block_shape == plans[1].block_shape
    assert (plans[0].n_workers, plans[0].n_threads) == (0, cores())
    assert "none: this process" in repr(plans[0])


def test_a_large_cell_and_a_library_with_a_state_of_its_own_take_a_cluster(
    atoms: Atoms, model: LDOSModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = setup(atoms, model, grid=(8, 8, 8))
    assert place.is_small(ready)
    assert not place.is_small(setup(atoms, model, grid=(8, 8, 8), backend="lammps"))
    monkeypatch.setattr(place, "SMALL_POINTS", 8**3 - 1)
    assert not place.is_small(ready)


def test_a_run_in_this_process_that_failed_is_gone_on_with_from_its_blocks(
    atoms: Atoms, model: LDOSModel, tmp_path: Path
) -> None:
    options: Options = {"grid": (16, 16, 20), "chunks": (8, 8, 10)}
    grid = setup(atoms, model, **options).system.grid
    # A point of the last block that the pilot does not meet.
    points, met = grid.points(grid.blocks((8, 8, 10))[7]), pilot_points(grid)
    apart = np.abs(points[:, None] - met).max(axis=2).min(axis=1)
    faulty = with_accident(model, at=tuple(points[apart.argmax()].tolist()), once=str(tmp_path / "happened"))
    store = tmp_path / "a.zarr"
    with pytest.raises(BlockError, match=r"block7.*made to fail here.*blocks are kept in .*a.zarr"):
        maladist.predict(atoms, faulty, store=store, **options)
    watch = Listener()
    again = maladist.predict(atoms, faulty, store=store, resume=True, observer=watch, **options)
    (done,) = [done for name, _, done in watch.stages if name == "blocks"]
    assert done >= 1
    assert_identical(again, maladist.predict(atoms, faulty, **options))


# -- clients of the user's own ---------------------------------------------------------------------------------------

CUT: Options = {"grid": (12, 12, 16), "chunks": (5, 6, 8)}


def test_a_client_of_threads_in_this_process_will_do(atoms: Atoms, model: LDOSModel) -> None:
    with Client(processes=False, n_workers=2, threads_per_worker=2, dashboard_address="127.0.0.1:0") as client:
        there = maladist.predict(atoms, model, client=client, forces=True, **CUT)
    assert_identical(there, maladist.predict(atoms, model, forces=True, **CUT))


@pytest.mark.parametrize("processes", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_an_adaptive_cluster_that_begins_without_workers_will_do(
    atoms: Atoms, model: LDOSModel, processes: bool
) -> None:
    options = {"dashboard_address": "127.0.0.1:0", "worker_dashboard_address": "127.0.0.1:0"}
    with LocalCluster(n_workers=0, threads_per_worker=1, processes=processes, **options) as cluster:
        cluster.adapt(minimum=0, maximum=2, interval="100ms")
        with Client(cluster) as client:
            assert not client.nthreads()
            there = maladist.predict(atoms, model, client=client, **CUT)
            assert maladist.plan(atoms, model, client=client, **CUT).n_workers >= 1
    assert there.dataset.attrs["workers"] >= 1
    assert_identical(there, maladist.predict(atoms, model, **CUT))
