"""Where results go: held against the file system before the work begins, written whole or not at all.

Every file is written in a hidden folder beside its place, put on the disk and renamed, so that whoever looks finds the
old file or the new one and never a part. What the system says of a place that is full, read-only or forbidden becomes
one error that names the file.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from maladist.errors import OutputError
from maladist.io.urls import refuse_url

_WANTED = "a place that can be written to and has room"


def check_file(path: str | Path, name: str = "output", *, overwrite: bool = True) -> Path:
    """Refuse a file that could not be written in the end.

    Parameters
    ----------
    path
        The file.
    name
        Name of the argument, for errors.
    overwrite
        Whether a file that exists is replaced.

    Raises
    ------
    OutputError
        A folder, a file that exists and must not be replaced, or a place that is absent or cannot be written.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputError(name, f"{path} is a folder", "a file")
    if path.exists() and not overwrite:
        remedy = "Give --overwrite (overwrite=True) to replace it."
        raise OutputError(name, f"{path} exists", "a new file", remedy)
    # /dev/stdout lies in a folder that cannot be written, and can be written to itself.
    if not (_is_stream(path) and os.access(path, os.W_OK)):
        check_place(path, name)
    return path


def check_folder(path: str | Path, name: str = "output", *, parents: bool = False) -> Path:
    """Refuse a folder that is not there and cannot be made, or that cannot be written.

    Parameters
    ----------
    path
        The folder.
    name
        Name of the argument, for errors.
    parents
        Whether the folders above it are made too.

    Raises
    ------
    OutputError
        Naming it and what it is.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise OutputError(name, f"{path} is a file", "a folder, or a new name in a folder that exists")
    # What matters is the nearest folder that exists: those below it can be made where that one can be written.
    there = path.resolve()
    while parents and not there.parent.exists():
        there = there.parent
    if path.is_dir():
        _check_writable(path, name)
    else:
        check_place(there, name)
    return path


def check_place(path: Path, name: str = "output") -> None:
    """Refuse a path whose folder is absent or cannot be written.

    Raises
    ------
    OutputError
        Naming the folder.
    """
    folder = path.resolve().parent  # of what a link points to
    if not folder.is_dir():
        remedy = "Write it to a disk that client and workers see, and copy the finished store there."
        refuse_url(path, name, "a path on a file system: results are read by URL, and not written", remedy)
        raise OutputError(name, f"{path.parent} is not a folder", "a path in a folder that exists")
    _check_writable(folder, name)


def _check_writable(folder: Path, name: str) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):  # a read-only file system says no to root too
        why = "read-only, or you may not write there"
        raise OutputError(name, f"{folder} cannot be written ({why})", "a folder that can be written to")


def _is_stream(path: Path) -> bool:
    """Whether a path is a device or a pipe, as /dev/stdout: written to as it is, since it must not be replaced."""
    return path.exists() and not (path.is_file() or path.is_dir())


@contextmanager
def explained(path: str | Path, name: str = "output", remedy: str = "") -> Iterator[None]:
    """What the system says against writing a file or folder, as an `OutputError` that names it."""
    try:
        yield
    except OSError as error:
        raise refusal(error, path, name, remedy) from error


def refusal(error: OSError, path: str | Path | None = None, name: str = "output", remedy: str = "") -> OutputError:
    """What is said of an error of the system: of ``path``, or of the file that the error names."""
    place = path if path is not None else error.filename
    what = f"{place} cannot be written" if place is not None else "it cannot be written"
    return OutputError(name, f"{what} ({error.strerror or error})", _WANTED, remedy)


@contextmanager
def whole(paths: Sequence[str | Path], name: str = "output") -> Iterator[list[Path]]:
    """Files of one folder that come into being together: gives the paths to write them to; renames them in the end.

    They are written in a hidden folder in theirs. Where something fails, none of the files is touched and the hidden
    folder goes, first out of the way: so whoever still writes, as a task on a worker may, cannot add to it.

    Raises
    ------
    OutputError
        A place that is full, read-only or forbidden.
    """
    # Resolved, so that a link stays one and what it points to is replaced.
    targets = [Path(p).resolve() for p in paths]
    # In the same folder: a rename between file systems would be a copy, of which a part may be seen.
    hidden = targets[0].with_name(f".{uuid.uuid4().hex}.new")
    beside = [hidden / t.name for t in targets]
    try:
        hidden.mkdir()
        yield beside
        # Each is whole by now: whatever fails from here on leaves old files and new ones, and no part of one.
        for made, target in zip(beside, targets, strict=True):
            _put_on_disk(made)
            made.replace(target)
    except OSError as error:
        # The user never named the hidden folder: errors tell the place that was asked for.
        known = dict(zip(map(str, (hidden, *beside)), (targets[0], *targets), strict=True))
        place = str(error.filename or targets[0])
        raise refusal(error, known.get(place, place), name) from error
    finally:
        # Nothing is left to be done about a folder that cannot be removed: the files themselves are in their places.
        with suppress(OSError):
            shutil.rmtree(hidden.rename(hidden.with_suffix(".removed")))


def write_whole(path: str | Path, content: bytes | str, name: str = "output") -> Path:
    """Write a file that is there whole or not at all; a device or a pipe is written to as it is.

    Raises
    ------
    OutputError
        A place that is full, read-only or forbidden.
    """
    # In bytes: the same text gives the same file on every system.
    path, data = Path(path), content.encode() if isinstance(content, str) else content
    if _is_stream(path):
        with explained(path, name):
            path.write_bytes(data)
        return path
    with whole([path], name) as (beside,):
        beside.write_bytes(data)
    return path


def _put_on_disk(path: Path) -> None:
    """Wait until a file is on the disk: a rename that outlives a loss of power must not name an empty file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
