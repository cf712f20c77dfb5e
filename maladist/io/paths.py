"""Paths that may be opened: a plain file, and nothing that waits for somebody or leads in a circle."""

from __future__ import annotations

from pathlib import Path

from maladist.errors import DataFileError, InputError


def plain_file(
    path: str | Path, wanted: str = "a file", argument: str = "file", error: type[InputError] = DataFileError
) -> Path:
    """The path of a plain file that is there, or a link to one.

    A FIFO would wait for a writer that never comes, a device has no end, a folder and a link to itself cannot be read.

    Parameters
    ----------
    path
        Path as the user named it.
    wanted
        Description of what the file should be.
    argument
        Name of the argument or of what the file is.
    error
        Class of the error to raise.

    Raises
    ------
    InputError
        There is nothing, or something else than a file.
    """
    path = Path(path)
    try:
        is_file, is_there = path.is_file(), path.exists() or path.is_symlink()
    except (OSError, ValueError) as problem:  # a name that is too long, or that holds a null
        raise error(argument, f"{str(path)[:120]!r}, a name that no file can have ({problem})"[:300], wanted) from None
    if is_file:
        return path
    # Named, so that the line tells what was wrong: `--model` of a folder is another mistake than one of a device.
    kinds = {
        "a folder": path.is_dir,
        "a FIFO": path.is_fifo,
        "a device": path.is_char_device,
        "a socket": path.is_socket,
    }
    kind = next((name for name, holds in kinds.items() if holds()), "a link that leads nowhere")
    raise error(
        argument, f"{path} is {kind}, not a file" if is_there else f"{path} is not a file (No such file)", wanted
    )
