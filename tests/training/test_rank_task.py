"""A rank on its worker: where it listens, and how it is told to stop; what ranks do together is in test_ranks.py."""

from __future__ import annotations

import threading

import psutil
import pytest

from maladist.training import rank_task
from maladist.training.rank_task import interface_of, open_store, port, stop


def test_the_store_listens_on_the_address_that_it_is_given_alone() -> None:
    store = open_store("127.0.0.1", 5.0)
    there = [c.laddr for c in psutil.Process().net_connections() if c.status == psutil.CONN_LISTEN]
    assert {place.ip for place in there if place.port == port(store)} == {"127.0.0.1"}


def test_the_interface_of_an_address_of_this_machine_is_named_and_of_no_other() -> None:
    name = interface_of("127.0.0.1")
    assert name in psutil.net_if_addrs()
    assert interface_of("192.0.2.1") is None  # of documentation, nobody's


def test_a_rank_that_runs_is_told_to_stop_and_one_that_has_ended_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    told = threading.Event()
    monkeypatch.setitem(rank_task._stops, "job", told)
    stop("another")
    assert not told.is_set()
    stop("job")
    assert told.is_set()
