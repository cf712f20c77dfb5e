"""Work in this process in place of a cluster: the answers, errors and endings of `waves`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from maladist.errors import BlockError, OutputError, StoreError
from maladist.numerics import cores
from maladist.parallel import waves
from maladist.parallel.here import InProcess
from maladist.parallel.waves import NamedJob
from maladist.parallel.workers import Workers


@pytest.fixture
def here() -> Iterator[InProcess]:
    with InProcess() as place:
        yield place


def jobs(*arguments: object) -> list[NamedJob]:
    return [NamedJob(f"job{i}", a) for i, a in enumerate(arguments)]


def test_results_come_in_the_order_of_the_jobs_whoever_was_first(here: InProcess) -> None:
    def late(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    told: list[float] = []
    seconds = [0.05, 0.0, 0.02, 0.01]
    assert waves.in_order(here, late, jobs(*seconds), run_key="t", finished=told.append) == seconds
    assert sorted(told) == sorted(seconds)


def test_jobs_are_made_as_they_are_wanted_and_not_all_at_once(here: InProcess) -> None:
    made = 0

    def endless() -> Iterator[NamedJob]:
        nonlocal made
        while True:
            made += 1
            yield NamedJob(f"job{made}", made)

    results = waves.run(here, lambda n: n, endless(), run_key="t")
    next(results)
    assert made <= 2 * here.threads + 1
    results.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("error", "seen", "says"),
    [
        (ArithmeticError("no such number"), BlockError, "job1.*ArithmeticError: no such number"),
        (StoreError("store", "lost", "whole"), StoreError, "lost"),
        (OutputError("output", "a full disk", "room"), OutputError, "a full disk"),
    ],
)
def test_a_task_that_fails_ends_the_run_with_its_name_when_the_others_have_come_to_their_end(
    here: InProcess, error: Exception, seen: type[Exception], says: str
) -> None:
    running, ended = threading.Event(), threading.Event()
    if here.threads == 1:  # then nothing runs beside it
        running.set()

    def task(number: int) -> None:
        if number == 1:
            running.wait(10)
            raise error
        running.set()
        time.sleep(0.1)
        ended.set()

    with pytest.raises(seen, match=says) as caught:
        waves.in_order(here, task, jobs(0, 1, *range(2, 50)), run_key="t")
    assert ended.is_set()  # whoever cleans up after it is alone with the files
    assert seen is not BlockError or caught.value.__cause__ is error


def test_a_task_has_one_thread_and_the_caller_keeps_its_own(here: InProcess) -> None:
    before, blas = torch.get_num_threads(), [p["num_threads"] for p in threadpool_info()]

    def threads(_: int) -> tuple[int, int]:
        in_blas = [p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"]
        return torch.get_num_threads(), max(in_blas)

    torch.set_num_threads(3)
    try:
        assert waves.in_order(here, threads, jobs(0, 1), run_key="t") == [(1, 1), (1, 1)]
        assert torch.get_num_threads() == 3
        other: list[int] = []
        thread = threading.Thread(target=lambda: other.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert other == [3]  # and threads of the caller's that begin later have as many
    finally:
        torch.set_num_threads(before)
    assert [p["num_threads"] for p in threadpool_info()] == blas


def test_runs_of_two_threads_leave_blas_its_threads_whoever_ends_first() -> None:
    def numbers() -> list[int]:
        return [p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"]

    with threadpool_limits(2, user_api="blas"), InProcess() as one, InProcess() as other:
        before = numbers()  # 2, but for a library that was built for one thread
        first, second = (waves.run(here, abs, jobs(1, 2), run_key="test") for here in (one, other))
        next(first), next(second)
        assert set(numbers()) == {1}
        first.close()
        assert set(numbers()) == {1}  # the second is still at work
        second.close()
        assert numbers() == before and 2 in before


def test_a_plan_sees_this_process_as_threads_without_workers(here: InProcess) -> None:
    workers = Workers.of(here)
    assert (workers.count, workers.threads, workers.most_threads) == (0, cores(), cores())
    assert workers.memory is not None and workers.room(0) > 0
