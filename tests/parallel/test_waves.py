"""Tasks in waves: results in the order of the jobs, threads, values that many tasks share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from distributed import Client, Event

from maladist.errors import BlockError, OutputError
from maladist.parallel import waves


def same(value: int) -> int:
    return value


def last(value: int) -> int:
    """The first job's value, once the client has another's."""
    assert Event("another is there").wait(timeout=60)
    return value


def call(function: Callable[[int], int], value: int) -> int:
    return function(value)


def test_results_are_in_the_order_of_the_jobs_whoever_was_first(client: Client) -> None:
    jobs = [waves.NamedJob(f"task{i}", same if i else last, i) for i in range(8)]
    came: list[int] = []

    def finished(value: int) -> None:
        came.append(value)
        Event("another is there", client=client).set()

    assert waves.in_order(client, call, jobs, run_key="order", finished=finished) == list(range(8))
    assert sorted(came) == list(range(8)) and came[0] != 0


def test_tasks_go_into_the_scheduler_together(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """One at a time they cost it, and the client, twice as much and more."""
    sizes: list[int] = []
    real = client.map
    monkeypatch.setattr(client, "map", lambda call, some, **how: sizes.append(len(some)) or real(call, some, **how))
    assert waves.in_order(client, same, [waves.NamedJob(f"t{i}", i) for i in range(100)], run_key="x") == list(
        range(100)
    )
    assert sizes == [waves.TOGETHER] * 3 + [4]


def test_a_task_begins_with_torch_on_one_thread(client: Client) -> None:
    client.run(torch.set_num_threads, 2)
    assert list(waves.run(client, torch.get_num_threads, [waves.NamedJob("ask")], run_key="threads")) == [1]


def test_two_calls_of_one_name_do_not_share_results(client: Client) -> None:
    first, second = (waves.in_order(client, same, [waves.NamedJob("task", value)], run_key="same") for value in (1, 2))
    assert (first, second) == ([1], [2])


def test_the_dashboard_tells_tasks_apart_by_their_function(client: Client) -> None:
    for function in (same, partial(call, same)):
        waves.in_order(client, function, [waves.NamedJob("task1", 7)], run_key="maladist-0a1b2c3d")
    names = client.run_on_scheduler(lambda dask_scheduler: set(dask_scheduler.task_prefixes))
    assert {"same", "call"} <= names


def test_what_is_shared_arrives_as_it_is(client: Client) -> None:
    value = waves.share(client, 7, run_key="shared")
    assert waves.in_order(client, same, [waves.NamedJob("task", value)], run_key="shared") == [7]


def refuse(error: Exception) -> None:
    assert Event("another runs").wait(timeout=60)
    raise error


def test_a_full_disk_is_told_as_such_and_another_error_of_the_system_as_the_blocks(client: Client) -> None:
    Event("another runs", client=client).set()
    with pytest.raises(OutputError, match="no room"):
        waves.in_order(client, call, [waves.NamedJob("a", refuse, OutputError("o", "no room", "some"))], run_key="full")
    with pytest.raises(BlockError, match="block a failed: FileNotFoundError"):
        waves.in_order(client, call, [waves.NamedJob("a", refuse, FileNotFoundError(2, "gone"))], run_key="gone")
    with pytest.raises(BlockError, match="block a failed: ZeroDivisionError"):
        waves.in_order(client, call, [waves.NamedJob("a", refuse, ZeroDivisionError("ours"))], run_key="bug")
