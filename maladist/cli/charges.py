"""The command `maladist charges`: parses, calls the function of the same name, prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from ase.data import chemical_symbols
from rich.table import Table

import maladist
from maladist.arrays import Array
from maladist.choices import Partitioning
from maladist.cli.options import LOCAL, ClusterFlags, ModelHelp
from maladist.cli.output import Json, check_files, write_json
from maladist.cli.streams import err, out, say
from maladist.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

_FEW = 24  # atoms that are printed one by one


def charges(
    store: Path,
    /,
    *,
    method: Partitioning = "bader",
    pseudopotentials: Path | None = None,
    model: Annotated[Path | None, ModelHelp] = None,
    radius: float | None = None,
    temperature: float | None = None,
    output: Path | None = None,
    where: ClusterFlags = LOCAL,
    json: Json = None,
    plot: Path | None = None,
) -> None:
    """Electrons and D(ε) of each atom, after Bader or Voronoi.

    Parameters
    ----------
    store
        Result or snapshot with a density; where an LDOS was kept, D(ε) of each atom too.
    method
        bader: basins of the density's maxima; voronoi: each point to the nearest atom.
    pseudopotentials
        Folder of UPF files, or one of them: valences, for net charges, and core charges (PP_NLCC), without which a
        density of valence electrons need not have a maximum at an atom; or --model.
    model
        Model whose file holds them.
    radius
        Bader: largest distance of a maximum from its atom, Å. Default: half the covalent radius.
    temperature
        Temperature of the electrons, K, of a store that has several.
    output
        File to make, .extxyz: the atoms with these numbers as arrays.
    plot
        Draw electrons by atom, and D(ε) by element, into this picture.
    """
    from maladist.io.structures import check_extxyz, write_arrays
    from maladist.physics.bader import VACUUM
    from maladist.prediction.charged import charged_atoms

    check_files(json=json, plot=plot)
    if output is not None:
        check_extxyz(output)
    if pseudopotentials is not None and model is not None:
        raise InputError("pseudopotentials", "given beside --model", "one of them")
    found = maladist.charges(
        store,
        method=method,
        pseudopotentials=pseudopotentials if model is None else maladist.load_model(model).elements,
        radius=radius,
        temperature=temperature,
        client=where.client,
    )
    for note in found.attrs["notes"]:
        say(f"note: {note}", err)
    out.print(_table(found))
    others, vacuum = (_total(found, name) for name in ("maximum_electrons", "vacuum_electrons"))
    total = _total(found, "electrons") + others + vacuum
    say(f"together {total:.6f} electrons, {others:.6f} of them in {found.sizes.get('maximum', 0)} basins of no atom")
    if volume := _total(found, "vacuum_volume"):
        say(f"vacuum, where n is at most {VACUUM:g} 1/Å³: {volume:.2f} Å³, {vacuum:.6f} electrons")
    if output is not None:
        write_arrays(charged_atoms(found), output)
        say(f"atoms: {output}")
    variables = {str(n): v.values.tolist() for n, v in found.variables.items()}
    write_json(json, {"method": method, "notes": found.attrs["notes"], **variables})
    if plot is not None:
        from maladist.report.charges import write_plot

        write_plot(found, plot)


def _total(found: xr.Dataset, name: str) -> float:
    return float(found[name].sum()) if name in found else 0.0


def _table(found: xr.Dataset) -> Table:
    """Each atom of few, else means and ranges of the elements."""
    table = Table(title=f"charges after {found.attrs['method'].capitalize()}", title_justify="left", box=None)
    symbols = np.array([chemical_symbols[z] for z in found["number"].values])
    few = len(symbols) <= _FEW
    for column in ("atom" if few else "atoms", "", "electrons", "net charge", "volume, Å³"):
        table.add_column(column, justify="right", no_wrap=True)
    names = ("electrons", "net_charge", "volume")
    if few:
        for i, symbol in enumerate(symbols.tolist()):
            cells = (f"{float(found[n][i]):.4f}" if n in found else "–" for n in names)
            table.add_row(str(i), symbol, *cells)
        return table
    for symbol in dict.fromkeys(symbols.tolist()):
        own = symbols == symbol
        ranges = (_range(found[n].values[own]) if n in found else "–" for n in names[:2])
        table.add_row(str(own.sum()), symbol, *ranges, f"{found['volume'].values[own].mean():.4f}")
    return table


def _range(values: Array) -> str:
    """Mean, least and most."""
    return f"{values.mean():.3f} ({values.min():.3f} to {values.max():.3f})"
