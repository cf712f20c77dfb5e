"""Trajectories in ASE's own format, .traj: frames to the last bit, each on the disk before the next one is computed.

The format was chosen for that: text, as extxyz, rounds to eight decimals, and an MD that goes on from rounded numbers
is another one. A frame counts when the number of frames in the file's head has been raised, which is done last, so a
process that dies leaves whole frames. A machine that dies can leave a head that tells of more than reached the disk.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import ase
from ase.io.trajectory import Trajectory, TrajectoryWriter

from maladist.errors import StoreError
from maladist.io.targets import whole

_HEAD: Final = 56
"""Bytes of a file's head; a file that is shorter never had a frame."""


def whole_frames(path: Path) -> int:
    """How many frames of a trajectory can be read: all that its head tells but those that the file was cut in."""
    with suppress(OSError, ValueError, IndexError), Trajectory(path) as reader:
        for count in range(len(reader), 0, -1):
            with suppress(OSError, ValueError, KeyError, IndexError):
                _ = reader[count - 1]
                return count
    return 0


def last_frame(path: Path) -> tuple[int, ase.Atoms | None]:
    """Number of whole frames, and the last of them; None where there is none, or no file.

    Raises
    ------
    StoreError
        The file is none that ASE's writer began, or its head is damaged.
    """
    if not path.exists() or path.stat().st_size < _HEAD:
        return 0, None
    try:
        with Trajectory(path):
            count = whole_frames(path)
            return count, read_frame(path, count - 1) if count else None
    except (OSError, ValueError, AttributeError) as error:
        came = f"{path} cannot be read ({error})"
        raise StoreError("output", came, "a trajectory in ASE's format", "Move it away.") from error


def read_frame(path: Path, index: int) -> ase.Atoms:
    """One frame, by its number from 0."""
    with Trajectory(path) as reader:
        return reader[index]


def append_frame(path: Path, frame: ase.Atoms) -> None:
    """Add a frame to a trajectory whose frames are whole, or begin one; it is on the disk when this returns.

    Raises
    ------
    OSError
        It cannot be written; the frames before are kept.
    """
    writer = TrajectoryWriter(path, "a")
    try:
        writer.write(frame)
    except OSError:
        # Not the writer's own close, which would begin the frame once more, and fail in another way.
        with suppress(OSError):
            writer.backend.fd.close()
        raise
    writer.close()
    on_the_disk(path)


def on_the_disk(path: Path) -> None:
    """Wait until all that was written to a file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def keep_whole_frames(path: Path) -> tuple[int, ase.Atoms | None]:
    """What `last_frame` gives; what is damaged after that frame is cut off.

    Raises
    ------
    StoreError
        As `last_frame`.
    OutputError
        It cannot be written.
    """
    count, last = last_frame(path)
    if last is None:
        path.unlink(missing_ok=True)
        return count, last
    with Trajectory(path) as reader:
        if len(reader) > count:
            # A new file in place of the old one: the head's number cannot be lowered through ASE.
            with whole([path]) as (beside,), TrajectoryWriter(beside, "w") as writer:
                for index in range(count):
                    writer.write(reader[index])
    return count, last
