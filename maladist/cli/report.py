"""The command `maladist report`: parses, calls the function of the same name, prints."""

from __future__ import annotations

from pathlib import Path

from maladist.cli.streams import say


def report(store: Path, other: Path | None = None, /, *, output: Path | None = None) -> None:
    """A result as one HTML file that needs no network, or two with what differs: D(ε), n(r), energies, who made it.

    Of two results it has both, with the differences B − A of energies, D(ε) and n(r).

    Parameters
    ----------
    store
        Finished zarr store of `predict` or `observe`.
    other
        A second store, B, beside the first, A: of the same elements in the same shares.
    output
        HTML file to write, replaced if it exists. Default: the store's name with .html, beside it; of two, both names.
    """
    from maladist.report.html import report as write

    path = write(store, output, other=other)
    say(f"report: {path}")
