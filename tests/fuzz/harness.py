"""One damaged file, read by the function of the program that reads such files: what came of it.

same          the numbers of the undamaged file
local         other numbers only where the damage stands: a whole file that says something else, which nobody can see
shorter       whole frames, facts that need not be told, or a format's things that tell neither their number nor their
              end, are gone: nobody can see it
refused       an error of `maladist.errors`, one line
traceback     any other exception
accepted      read, with numbers that shifted, are missing or are not finite
hung          no end within the time limit
ran code      a program was started, or a file's code ran, while it was read
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from maladist.errors import BlockError, InputError
from maladist.io import structures
from tests.fuzz.mutations import RAN, Damage, Kind

View = Mapping[str, Any]
"""Numbers and words of a file by their name."""

IN_ANY_ORDER: Final = "rows in any order"
"""Name of an array whose rows are a set."""

GOOD: Final = ("same", "local", "shorter", "refused")
BAD: Final = ("traceback", "accepted", "hung", "ran code")
SECONDS: Final = 20.0
_ROOM: Final = 8 * 2**30  # bytes that a reader may ask for on top: a damaged header can ask for terabytes
_SLACK: Final = 12  # numbers that follow from one: the nine of a cell from its scale, energies from the eigenvalues
_FORBIDDEN: Final = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.Popen",
    "socket.connect",
    "pty.spawn",
)


@dataclass(frozen=True)
class Format:
    """A format that the program reads.

    Attributes
    ----------
    name
        What it is called.
    make
        Writes an undamaged file, and whatever must lie beside it, into an empty folder; returns the file to damage.
    read
        What the program does to read it: views of its content, alike up to what is taken as fixed (Cartesian
        positions, or fractions of the cell). The views of a damaged file are held against those of the undamaged one.
    kinds
        Ways to damage it.
    tells_length
        Whether it tells how much it holds, or where it ends.
    optional
        Names of facts that a whole file may lack.
    frames
        Views of the frames before the one that is read: a file that was cut behind one of them is whole.
    """

    name: str
    make: Callable[[Path], Path]
    read: Callable[[Path], Sequence[View]]
    kinds: Sequence[Kind]
    tells_length: bool = True
    optional: frozenset[str] = frozenset()
    frames: Callable[[Path], Sequence[Sequence[View]]] = lambda _: ()


@dataclass(frozen=True)
class Outcome:
    """What came of a damaged file: one of the words above, and what was said."""

    word: str
    kind: str
    said: str = ""


class Late(BaseException):
    """The time limit; no reader's `except Exception` may swallow it."""


_started: list[str] = []
_watching = False


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event in _FORBIDDEN:
        _started.append(f"{event} {arguments!r:.100}")


sys.addaudithook(_audit)  # for the life of the process: there is no way to take one away


def damaged(form: Format, content: bytes, seed: int) -> Damage:
    """The damage of a seed: always the same."""
    random = np.random.default_rng([seed, *form.name.encode()])
    return form.kinds[random.integers(len(form.kinds))](content, random)


@dataclass(frozen=True)
class Undamaged:
    """A file as it was made, and what was read from it and from the frames before."""

    form: Format
    path: Path
    content: bytes
    views: Sequence[View]
    frames: Sequence[Sequence[View]]

    @classmethod
    def of(cls, form: Format, folder: Path) -> Undamaged:
        """Make a format's file in an empty folder, and read it."""
        path = form.make(folder)
        return cls(form, path, path.read_bytes(), form.read(path), form.frames(path))


def attempt(file: Undamaged, seed: int) -> Outcome:
    """Damage a file as a seed says, read it, and say what came of it; the file is left as it was."""
    damage = damaged(file.form, file.content, seed)
    file.path.write_bytes(damage.content)
    try:
        return _read(file, damage)
    finally:
        file.path.write_bytes(file.content)


def _read(file: Undamaged, damage: Damage) -> Outcome:
    _started.clear()
    try:
        with _guarded():
            found = file.form.read(file.path)
        outcome = _compare(file, found, damage)
    except Late:
        outcome = Outcome("hung", damage.kind, f"more than {SECONDS:.0f} s")
    except (InputError, BlockError) as error:
        lines = str(error).splitlines()
        outcome = Outcome("refused" if len(lines) == 1 else "traceback", damage.kind, str(error))
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        outcome = Outcome("traceback", damage.kind, f"{type(error).__name__}: {error!s:.300}")
    if _started or Path(RAN).exists():
        Path(RAN).unlink(missing_ok=True)
        return Outcome("ran code", damage.kind, "; ".join(_started) or RAN)
    return outcome


@contextmanager
def _guarded() -> Iterator[None]:
    """Time, memory, and a watch for programs that are started; readers' doubts are no errors here."""
    global _watching

    def late(*_: object) -> None:
        raise Late

    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    previous = signal.signal(signal.SIGALRM, late)
    left, _ = signal.setitimer(signal.ITIMER_REAL, SECONDS)
    if pages:
        resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + _ROOM, hard))
    _watching = True
    try:
        with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
            warnings.simplefilter("ignore")
            patch.setattr(structures, "_SECONDS", 2.0)  # what ASE's readers may take
            yield
    finally:
        _watching = False
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.setitimer(signal.ITIMER_REAL, left)
        signal.signal(signal.SIGALRM, previous)


def _compare(file: Undamaged, after: Sequence[View], damage: Damage) -> Outcome:
    for view in after:
        for name, values in view.items():
            if not _finite(values):
                return Outcome("accepted", damage.kind, f"{name} is not finite")
    said = _distance(file.views, after)
    if isinstance(said, int) and said <= damage.touched + _SLACK:
        return Outcome("local" if said else "same", damage.kind, f"{said} numbers differ")
    if any(_distance(frame, after) == 0 for frame in file.frames):
        return Outcome("shorter", damage.kind, "an earlier frame")
    if isinstance(said, int):
        return Outcome("accepted", damage.kind, f"{said} numbers differ where {damage.touched} were touched")
    lost = file.form.optional if file.form.tells_length else frozenset(said)
    return Outcome("shorter" if lost >= said.keys() else "accepted", damage.kind, "; ".join(map(str, said.values())))


def _distance(before: Sequence[View], after: Sequence[View]) -> int | dict[str, str]:
    """Numbers that differ, in the view in which they are fewest; what became of things that are more or fewer."""
    b, a = before[0], after[0]
    names = [*b, *(name for name in a if name not in b)]
    odd = {n: f"{n} {np.shape(b.get(n))} became {np.shape(a.get(n))}" for n in names if not _alike(b.get(n), a.get(n))}
    if odd:
        return odd
    count = {name: _rows_apart if name == IN_ANY_ORDER else _differing for name in b}
    return min(sum(count[n](u[n], v[n]) for n in u) for u, v in zip(before, after, strict=True))


def _rows_apart(before: Any, after: Any) -> int:
    """Numbers of the rows that were not there before."""
    nearest = np.abs(np.asarray(after)[:, None] - np.asarray(before)[None]).max(axis=2).min(axis=1)
    return int((nearest > 1e-6).sum()) * np.shape(after)[1]


def _alike(before: Any, after: Any) -> bool:
    return before is not None and after is not None and np.shape(before) == np.shape(after)


def _finite(values: Any) -> bool:
    array = np.asarray(values)
    return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())


def _differing(before: Any, after: Any) -> int:
    """Numbers that differ; of words, pairs that do: one name of a species stands for all its atoms."""
    b, a = np.asarray(before).ravel(), np.asarray(after).ravel()
    if b.dtype.kind in "fiub" and a.dtype.kind in "fiub":
        return int((~np.isclose(a, b, rtol=1e-6, atol=1e-9)).sum())
    return len({(x, y) for x, y in zip(b.tolist(), a.tolist(), strict=True) if x != y})
