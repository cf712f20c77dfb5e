"""The command `maladist difference`: parses, calls the function of the same name, prints."""

from __future__ import annotations

from pathlib import Path

import maladist
from maladist.cli.options import LOCAL, ClusterFlags
from maladist.cli.output import Json, check_files, write_json
from maladist.cli.streams import err, say


def difference(
    store: Path,
    /,
    *,
    reference: Path | None = None,
    pseudopotentials: Path | None = None,
    temperature: float | None = None,
    output: Path | None = None,
    overwrite: bool = False,
    where: ClusterFlags = LOCAL,
    json: Json = None,
    plot: Path | None = None,
) -> None:
    """A density less that of another store, or of free atoms at the same places; its integral and a picture.

    Parameters
    ----------
    store
        Result or snapshot with a density.
    reference
        The same, on the same grid.
    pseudopotentials
        Folder of UPF files, or one of them: the free atoms (PP_RHOATOM) in place of a reference.
    temperature
        Temperature of the electrons, K, of a store that has several.
    plot
        Draw planes across the lattice vectors into this picture.
    """
    check_files(json=json, plot=plot)
    found = maladist.difference(
        store,
        reference,
        pseudopotentials=pseudopotentials,
        temperature=temperature,
        client=where.client,
        store=output,
        overwrite=overwrite,
    )
    for note in found.attrs["notes"]:
        say(f"note: {note}", err)
    say(f"density less that of {found.attrs['reference']}")
    say(f"integral {found.attrs['integral']:+.6f} electrons, moved {found.attrs['moved_electrons']:.6f} electrons")
    if output is not None:
        say(f"store: {output}")
    write_json(json, {n: found.attrs[n] for n in ("integral", "moved_electrons", "reference", "notes")})
    if plot is not None:
        from maladist.report.difference import write_plot

        write_plot(found, plot)
