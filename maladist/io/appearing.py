"""Folders of stores as they come and go, whole: what is under way has a hidden name, and nobody sees half of one."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from maladist.errors import OutputError, StoreError
from maladist.io import ownership
from maladist.io.chunks import WORK
from maladist.io.digests import DIGESTS
from maladist.io.ownership import Claim, new_claim
from maladist.io.targets import check_place, explained
from maladist.schema import SCALARS, SIGMAS, VARIABLES

_MADE: Final = re.compile(r"\.(.+)\.[0-9a-f]{32}\.(new|removed)")  # on the way in or out; see `create`


def check_target(path: str | Path, overwrite: bool) -> Path:
    """Refuse a result path that exists, unless it is a zarr store that may be overwritten.

    Raises
    ------
    StoreError
        The path exists and may not be, or must not be, replaced; or another run is writing into it.
    OutputError
        Its folder does not exist or cannot be written.
    """
    path = Path(path)
    check_place(path)
    if not path.exists():
        return path
    # Asked before the flag: who may overwrite results may not take a store from a run that is at work.
    ownership.refuse_living(path, WORK)
    if not overwrite:
        raise StoreError("output", f"{path} exists", "a new store", "Give --overwrite (overwrite=True) to replace it.")
    if not _is_store(path):
        came = f"{path} exists and is not a zarr store"
        raise StoreError("output", came, "a zarr store or a new path", "It is left as it is.")
    return path


def _is_store(path: Path) -> bool:
    """Whether a path is a store, or what a removal that was interrupted has left of one."""
    if not path.is_dir() or (path / "zarr.json").exists():
        return path.is_dir()
    # A removal takes the metadata first: what is left has only folders of names that we give.
    parts = {WORK, DIGESTS, "run", "reference", *VARIABLES, *SCALARS, *SIGMAS}
    return all(p.is_dir() and p.name.removesuffix("_std") in parts for p in path.iterdir())


@contextmanager
def appearing(path: Path, *, owned: bool = False, overwrite: bool = False) -> Iterator[Claim]:
    """A folder under a hidden name, which takes the path when it is whole.

    Parameters
    ----------
    path
        Where it is to be.
    owned
        Whether it stays its maker's when it is there.
    overwrite
        Whether it takes the place of what is there.

    Raises
    ------
    StoreError
        Another run was faster.
    OutputError
        It cannot be written.
    """
    # What a run that was killed has left hidden beside the path is in nobody's way but takes room.
    clean(path)
    found = new_claim(path)
    making = Claim(str(path.with_name(f".{path.name}.{found.id}.new")), found.id, WORK)
    try:
        with explained(path):
            Path(making).mkdir()
            ownership.write_owner(making)
        ownership.hold(making)
        yield making
        # Data sets belong to nobody: many runs add snapshots to one.
        if not owned:
            shutil.rmtree(Path(making) / WORK)
        if overwrite and path.exists():
            ownership.refuse_living(path, WORK)
            remove(path)
        try:
            # The one step that others see; where the path is there by now, another run was faster.
            Path(making).rename(path)
        except OSError as error:
            ownership.refuse_living(path, WORK)
            raise StoreError("output", f"{path} exists", "a new store", "Another run has made it.") from error
    except OutputError as error:
        came = error.came.replace(str(making), str(path))
        raise OutputError(error.argument, came, error.wanted, error.remedy) from error
    finally:
        ownership.let_go(making)
        # Also after an error: nothing half-written stays, not even hidden.
        shutil.rmtree(making, ignore_errors=True)


def take_over(path: str | Path) -> Claim:
    """Become the owner of an unfinished store whose run has ended.

    Raises
    ------
    StoreError
        It has not: another run is writing into it.
    """
    clean(Path(path))
    return ownership.take(path, WORK)


def clean(path: Path) -> None:
    """Remove what interrupted runs left beside a path, of stores on their way in or out."""
    for one in path.parent.glob(f".{path.name}.*"):
        found = _MADE.fullmatch(one.name)
        if found is None or found[1] != path.name:
            continue
        if found[2] == "removed" or ownership.abandoned(one, WORK):
            shutil.rmtree(one, ignore_errors=True)


def remove(path: Path | Claim) -> None:
    """Remove a store; through a claim, only while it is its owner's. Out of the way first, whole: see `clean`."""
    if isinstance(path, Claim):
        if not path.holds():
            return
        ownership.let_go(path)
    path = Path(path)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.removed")
    with explained(path):
        # Renamed before it is taken apart: no reader finds half of a store, and an interruption leaves a hidden rest.
        path.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)
