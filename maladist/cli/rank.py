"""The command `maladist rank`: parses, calls the function of the same name, writes and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

import maladist
from maladist.cli.console import TerminalObserver
from maladist.cli.options import LOCAL, NUMERICS, ClusterFlags, ModelHelp, NumericsFlags
from maladist.cli.output import Json, check_files, write_json
from maladist.cli.streams import out, say
from maladist.errors import InputError


def rank(
    model: Annotated[Path, ModelHelp],
    /,
    *frames: str,
    count: int,
    output: Annotated[Path, Parameter(help="File to make, in the format of its ending as ASE knows it: extxyz.")],
    points: int = 1000,
    seed: int = 0,
    how: NumericsFlags = NUMERICS,
    where: ClusterFlags = LOCAL,
    json: Json = None,
) -> None:
    """Choose the cells of a pool that a model knows least, for DFT: by novelty and spread, and diverse.

    Parameters
    ----------
    frames
        The pool: trajectories that ASE reads, FILE@::10 for some of their frames.
    count
        Number of cells to choose.
    points
        Points of each cell that are looked at.
    seed
        Seed of these points.
    """
    from maladist.io.structures import check_writable, read_frames, write_frames

    check_files(json=json)
    check_writable(output)
    if not frames:
        raise InputError("frames", "none", "a trajectory or several")
    pool = [(name, i, atoms) for name in frames for i, atoms in enumerate(read_frames(name))]
    with TerminalObserver() as observer:
        chosen = maladist.rank(
            model,
            [atoms for *_, atoms in pool],
            count,
            points=points,
            seed=seed,
            client=where.client,
            observer=observer,
            **how.numerics(),
        )
    write_frames([pool[one.frame][2] for one in chosen], output)
    table = Table(title=f"{count} of {len(pool)} cells", title_justify="left", box=None)
    for column in ("file", "frame", "score", "⟨ν⁴/(1+ν²)⟩", "largest novelty", "spread"):
        table.add_column(column, justify="left" if column == "file" else "right", no_wrap=True)
    values = []
    for one in chosen:
        name, number, _ = pool[one.frame]
        spread = "–" if one.spread is None else f"{one.spread:.3g}"
        table.add_row(name, str(number), f"{one.score:.2f}", f"{one.growth:.3g}", f"{one.largest_novelty:.2f}", spread)
        values.append({**one.to_dict(), "file": name, "frame": number})
    out.print(table)
    say(f"{count} configurations in {output}")
    write_json(json, values)
