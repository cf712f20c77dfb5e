"""Errors: one line, and whole on the other side of a pickle, by which they come from workers."""

from __future__ import annotations

import inspect
import pickle

import pytest

from maladist import errors
from maladist.errors import BlockError, InputError, RankError

INPUT = [e for _, e in inspect.getmembers(errors, inspect.isclass) if issubclass(e, InputError)]


@pytest.mark.parametrize("kind", INPUT, ids=lambda e: e.__name__)
def test_an_input_error_is_a_line_and_survives_a_pickle(kind: type[InputError]) -> None:
    error = kind("grid", "two numbers", "three", "Give three.")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind and vars(again) == vars(error)
    assert str(again) == "grid: two numbers; wanted three. Give three."
    assert str(kind("grid", "two numbers", "three")) == "grid: two numbers; wanted three."
    assert isinstance(error, ValueError)  # as any library's caller expects of bad input


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (BlockError("b7", "no memory", "3 are kept"), "block b7 failed: no memory. 3 are kept"),
        (BlockError("b7", "no memory"), "block b7 failed: no memory"),
        (RankError(1, 4, "tcp://a", "died", "kept"), "rank 1 of 4 on tcp://a failed: died. kept"),
    ],
)
def test_a_failure_on_a_worker_keeps_its_parts(error: BlockError, line: str) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == line
    assert vars(again) == vars(error)
