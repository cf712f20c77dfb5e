"""Who writes into a store or a folder: an id in a small file that all who write look at.

A run that begins to write leaves a file there: a random id, and its client's machine, process and the times that both
began. What holds where:

On the workers, the id. Whoever writes a chunk looks at the file after the chunk has got its place under another name
and before it is renamed. So a run whose store was replaced, removed or taken over puts nothing into what is another's,
whichever machine it is on and whatever the file system promises of locks; it ends with one line.

Between clients, the file. A store is made under a hidden name and renamed whole, so of two that begin together one
wins and the other is refused. Whether an owner lives is known at once on the same machine, by its process; elsewhere by
the file's time, which a client that lives renews: after `STALE` seconds without that it counts as dead, and what it
left can be gone on with or replaced. Two that take a dead owner's place in the same moment both begin; the later one's
id stays, and the other ends at its next write.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import psutil

from maladist.errors import StoreError
from maladist.io.targets import explained

OWNER: Final = ".owner"
BEAT: Final = 15.0  # seconds between two signs of life
STALE: Final = 150.0
"""Seconds without a sign of life after which an owner on another machine counts as dead."""


@dataclass(frozen=True)
class Owner:
    """Who wrote the file, and when."""

    id: str
    host: str
    machine: str
    process: int
    started: float
    begun: str

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}, begun {self.begun}"


@dataclass(frozen=True)
class Claim(os.PathLike[str]):
    """A store or folder that a run owns: the path, and what shows that it is the owner; travels to the workers.

    Attributes
    ----------
    path
        Path of the store or folder.
    id
        Random id of the run, hexadecimal.
    inside
        Folder in it that holds the owner's file.
    """

    path: str
    id: str
    inside: str = ""

    def __fspath__(self) -> str:
        return self.path

    def __str__(self) -> str:
        return self.path

    @property
    def file(self) -> Path:
        """The owner's file."""
        return Path(self.path) / self.inside / OWNER

    def below(self, name: str) -> Claim:
        """A claim to a folder in this one, whose owner's file is this one's."""
        return Claim(str(Path(self.path) / name), self.id, os.path.join("..", self.inside))  # noqa: PTH118  (no path yet)

    def holds(self) -> bool:
        """Whether the store or folder still is this run's."""
        owner = read_owner(self.file)
        return owner is not None and owner.id == self.id

    def check(self) -> None:
        """Refuse to write into what is no longer this run's.

        Raises
        ------
        StoreError
            Another run has taken it over or replaced it, or it was removed.
        """
        # Read anew at each write: no cache can tell that another run has come meanwhile.
        owner = read_owner(self.file)
        if owner is None or owner.id != self.id:
            what = "was removed or finished meanwhile" if owner is None else f"now belongs to another run ({owner})"
            raise StoreError("store", f"{self.path} {what}", "to be its only writer", "This run ends; nothing is lost.")

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Leave the store or folder to others."""
        let_go(self)
        # Only a file that is still ours: the store may have become another's while we finished.
        if self.holds():
            with suppress(OSError):
                self.file.unlink()


def new_claim(path: str | Path, inside: str = "") -> Claim:
    """A claim with an id of its own, not written yet."""
    return Claim(str(path), uuid.uuid4().hex, inside)


def take(path: str | Path, inside: str = "") -> Claim:
    """Become the owner of a store or folder that is there and has none that lives.

    Raises
    ------
    StoreError
        Another run is writing into it.
    OutputError
        It cannot be written.
    """
    # Before anything is written: a run that is refused leaves no trace.
    refuse_living(path, inside)
    claim = new_claim(path, inside)
    with explained(path):
        if read_owner(claim.file) is not None or not _write_first(claim):
            refuse_living(path, inside)  # another may have come first
            write_owner(claim)
    hold(claim)
    return claim


def _write_first(claim: Claim) -> bool:
    """Write a claim's id where there is none yet: of two that begin together one can."""
    beside = _write_beside(claim)
    try:
        # A link fails where the name exists, also on network file systems, on which O_EXCL and locks may not hold.
        os.link(beside, claim.file)
    except OSError:  # there is one now, or a file system without links
        return False
    finally:
        beside.unlink()
    return True


def write_owner(claim: Claim) -> None:
    """Write a claim's id into its store or folder, whoever was there before."""
    # A rename: whoever reads at this moment finds the old id or the new one, never half of a file.
    _write_beside(claim).replace(claim.file)


def _write_beside(claim: Claim) -> Path:
    owner = Owner(claim.id, socket.gethostname(), _machine(), os.getpid(), _started(os.getpid()), _now())
    beside = claim.file.with_name(f"{OWNER}.{claim.id}")
    claim.file.parent.mkdir(exist_ok=True)
    beside.write_text(json.dumps(asdict(owner)))
    return beside


def read_owner(file: Path) -> Owner | None:
    """What an owner's file says; None where there is none."""
    try:
        return Owner(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):  # absent, or nothing that we wrote
        return None


def refuse_living(path: str | Path, inside: str = "") -> None:
    """Refuse a store or folder that another run is writing into.

    Raises
    ------
    StoreError
        Naming the run.
    """
    file = Path(path) / inside / OWNER
    owner = read_owner(file)
    if owner is None or not lives(owner, file):
        return
    remedy = "Wait until it has ended, or end it."
    if owner.machine != _machine():
        remedy += f" If it has died, it counts as dead {STALE:.0f} s after its last sign of life."
    raise StoreError("output", f"{path} is being written by another run ({owner})", "to be its only writer", remedy)


def abandoned(path: Path, inside: str = "") -> bool:
    """Whether nobody is at work in a folder: its owner is dead, or none has come since it was made."""
    file = path / inside / OWNER
    owner = read_owner(file)
    if owner is not None:
        return not lives(owner, file)
    try:
        # A maker writes its id right after the folder: one without an id for so long was killed in between.
        return time.time() - path.stat().st_mtime > STALE
    except OSError:  # gone meanwhile
        return False


def lives(owner: Owner, file: Path) -> bool:
    """Whether an owner is alive: by its process on this machine, by its last sign of life on another."""
    if owner.machine == _machine():
        # Its number alone does not do: it may be another process' by now. Clocks are corrected, hence the two seconds.
        return abs(_started(owner.process) - owner.started) < 2.0
    try:
        return _time_there(file.parent) - file.stat().st_mtime < STALE
    except OSError:  # gone meanwhile
        return False


def _time_there(folder: Path) -> float:
    """What time it is by the clock of the machine that keeps the files, which may differ from ours."""
    probe = folder / f"{OWNER}.{uuid.uuid4().hex}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _machine() -> str:
    """What a process number means anything in: this boot of this machine, and the container."""
    parts = [socket.gethostname()]
    with suppress(OSError):  # elsewhere than on Linux, the name alone
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        # Two containers of one machine have processes of the same numbers.
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def _started(process: int) -> float:
    """When a process began, seconds since 1970; -1 where there is none: numbers of processes are used again."""
    try:
        running = psutil.Process(process)
        # A zombie has ended: it only waits for its parent to look.
        return -1.0 if running.status() == psutil.STATUS_ZOMBIE else float(running.create_time())
    except psutil.NoSuchProcess:
        return -1.0


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


# -- signs of life ---------------------------------------------------------------------------------------------------

_held: set[Claim] = set()
_beating = threading.Lock()


def hold(claim: Claim) -> None:
    """Give signs of life until the claim is released or this process ends."""
    _held.add(claim)
    if _beating.acquire(blocking=False):  # one thread for all claims, as long as the process lives
        # A daemon: it must not keep a program alive that has nothing else to do.
        threading.Thread(target=_beat, name="maladist-owner", daemon=True).start()


def let_go(claim: Claim) -> None:
    """Give no more signs of life."""
    _held.discard(claim)


def _beat() -> None:
    while True:
        time.sleep(BEAT)
        # A copy: claims are taken and released by other threads meanwhile.
        for claim in tuple(_held):
            with suppress(OSError):
                # What another run has taken over must not look alive because of us; a file system
                # that is away for a moment ends nothing.
                if claim.holds():
                    os.utime(claim.file)
