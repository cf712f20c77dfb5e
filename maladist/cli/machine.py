"""Commands that look at a machine or hold a cluster on it: parse, call the function of the same name, print."""

from __future__ import annotations

from dataclasses import asdict
from json import dumps
from pathlib import Path

from maladist.cli.output import Json, check_files, write_json
from maladist.cli.streams import out, say


def bench(*, twojmax: list[int] | None = None, json: Json = None) -> None:
    """Time descriptors and network on this machine.

    Parameters
    ----------
    twojmax
        Sizes of the bispectrum; repeat for several. Default: 6, 8, 10 and 12.
    """
    from maladist.bench import measure, show

    check_files(json=json)
    figures = measure(tuple(twojmax or (6, 8, 10, 12)))
    show(figures, out)
    write_json(json, figures)


def hold_cluster(description: str, /, *, workers: int | None = None, scheduler_file: Path | None = None) -> None:
    """Hold a cluster open: many runs share its warm workers; `--cluster SCHEDULER_FILE` reaches it. Ctrl-C ends it.

    Parameters
    ----------
    description
        A YAML file, or local.
    workers
        Number of worker processes.
    scheduler_file
        File to write. Default: the description's name with .json.
    """
    from maladist.cluster import hold

    file = scheduler_file or Path(Path(description).name).with_suffix(".json")
    hold(description, file, workers=workers, say=say)


def doctor(*, cluster: str | None = None, json: bool = False) -> None:
    """Say what this installation can do, exit status 1 where something is broken: begin a question with this.

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
            say(f" {finding.name}: {finding.found}")
            say(f"        for: {finding.purpose}", style="dim")
    if json:
        print(dumps([asdict(f) for f in findings], indent=1))
    if any(f.status == "broken" for f in findings):
        raise SystemExit(1)
