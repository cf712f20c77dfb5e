"""Tasks in waves: results in the order of the jobs, threads, values that many tasks share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from distributed import Client, Event

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


def test_a_task_begins_with_torch_on_one_thread(client: Client) -> None:
    client.run(torch.set_num_threads, 2)
    assert list(waves.run(client, torch.get_num_threads, [waves.NamedJob("ask")], run_key="threads")) == [1]


def test_two_calls_of_one_name_do_not_share_results(client: Client) -> None:
    first, second = (waves.in_order(client, same, [waves.NamedJob("task", value)], run_key="same") for value in (1, 2))
    assert (first, second) == ([1], [2])


def test_what_is_shared_arrives_as_it_is(client: Client) -> None:
    value = waves.share(client, 7, run_key="shared")
    assert waves.in_order(client, same, [waves.NamedJob("task", value)], run_key="shared") == [7]
