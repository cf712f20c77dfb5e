"""Commands that read and look into model files and stores: parse, call the function of the same name, print."""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import Annotated

from rich.markdown import Markdown
from rich.table import Table

from maladist.cli.options import LOCAL, ClusterFlags, ModelHelp
from maladist.cli.streams import out, say
from maladist.errors import StoreError
from maladist.io.targets import check_file
from maladist.reprs import size


def import_mala(
    zip: Path,
    /,
    *,
    output: Path | None = None,
    pseudopotentials: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Read a model that MALA trained and write it as a maladist model file.

    Parameters
    ----------
    zip
        The zip that MALA's saving of a run wrote.
    output
        Model file to write. Default: the zip's name with .maladist in place of .zip.
    pseudopotentials
        Folder of UPF files; their core charges go into the model.
    """
    from maladist.io.model_file import load_model, save_model

    target = output or zip.with_suffix(".maladist")
    # Before the zip is read, which may take a while.
    check_file(target, overwrite=overwrite)
    model = load_model(zip, pseudopotentials=pseudopotentials)
    save_model(model, target)
    say(f"{target}: {model}")


def export_mala(
    model: Annotated[str, ModelHelp],
    atoms: str,
    /,
    *,
    output: Path,
    member: int | None = None,
    without_density: bool = False,
    grid: tuple[int, int, int] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a model as the zip that MALA loads, with the same LDOS from the same descriptors.

    Parameters
    ----------
    atoms
        A cell with all elements of the model, whose energies, electrons and grid MALA keeps.
    output
        Zip to write; MALA finds its members by its name.
    member
        Number of the network to take, from 0, of an ensemble.
    without_density
        Leave out the density channel; MALA takes n(r) from the LDOS.
    grid
        Points of the cell along a, b and c. Default: of the model's spacing.
    """
    import maladist
    from maladist.io.structures import read_atoms

    check_file(output, overwrite=overwrite)  # before the model is read
    loaded = maladist.load_model(model)
    maladist.export_mala(
        loaded,
        read_atoms(atoms),
        output,
        member=member,
        without_density=without_density,
        grid=grid,
        overwrite=overwrite,
    )
    if loaded.energy_zero:
        say("The energies are those of this cell and its supercells: MALA's do not move with the mean potential.")
    say(f'{output}: mala.Predictor.load_run("{output.stem}", path="{output.parent}")')


def models(*, json: bool = False) -> None:
    """List the models that come with maladist, with their errors on cells that they have not seen.

    Parameters
    ----------
    json
        Print JSON.
    """
    from maladist.io.model_file import load_model
    from maladist.io.shipped import shipped_models
    from maladist.learning.about import COLUMNS, HELD_OUT, held_out_rows

    found = {name: (one, load_model(one.file)) for name, one in shipped_models().items()}
    if json:
        told = {
            name: {**one.card.model_dump(), "file": str(one.file), HELD_OUT: model.provenance.get(HELD_OUT)}
            for name, (one, model) in found.items()
        }
        print(dumps(told, indent=1))
        return
    for name, (one, model) in found.items():
        say(f"{name}: {one.card.summary} ({', '.join(one.card.elements)}, {one.card.temperature:g} K)", style="bold")
        table = Table(box=None, title="mean (largest) errors on held-out cells", title_justify="left")
        for column in ("cells", "number", *COLUMNS):
            table.add_column(column.split(", mean")[0], justify="left" if column == "cells" else "right")
        for row in held_out_rows(model):
            table.add_row(*row)
        out.print(table)
        say(f"maladist card {name}; {one.file}", style="dim")


def card(model: Annotated[str, ModelHelp], /) -> None:
    """Print a model's card: what it is for, its errors on held-out cells, how it was made; Markdown in a pipe."""
    from maladist.io.inspect import card as text_of

    text = text_of(model)
    if out.is_terminal:
        out.print(Markdown(text))
    else:
        print(text, end="")


def info(
    file: Path,
    /,
    *,
    verify: bool = False,
    where: ClusterFlags = LOCAL,
) -> None:
    """Say what a model file, a MALA zip or a store holds; `maladist models` lists those that come with it.

    Parameters
    ----------
    file
        Model file or the name of a model, MALA's zip, or a store.
    verify
        Read all of a store or data set, and hold every chunk against what was written.
    """
    from maladist.io.inspect import describe

    if verify:
        _verify(file, where)
        return
    table = Table(show_header=False, box=None)
    for what, much in describe(file):
        table.add_row(what, much)
    out.print(table)


def _verify(path: Path, where: ClusterFlags) -> None:
    from maladist.datasets.integrity import verify
    from maladist.io.chunks import REMEDY

    verified = verify(path, where.client)
    table = Table(show_header=False, box=None)
    for one in verified:
        state = "; ".join(one.damage) or ("as it was written" if one.sealed else "readable; it has no digest")
        table.add_row(one.name, f"{one.chunks} chunks", size(one.size), state)
    out.print(table)
    if bad := [one.name for one in verified if one.damage]:
        raise StoreError(str(path), f"damage in {', '.join(bad)}", "a store as it was written", REMEDY)
