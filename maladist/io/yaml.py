"""YAML files of configurations, read as they are written.

The schema is YAML 1.2's core schema less every number that would not be written back as it stands: true and false, null
and ~, whole numbers without a leading zero, and floats (1e-4 too). All else is text. So ``walltime: 12:00:00`` is not
43200, ``account: 012345`` is not 5349, and ``No: 70.0`` speaks of nobelium: YAML 1.1, which most readers implement,
changes all three.
"""

from __future__ import annotations

import io
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final, Self

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.resolver import BaseResolver

from maladist.configuration import Section
from maladist.errors import InputError

LARGEST: Final = 2**20
"""Bytes of a file: a configuration is written by hand, and lists of a thousand snapshots still fit."""
DEEPEST: Final = 50
"""Mappings and lists within one another."""
MOST: Final = 100_000
"""Values of a file, those that aliases repeat included: each of ten aliases of ten aliases of ... counts."""


class _AsWritten(BaseResolver):
    """The scalars that are not text, see the module's head."""

    # A %YAML directive in the file does not bring the old meanings back.
    processing_version = (1, 2)

    def __init__(self, version: object = None, loader: object = None, loadumper: object = None) -> None:
        super().__init__(loader or loadumper)
        self._loader_version = version


for _tag, _form, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"0|-?[1-9][0-9]{0,17}", list("-0123456789")),  # longer ones are names: no 64-bit integer holds them
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
              r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", list("-+.0123456789")),
):  # fmt: skip
    _AsWritten.add_implicit_resolver_base(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_form})\Z"), _first)


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)  # safe: no tag of a file makes an object; pure: the C parser has another schema
    yaml.Resolver = _AsWritten
    # Brackets by the thousand would end Python's stack before our own bound is looked at.
    yaml.max_depth = DEEPEST
    yaml.composer.warn_double_anchors = False  # an anchor that is given twice is lawful
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    return yaml


def read_yaml(path: str | Path, argument: str = "config", error: type[InputError] = InputError) -> dict[object, object]:
    """Read a YAML file that holds a mapping.

    Parameters
    ----------
    path
        Regular file of at most a megabyte, in UTF-8.
    argument
        Name of the file's role to the caller, for errors.
    error
        Class of the error to raise.

    Returns
    -------
    dict
        Texts, numbers, truth values, None, and lists and mappings of them. Keys are texts or whole numbers.

    Raises
    ------
    InputError
        Raised as ``error``: a path that is not such a file; text that is not YAML; a key that is given twice; values
        that are too many, too deep, or of another type.
    """
    path = Path(path)
    try:
        values = parse_yaml(_text(path))
    except (OSError, ValueError, YAMLError, RecursionError) as reason:
        raise error(argument, f"{path} cannot be read ({_said(reason)})", "a YAML file") from reason
    if not isinstance(values, dict):
        raise error(argument, f"{path} holds {_kind(values)}", "a mapping")
    return values


def _said(reason: Exception) -> str:
    """What an error says, in one line; of YAML's own the place and the problem."""
    if isinstance(reason, MarkedYAMLError) and reason.problem_mark is not None:
        mark, problem = reason.problem_mark, str(reason.problem).partition(", if necessary")[0]
        return f"line {mark.line + 1}, column {mark.column + 1}: {problem}".split("\n")[0]
    return f"{' '.join(str(reason).split()) or type(reason).__name__:.300}"


def _text(path: Path) -> str:
    if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for, for ever
        raise ValueError("it is a directory" if path.is_dir() else "it is not a regular file")
    with path.open("rb") as file:
        # One byte more than allowed shows a larger file without reading it: /proc and the like tell no size beforehand.
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"it is larger than {LARGEST} bytes")
    # Editors of Windows put a byte-order mark in front.
    return content.decode("utf-8-sig")


def parse_yaml(text: str) -> object:
    """Read the values of a YAML text, with the bounds of `read_yaml`.

    Raises
    ------
    ValueError
        Values that are too many, too deep, or of a type that configurations do not have.
    ruamel.yaml.YAMLError
        Text that is not YAML.
    """
    values = _yaml().load(text)
    left, level, depth = MOST, [values], 0
    while level:  # breadth first: an alias bomb, or a list that holds itself, ends at the bounds
        left, depth = left - len(level), depth + 1
        if left < 0 or depth > DEEPEST + 1:
            raise ValueError(f"it holds more than {MOST} values, or deeper ones than {DEEPEST}")
        below: list[object] = []
        for value in level:
            if isinstance(value, dict):
                if odd := [key for key in value if type(key) not in (str, int)]:
                    raise ValueError(f"a key is {_kind(odd[0])}, not a text or a whole number")
                below += value.values()
            elif isinstance(value, list):
                below += value
            elif type(value) not in (str, int, float, bool, type(None)):
                raise ValueError(f"a value is {_kind(value)}")
            # Not to build a list of a billion values only to count it.
            if len(below) > left:
                break
        level = below
    return values


def _kind(value: object) -> str:
    names = {
        type(None): "nothing",
        list: "a list",
        str: "a text",
        dict: "a mapping",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), f"a {type(value).__name__}")


def yaml_text(values: Mapping[str, object]) -> str:
    """Write plain values as YAML text that `read_yaml` reads back as they are."""
    stream = io.StringIO()
    _yaml().dump(dict(values), stream)
    return stream.getvalue()


class Configuration(Section):
    """A section that has a YAML file of its own."""

    argument: ClassVar[str] = "config"
    """What the file is called in errors."""

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a YAML file; its relative paths are taken from the file's folder.

        Raises
        ------
        InputError
            A file that cannot be read, or the first key that is wrong.
        """
        path = Path(path)
        return cls.of(read_yaml(path, cls.argument, cls.error), str(path), path.parent)
