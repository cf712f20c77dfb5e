"""The dashboard's page of blocks: every task of a run in the state it is in, from the first to the last."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from distributed import Client, Event

import maladist
from maladist.errors import BlockError
from maladist.parallel import waves
from maladist.parallel.dashboard import DashboardPlugin, Stage, rows
from maladist.testing import be_atoms, tiny_model


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as client:
        client.register_plugin(maladist.DashboardPlugin())
        yield client


def stages(client: Client) -> dict[str, Stage]:
    """What the scheduler's plugin has counted, by the name of the stage."""
    found = client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.plugins[DashboardPlugin.name].stages)
    return {stage.name: stage for stage in found.values()}


def hold(number: int) -> int:
    """The first tasks go through; the others stay until they may."""
    if number == 11:
        raise ZeroDivisionError
    assert number < 10 or Event("go on").wait(timeout=60)
    return number


def test_every_task_has_its_state_also_those_that_the_scheduler_does_not_know(client: Client) -> None:
    jobs = (waves.NamedJob(f"block{i}", i) for i in range(200))
    came: list[int] = []

    def finished(number: int) -> None:
        came.append(number)
        if len(came) == 10:
            told.update(stages(client)["hold"].states())
            Event("go on", client=client).set()

    told: dict[str, int] = {}
    with pytest.raises(BlockError, match="block11"):
        waves.in_order(client, hold, jobs, run_key="test", finished=finished, total=200)
    assert told["done"] == 10 and sum(told.values()) == 200
    assert told["running"] + told["failed"] >= 1 and told["waiting"] > 200 - 64
    assert stages(client)["hold"].states()["failed"] == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:broadening correction")
def test_a_prediction_ends_with_all_its_blocks_done_under_names_that_tell_what_they_are(client: Client) -> None:
    options = {"client": client, "grid": (9, 9, 12), "chunks": (5, 9, 12)}
    maladist.predict(be_atoms(), tiny_model(), forces=True, **options)
    found = {name: stage for name, stage in stages(client).items() if stage.run.startswith("maladist-")}
    assert {n: s.total for n, s in found.items()} == {n: s.states()["done"] for n, s in found.items()}
    assert found["compute-block"].total == found["differentiate-block"].total == 2
    assert {"mean-ldos", "density-blocks", "energy-terms", "u-whole"} < set(found)


def test_the_page_is_there_and_every_page_links_to_it(client: Client) -> None:
    # Of threads Dask's link names the machine, though the page is on loopback.
    port = urlsplit(client.dashboard_link).port
    for page in ("status", "blocks"):
        with urlopen(f"http://127.0.0.1:{port}/{page}", timeout=10) as answer:
            assert '<a href="blocks">Blocks</a>' in answer.read().decode()


def test_a_bar_is_as_long_as_its_share_of_the_tasks() -> None:
    run = Stage("compute-block", "maladist-0a1b2c3d", 8)
    run.known.update(done=4, running=2, waiting=1)
    columns = rows({"older": Stage("mean-ldos", "same", None), "newer": run})
    assert columns["label"] == ["compute-block  4 / 8", "mean-ldos  0 / 0"]
    assert [columns[f"share_{s}"][0] for s in ("done", "running", "waiting", "failed")] == [0.5, 0.25, 0.25, 0.0]
    json.dumps(columns)


def test_a_scheduler_without_a_dashboard_counts_too() -> None:
    options = {"dashboard_address": "127.0.0.1:0", "scheduler_kwargs": {"dashboard": False}}
    with Client(processes=False, n_workers=1, threads_per_worker=1, **options) as client:
        client.register_plugin(DashboardPlugin())
        assert waves.in_order(client, abs, [waves.NamedJob("one", -1)], run_key="one") == [1]
        assert stages(client)["abs"].states()["done"] == 1


def test_clusters_of_ours_have_the_page() -> None:
    description = {"kind": "local", "workers": 1, "processes": False}
    with maladist.cluster(description) as client:
        assert stages(client) == {}
