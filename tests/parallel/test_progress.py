"""What observers are told: a task by what it tells itself, and by nothing where it has nothing to tell."""

from __future__ import annotations

import inspect

import pytest

from maladist.parallel.progress import Finished, Observer, Silent, advance
from maladist.testing import Listener


class Epoch(Finished):
    def line(self, *, bar: bool) -> str:
        return "epoch 3" if bar else "epoch 3 of 10"


def test_a_result_that_tells_of_itself_arrives_as_it_is() -> None:
    listener, epoch = Listener(), Epoch()
    advance(listener, epoch)
    assert listener.tasks == [epoch]


@pytest.mark.parametrize("result", [None, 7, {"a": 1}])
def test_any_other_result_counts_as_a_finished_task_without_a_word(result: object) -> None:
    listener = Listener()
    advance(listener, result)
    (task,) = listener.tasks
    assert type(task) is Finished
    assert (task.line(bar=True), task.line(bar=False), task.peak_memory_bytes) == ("", "", 0)


def test_the_silent_observer_has_all_that_an_observer_has_with_the_same_arguments() -> None:
    """A stage with another signature would fail in the middle of a run that nobody watches."""
    wanted = {name: inspect.signature(f) for name, f in vars(Observer).items() if not name.startswith("_")}
    assert set(wanted) == {"begin", "stage", "advance", "note"}
    for name, signature in wanted.items():
        for kind in (Silent, Listener):
            assert inspect.signature(getattr(kind, name)) == signature
