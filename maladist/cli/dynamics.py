"""Commands that move atoms: parse, call the function of the same name, print."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

import maladist
from maladist.cli.console import TerminalObserver
from maladist.cli.options import ModelFlags
from maladist.cli.output import Json, check_files, write_json
from maladist.cli.streams import say
from maladist.dynamics.settings import RELAX, MDSettings, RelaxSettings
from maladist.errors import DomainError


def md(
    atoms: str,
    /,
    *,
    output: Path,
    settings: Annotated[MDSettings, Parameter(name="*")],
    options: ModelFlags,
    json: Json = None,
) -> None:
    """Molecular dynamics of the ions on the total free energy A; the same command goes on with a run that ended.

    Parameters
    ----------
    atoms
        File that ASE reads, FILE@index for one frame of several (the last without an index).
    output
        Folder for trajectory.traj, steps.csv (energies, temperature, μ, novelty of every step) and run.json.
    """
    from maladist.io.structures import read_atoms

    check_files(json=json)
    start = read_atoms(atoms)
    from maladist.dynamics.folder import TRAJECTORY

    with TerminalObserver() as observer, _stopped(output, json):
        summary = maladist.md(
            start, options.model, output, settings, client=options.client, observer=observer, **options.options()
        )
    say(str(summary))
    say(f"trajectory: {output / TRAJECTORY}")
    write_json(json, summary.to_dict())


def relax(
    atoms: str,
    /,
    *,
    output: Path,
    settings: Annotated[RelaxSettings, Parameter(name="*")] = RELAX,
    options: ModelFlags,
    json: Json = None,
) -> None:
    """Move atoms, and their cell if asked for, to a minimum of A; the same command goes on with a run that ended.

    Parameters
    ----------
    atoms
        File that ASE reads, FILE@index for one frame of several (the last without an index).
    output
        Folder for relaxed.extxyz, trajectory.traj, steps.csv and run.json.
    """
    from maladist.io.structures import read_atoms

    check_files(json=json)
    start = read_atoms(atoms)
    from maladist.dynamics.relax import RELAXED

    with TerminalObserver() as observer:
        relaxed = maladist.relax(
            start, options.model, output, settings, client=options.client, observer=observer, **options.options()
        )
    say(str(relaxed))
    say(f"atoms: {output / RELAXED}")
    write_json(json, relaxed.to_dict())


@contextmanager
def _stopped(output: Path, json: Path | None) -> Iterator[None]:
    """Figures are written of an MD that left the model's training, too."""
    from maladist.dynamics.folder import TRAJECTORY
    from maladist.dynamics.summary import summarise

    try:
        yield
    except DomainError as stopped:
        if (output / TRAJECTORY).is_file():
            write_json(json, {**summarise(output).to_dict(), "stopped": str(stopped)})
        raise
