"""Dask's own report of a run: which task ran where and when, what the workers did meanwhile, profiles of their code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import distributed
from distributed import Client, get_client

from maladist.errors import InputError
from maladist.io.targets import check_file, whole

_OURS: Final = 3  # frames between Dask's and the caller's, whose code the report shows


@contextmanager
def performance_report(file: str | Path, client: Client | None = None) -> Iterator[None]:
    """Write Dask's performance report of what a client's cluster does within the context, as one HTML file.

    It holds its scripts itself and needs no network. Where the context is left by an error there is no report.

    Parameters
    ----------
    file
        HTML file to write, replaced if it exists.
    client
        Client of the cluster, which `predict` must be given too; by default Dask's current one.

    Raises
    ------
    InputError
        There is no client: what is computed in this process is nothing that Dask could report on.
    OutputError
        The file cannot be written.

    Examples
    --------
    >>> with maladist.cluster("local", workers=1) as client, maladist.performance_report("run.html", client):
    ...     result = maladist.predict(be, "be-1000K-2", client=client)
    """
    path = check_file(file, "performance_report")
    if client is None:
        try:
            client = get_client()
        except ValueError as error:
            wanted = "a client, whose cluster computes"
            raise InputError("client", "none", wanted, "Make one, and give it to predict too.") from error
    # Inline: by default the page asks a network for Bokeh's scripts.
    report = distributed.performance_report(mode="inline", stacklevel=_OURS)
    with client.as_current():
        report.__enter__()
    yield
    with client.as_current(), whole([path], "performance_report") as (beside,):
        report.filename = str(beside)
        report.__exit__(None, None, None)
