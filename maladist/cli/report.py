"""The command `maladist report`: parses, calls the function of the same name, prints."""

from __future__ import annotations

from pathlib import Path

from maladist.cli.streams import say


def report(store: Path, /, *, output: Path | None = None) -> None:
    """Write a result as one HTML file that needs no network: D(ε), n(r), energies, how the run went, who made it.

    Parameters
    ----------
    store
        Finished zarr store of `predict` or `observe`.
    output
        HTML file to write, replaced if it exists. Default: the store's name with .html, beside it.
    """
    from maladist.report.html import report as write

    path = write(store, output)
    say(f"report: {path}")
