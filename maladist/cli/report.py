"""Commands that show a result and an installation: parse, call the function, print."""

from __future__ import annotations

from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from maladist.cli.streams import out, say


def report(store: Path, /, *, output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None) -> None:
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


def doctor(*, cluster: str | None = None, json: bool = False) -> None:
    """Say what this installation can do and what is missing: begin a question in an issue tracker with this.

    Exit status 1 where something is broken; what is merely absent is fine.

    Parameters
    ----------
    cluster
        local, a YAML file, a scheduler's address or its scheduler file: start or reach it and compute there.
    json
        Print JSON.
    """
    from maladist.doctor import diagnose

    findings = []
    for finding in diagnose(cluster):
        findings.append(finding)
        if not json:
            style = {"ok": "green", "absent": "dim", "broken": "bold red"}[finding.status]
            out.print(f"{finding.status:<7}", style=style, end="")
            out.print(f" {finding.name}: {finding.found}", highlight=False, markup=False, soft_wrap=True)
            out.print(f"        for: {finding.purpose}", style="dim", highlight=False, markup=False, soft_wrap=True)
    if json:
        print(dumps([asdict(f) for f in findings], indent=1))
    if any(f.status == "broken" for f in findings):
        raise SystemExit(1)
