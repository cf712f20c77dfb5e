"""Ways to damage a file. Each is a function of its bytes and a random generator, and so is given by a seed.

A kind tells how many numbers it can have changed *where it stands*: a flipped bit changes one, two swapped lines those
on them. A reader that then gives back more other numbers than that has let the rest of the file shift.
"""

from __future__ import annotations

import json
import os
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

Random = np.random.Generator
RAN: Final = "code-was-run"
"""File in the working directory that every payload tries to make."""

_NUMBER: Final = re.compile(rb"(?<![\w.])[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")
_WORDS: Final = (
    *(b"nan", b"inf", b"-inf", b"1e300", b"1e10", b"1e-300", b"********", b"", b"-1", b"0", b"9" * 25, b"0x1f", b"1,5"),
    *("½".encode(), f"__import__('os').system('touch {RAN}')".encode()),
)
_VALUES: Final[tuple[Any, ...]] = (
    *(None, [], {}, "text", "", "12", -1, 0, 0.5, True, 1e300, 1e-300, float("nan"), float("inf"), 10**30),
    *([[1.0]], ["x"], {"a": 1}),
)


class _Payload:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {RAN}",)


PICKLE: Final = pickle.dumps(_Payload(), protocol=2)
"""A pickle that runs a command."""


@dataclass(frozen=True)
class Damage:
    """A damaged file.

    Attributes
    ----------
    kind
        What was done to it.
    content
        Its bytes.
    touched
        Numbers that can differ where the damage stands.
    """

    kind: str
    content: bytes
    touched: int


def _local(size: int) -> int:
    """Numbers in a stretch of bytes: the shortest take two, and one at either end is cut."""
    return size // 2 + 2


def flip(content: bytes, random: Random) -> Damage:
    """One to three bits."""
    out = bytearray(content)
    count = int(random.integers(1, 4))
    for _ in range(count):
        out[random.integers(len(out))] ^= 1 << random.integers(8)
    return Damage("bits flipped", bytes(out), count)


def cut(content: bytes, random: Random) -> Damage:
    """Cut off anywhere but behind the last character."""
    return Damage("cut off", content[: random.integers(max(1, len(content.rstrip())))], 1)


def cut_line(content: bytes, random: Random) -> Damage:
    """Cut off behind a line."""
    lines = content.splitlines(keepends=True)
    return Damage("cut off at a line", b"".join(lines[: random.integers(len(lines))]), 0)


def double(content: bytes, random: Random) -> Damage:
    """A stretch twice."""
    size = int(random.choice([13, 30, 200]))
    at = int(random.integers(max(1, len(content) - size)))
    return Damage("stretch doubled", content[: at + size] + content[at:], _local(2 * size))


def delete(content: bytes, random: Random) -> Damage:
    """A stretch left out."""
    size = int(random.choice([1, 13, 30, 200]))
    at = int(random.integers(max(1, len(content) - size)))
    return Damage("stretch left out", content[:at] + content[at + size :], _local(size))


def zeros(content: bytes, random: Random) -> Damage:
    """A stretch of zero bytes, as file systems leave after a crash."""
    size = int(random.choice([8, 64, 512]))
    at = int(random.integers(max(1, len(content) - size)))
    out = content[:at] + bytes(len(content[at : at + size])) + content[at + size :]
    return Damage("stretch zeroed", out, _local(size))


def append(content: bytes, random: Random) -> Damage:
    """Something behind the end."""
    more = (b"\x00" * 64, b"1.0 2.0 3.0\n", content[:100], b"\xff\xfe")[random.integers(4)]
    return Damage("something behind the end", content + more, 0)


def other(content: bytes, random: Random) -> Damage:
    """Another file altogether."""
    what = (b"", b"\n", b"Dear Sir or Madam\n", PICKLE, b"\x00" * 1000, b"[" * 30000, b"{}", b"null", b"PK\x03\x04")
    return Damage("another file", what[random.integers(len(what))], 0)


def swap_lines(content: bytes, random: Random) -> Damage:
    """Two lines in each other's place."""
    lines = content.splitlines(keepends=True)
    i, j = random.integers(len(lines), size=2)
    if random.random() < 0.5:
        j = min(i + 1, len(lines) - 1)
    lines[i], lines[j] = lines[j], lines[i]
    return Damage("lines swapped", b"".join(lines), _local(len(lines[i]) + len(lines[j])))


def double_line(content: bytes, random: Random) -> Damage:
    """A line twice."""
    lines = content.splitlines(keepends=True)
    i = int(random.integers(len(lines)))
    return Damage("line doubled", b"".join([*lines[: i + 1], *lines[i:]]), _local(len(lines[i])))


def delete_line(content: bytes, random: Random) -> Damage:
    """A line left out."""
    lines = content.splitlines(keepends=True)
    i = int(random.integers(len(lines)))
    return Damage("line left out", b"".join([*lines[:i], *lines[i + 1 :]]), _local(len(lines[i])))


def number(content: bytes, random: Random) -> Damage:
    """A number replaced by none, a huge one, asterisks, or a command."""
    found = list(_NUMBER.finditer(content))
    if not found:
        return flip(content, random)
    match, word = found[random.integers(len(found))], _WORDS[random.integers(len(_WORDS))]
    return Damage("number replaced", content[: match.start()] + word + content[match.end() :], 2)


def tree(content: bytes, random: Random) -> Damage:
    """A value of a JSON text replaced by one of another type, left out, or nested."""
    values = json.loads(content)
    places: list[tuple[Any, Any]] = []
    todo = [values]
    while todo:
        part = todo.pop()
        keys = list(part) if isinstance(part, dict) else list(range(len(part))) if isinstance(part, list) else []
        places += [(part, key) for key in keys]
        todo += [part[key] for key in keys]
    if not places:
        return other(content, random)
    part, key = places[random.integers(len(places))]
    how = random.integers(10)
    if how == 0:
        del part[key]
    elif how == 1:
        part[key] = [part[key]]
    elif how == 2 and isinstance(part, dict):
        part[f"{key}_"] = part.pop(key)
    elif how == 3:
        part[key] = "@"
        deep = b"[" * 3000 + b"]" * 3000
        return Damage("value replaced", json.dumps(values).encode().replace(b'"@"', deep), 2)
    else:
        part[key] = _VALUES[random.integers(len(_VALUES))]
    return Damage("value replaced", json.dumps(values).encode(), 2)


ANY: Final = (flip, cut, double, delete, zeros, append, other)
TEXT: Final = (*ANY, cut_line, swap_lines, double_line, delete_line, number, number, number)
JSON: Final = (*TEXT, tree, tree, tree, tree, tree, tree)
Kind = Callable[[bytes, Random], Damage]
