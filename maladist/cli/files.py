"""Commands that read and look into model files and stores: parse, call the function of the same name, print."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from maladist.cli.options import LOCAL, ClusterFlags
from maladist.cli.streams import out, say
from maladist.errors import InputError, StoreError
from maladist.io.chunks import REMEDY
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


def info(
    file: Path | None = None,
    /,
    *,
    verify: bool = False,
    where: ClusterFlags = LOCAL,
) -> None:
    """Say what a model file, a MALA zip or a store holds; without a file, which models come with maladist.

    Parameters
    ----------
    file
        Model file or the name of a model, MALA's zip, or a store.
    verify
        Read all of a store or data set, and hold every chunk against what was written.
    """
    from maladist.io.inspect import describe, describe_shipped

    if verify:
        if file is None:
            raise InputError("verify", "no file", "a store", "Say which.")
        _verify(file, where)
        return
    table = Table(show_header=False, box=None)
    for what, much in describe_shipped() if file is None else describe(file):
        table.add_row(what, much)
    out.print(table)


def _verify(path: Path, where: ClusterFlags) -> None:
    from maladist.datasets.integrity import verify

    with where.connect() as client:
        verified = verify(path, client)
    table = Table(show_header=False, box=None)
    for one in verified:
        state = "; ".join(one.damage) or ("as it was written" if one.sealed else "readable; it has no digest")
        table.add_row(one.name, f"{one.chunks} chunks", size(one.size), state)
    out.print(table)
    if bad := [one.name for one in verified if one.damage]:
        raise StoreError(str(path), f"damage in {', '.join(bad)}", "a store as it was written", REMEDY)
