"""Charts of a run: lanes of a worker's threads, and stages in their order."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from maladist.report.charts import lanes, stages_axes, timeline_axes


def test_tasks_that_ran_at_one_time_are_in_different_lanes_and_no_more_than_there_were() -> None:
    random = np.random.default_rng(0)
    start = random.uniform(0, 10, 60)
    stop = start + random.uniform(0.1, 2, 60)
    lane = lanes(start, stop)
    for i in range(60):
        for j in range(i):
            if lane[i] == lane[j]:
                assert stop[i] <= start[j] or stop[j] <= start[i]
    at_once = max(int(((start <= t) & (t < stop)).sum()) for t in start)
    assert lane.max() + 1 == at_once


@pytest.mark.parametrize(
    ("start", "stop", "wanted"), [([], [], []), ([0, 1], [1, 2], [0, 0]), ([1, 0], [3, 2], [1, 0])]
)
def test_a_lane_is_free_as_soon_as_its_task_ends(start: list[int], stop: list[int], wanted: list[int]) -> None:
    assert lanes(start, stop).tolist() == wanted


def test_stages_are_in_the_order_of_a_run_without_the_wall_time() -> None:
    ax = Figure().subplots()
    stages_axes(ax, {"wall": 9.0, "energies": 1.0, "descriptors": 3.0, "mine": 0.5})
    assert [t.get_text() for t in ax.get_yticklabels()] == ["descriptors", "energies", "mine"]
    assert [p.get_width() for p in ax.patches] == [3.0, 1.0, 0.5]
    stages_axes(Figure().subplots(), {})  # a run that told nothing


def test_every_block_has_a_bar_in_a_row_of_its_worker() -> None:
    run = xr.Dataset(
        {n: ("task", v) for n, v in (("worker", [0, 0, 3]), ("start", [0.0, 0.5, 0]), ("stop", [1.0, 2, 1]))}
    )
    ax = Figure().subplots()
    timeline_axes(ax, run)
    (bars,) = ax.collections
    assert len(bars.get_paths()) == 3
    assert [t.get_text() for t in ax.get_yticklabels()] == ["0", "3"]
    np.testing.assert_allclose(bars.get_array(), [1.0, 1.5, 1.0])
