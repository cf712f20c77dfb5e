"""The command `maladist structure`: parses, calls the function of the same name, prints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.table import Table

import maladist
from maladist.cli.output import Json, check_files, write_json
from maladist.cli.streams import out


def structure(
    frames: str,
    /,
    *,
    cutoff: float = 6.0,
    width: float = 0.05,
    largest_q: float = 10.0,
    q_width: float = 0.05,
    triplets: float | None = None,
    triplet_width: float = 0.2,
    json: Json = None,
    plot: Path | None = None,
) -> None:
    """Radial distribution functions g(r) and static structure factor S(q) of atoms, over frames.

    Parameters
    ----------
    frames
        File of atoms that ASE reads, FILE@: or FILE@0:100:10 for many frames of the same atoms.
    cutoff
        Largest distance r, Å.
    width
        Width of the bins of r, Å.
    largest_q
        Largest wave number, 1/Å.
    q_width
        Width of the shells of q, 1/Å.
    triplets
        Longest side of triangles of atoms, Å: their distribution g₃ too.
    triplet_width
        Width of the bins of the triangles' sides, Å.
    plot
        Draw both into this picture.
    """
    from maladist.io.structures import read_frames

    check_files(json=json, plot=plot)
    found = maladist.structure(
        read_frames(frames),
        cutoff=cutoff,
        width=width,
        largest_q=largest_q,
        q_width=q_width,
        triplets=triplets,
        triplet_width=triplet_width,
    )
    table = Table(
        title=f"{found.attrs['frames']} frames of {found.attrs['n_atoms']} atoms", title_justify="left", box=None
    )
    for column in ("", "highest at", "value"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for pair in found["pair"].values.tolist():
        g = found["radial_distribution"].sel(pair=pair)
        table.add_row(f"g(r) {pair}", f"{float(g['r'][int(g.argmax())]):.3f} Å", f"{float(g.max()):.2f}")
    if triplets is not None:
        g3 = found["triplet_distribution"]
        at = np.unravel_index(int(np.nanargmax(g3)), g3.shape)
        sides = ", ".join(f"{float(g3['side_1'][i]):.2f}" for i in at)
        table.add_row("g₃(r, s, t)", f"{sides} Å", f"{float(g3[at]):.2f}")
    s = found["static_structure_factor"]
    if bool(np.isfinite(s).any()):
        table.add_row("S(q)", f"{float(s['q'][int(s.fillna(-1.0).argmax())]):.3f} 1/Å", f"{float(s.max()):.2f}")
    out.print(table)
    variables = {str(name): found[name].values.tolist() for name in found.variables}
    write_json(json, {**found.attrs, **variables})
    if plot is not None:
        from maladist.report.structure import write_plot

        write_plot(found, plot)
