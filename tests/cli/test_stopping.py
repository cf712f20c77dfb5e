"""Ctrl-C and what is sent in its place: the status of a shell, what is kept, and handlers that come back."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path

import pytest

from maladist.cli.stopping import Stopped, stopped_by_signals, what_is_kept


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_command_as_ctrl_c_does_and_its_handler_comes_back(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(KeyboardInterrupt) as caught, stopped_by_signals():
            signal.raise_signal(number)
        assert signal.getsignal(number) is signal.SIG_DFL
        assert logging.root.manager.disable == logging.NOTSET  # silence ends with the command
    finally:
        signal.signal(number, before)
    said, status = what_is_kept(caught.value, "train")
    assert status == 128 + number
    assert said == f"stopped by {number.name}; finished epochs are kept: the same command with --resume continues"


def test_ctrl_c_silences_what_dask_says_of_a_call_that_it_cut_short() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt) as caught, stopped_by_signals():
            try:
                signal.raise_signal(signal.SIGINT)
            finally:
                assert not logging.getLogger("tornado.application").isEnabledFor(logging.ERROR)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert logging.root.manager.disable == logging.NOTSET
    finally:
        signal.signal(signal.SIGINT, before)
    assert what_is_kept(caught.value, "info") == ("stopped", 130)


def test_under_nohup_a_hangup_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopped_by_signals():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_in_another_thread_no_handler_is_set_and_none_is_missed() -> None:
    """Only the main thread may set one; a notebook calls commands from others."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            with stopped_by_signals():
                pass
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert not errors


def test_a_command_that_keeps_nothing_says_only_that_it_stopped() -> None:
    assert what_is_kept(KeyboardInterrupt(), "info") == ("stopped", 130)
    assert what_is_kept(Stopped(signal.SIGTERM), "info") == ("stopped by SIGTERM", 143)


def test_nothing_is_said_to_be_kept_of_what_was_not_begun(tmp_path: Path) -> None:
    store = tmp_path / "run.zarr"
    said, _ = what_is_kept(KeyboardInterrupt(), "predict", store)
    assert said == f"stopped; {store} was not begun yet: the same command begins it"
    store.mkdir()
    assert "finished blocks are kept" in what_is_kept(KeyboardInterrupt(), "predict", store)[0]
    assert ".md.traj" in what_is_kept(KeyboardInterrupt(), "sample", tmp_path / "frames.extxyz")[0]
