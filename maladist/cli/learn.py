"""The command `maladist learn`: parses, calls the function of the same name, prints."""

from __future__ import annotations

from pathlib import Path

import maladist
from maladist.cli.console import TerminalObserver
from maladist.cli.options import LOCAL, ClusterFlags
from maladist.cli.streams import say


def learn(
    config: Path,
    /,
    *,
    output: Path | None = None,
    where: ClusterFlags = LOCAL,
) -> None:
    """Let a model's own MD find cells that it knows least, calculate and learn them, again and again, to a bound.

    The same command goes on with a run that ended, killed or finished, also with more rounds or other bounds.

    Parameters
    ----------
    config
        YAML file: model, atoms, md, count, dft, train, held_out, bounds, rounds; see maladist.LearnConfig.
    output
        Folder for the rounds and the data set of their cells. Default: the file's name without its ending.
    """
    from maladist.io.yaml import read_yaml

    read_yaml(config)  # before what takes seconds to import: a name or a line may be mistyped
    checked = maladist.LearnConfig.read(config)
    folder = Path(config.stem) if output is None else output
    with TerminalObserver() as observer:
        rounds = maladist.learn(checked, folder, client=where.client, observer=observer)
    for one in rounds:
        say(str(one))
    kept = "the bounds are kept" if rounds[-1].within(checked.bounds) else f"{checked.rounds} rounds are done"
    say(f"{kept}: {rounds[-1].model}")
