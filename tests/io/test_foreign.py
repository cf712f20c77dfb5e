"""Readers of others: any exception is one line of ours, and what does not end is stopped."""

from __future__ import annotations

import signal
import time

import pytest

from maladist.errors import AtomsError, DataFileError, ModelError
from maladist.io.foreign import deadline, reason, refusing


@pytest.mark.parametrize(
    "problem", [KeyError("a"), StopIteration(), AssertionError(), SyntaxError("b\nc"), RecursionError()]
)
def test_any_exception_becomes_one_line_with_its_reason(problem: Exception) -> None:
    with (
        pytest.raises(DataFileError, match=rf"a\.xyz: cannot be read \({type(problem).__name__}") as caught,
        refusing("a.xyz", "a whole file"),
    ):
        raise problem
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is problem


def test_errors_of_ours_and_interruptions_go_through() -> None:
    with pytest.raises(ModelError, match="as it is"), refusing("a", "b", AtomsError):
        raise ModelError("model", "as it is", "so")
    with pytest.raises(KeyboardInterrupt), refusing("a", "b"):
        raise KeyboardInterrupt


def test_an_argument_is_named_before_the_file() -> None:
    with (
        pytest.raises(AtomsError, match=r"^atoms: a\.xyz cannot be read.*wanted c\. Do d$"),
        refusing("a.xyz", "c", AtomsError, "Do d", "atoms"),
    ):
        raise ValueError("b")


def test_reasons_are_short() -> None:
    assert reason(ValueError("x" * 1000)).startswith("ValueError: xxx")
    assert len(reason(ValueError("x" * 1000))) < 200
    assert reason(StopIteration()) == "StopIteration"


def test_a_deadline_ends_a_loop_and_gives_back_the_alarm_that_was_set() -> None:
    rang: list[int] = []
    previous = signal.signal(signal.SIGALRM, lambda *_: rang.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.6)
        began = time.monotonic()
        with pytest.raises(TimeoutError, match="no end after"), deadline(0.2):
            while True:
                pass
        assert time.monotonic() - began < 0.5
        with deadline(5):
            pass
        while not rang and time.monotonic() - began < 5:
            time.sleep(0.01)
        assert rang == [1]
        assert time.monotonic() - began >= 0.55  # not before its time
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
