"""Dask's performance report around a run: there when the run has ended well, and refused where Dask did nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client

from maladist import performance_report
from maladist.cluster import Later, client_or_local
from maladist.errors import InputError, OutputError


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as client:
        yield client


def test_the_report_has_the_tasks_and_its_scripts(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "run.html"
    with performance_report(file, client):
        client.submit(sum, [1, 2], key="a-task-of-the-run-7").result()
    text = file.read_text()
    assert "a-task-of-the-run" in text and "Dask Performance Report" in text
    assert "with performance_report(file, client):" in text  # the code that called
    assert 'src="https://cdn.bokeh' not in text and len(text) > 1_000_000  # its scripts are in it
    assert list(tmp_path.iterdir()) == [file]


def none(*_: object, **__: object) -> None:
    raise ValueError("no client")


def test_the_current_client_is_the_default_and_none_is_refused(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client.as_current(), performance_report(tmp_path / "run.html"):
        client.submit(int).result()
    assert (tmp_path / "run.html").is_file()
    monkeypatch.setattr(Client, "current", classmethod(none))
    with pytest.raises(InputError, match="client: none"), performance_report(tmp_path / "none.html"):
        pass


def test_an_error_goes_through_and_leaves_no_report(client: Client, tmp_path: Path) -> None:
    with pytest.raises(ArithmeticError), performance_report(tmp_path / "run.html", client):
        raise ArithmeticError
    with pytest.raises(OutputError, match="not a folder"), performance_report(tmp_path / "no" / "run.html", client):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_that_a_command_starts_is_reported_on(tmp_path: Path) -> None:
    description = {"kind": "local", "processes": False}
    with client_or_local(Later(description, 1, tmp_path / "run.html")) as client:
        client.submit(sum, [1, 2], key="a-task-of-the-run-8").result()
    assert "a-task-of-the-run" in (tmp_path / "run.html").read_text()
