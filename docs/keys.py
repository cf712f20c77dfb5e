"""Keys of the YAML files, with types and defaults, from the classes that read them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic_core import PydanticUndefined

from maladist.active.config import LearnConfig
from maladist.cluster.description import Batch, Kubernetes, Local, Running
from maladist.configuration import Section
from maladist.datasets.dft.espresso import Espresso
from maladist.datasets.dft.gpaw import GPAW
from maladist.training.config import TrainConfig
from maladist.tuning.config import TuneConfig

FILES: Final[Mapping[str, list[type[Section]]]] = {
    "train": [TrainConfig],
    "tune": [TuneConfig],
    "dft": [Espresso, GPAW],
    "learn": [LearnConfig],
    "cluster": [Local, Batch, Kubernetes, Running],
}
"""The classes that read each file; of a cluster its key ``kind``, of a DFT its key ``code`` says which."""

_Found = tuple[str, type[Section], Section | None]
_FILES: Final = (TrainConfig,)
"""Sections that are files of their own: their keys are on that file's page."""
_TYPES: Final = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "mapping",
    "null": "none",
}
_BOUNDS: Final = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
_NAMED: Final = re.compile(r"^(\w[\w, ]*)\n((?:[ ]+.*\n|\n)+)", re.MULTILINE)


def fragments() -> Iterator[tuple[str, str]]:
    """Tables of each file, by the fragment's name."""
    for name, classes in FILES.items():
        if len(classes) == 1:
            yield f"keys-{name}", tables(classes[0], "##")
        else:
            parts = (f"## {_kinds(c)}\n\n{_summary(c)}\n\n{tables(c, '###')}" for c in classes)
            yield f"keys-{name}", "\n".join(parts)


def tables(top: type[Section], level: str) -> str:
    """A table of a file's own keys, and one of each of its sections below a heading of this level."""
    schema = top.model_json_schema()
    parts = [_table(top, schema["properties"], None)]
    for key, section, default in _sections(top, None):
        of_section = schema["$defs"][section.__name__]["properties"]
        parts.append(f"{level} `{key}`\n\n{_summary(section)}\n\n{_table(section, of_section, default)}")
    return "\n".join(parts)


def _table(section: type[Section], schema: Mapping[str, Any], default: Section | None) -> str:
    """Keys of a section with their types and defaults: its own, or those of an instance of it."""
    said = _descriptions(section)
    rows = ["| key | |", "|---|---|"]  # two columns: a telephone shows both
    for name, field in section.model_fields.items():
        inner = next(_classes(field.annotation), None)
        text = _summary(inner) if inner and inner not in _FILES else said.get(name, _markdown(field.description or ""))
        value = field.get_default(call_default_factory=True) if default is None else getattr(default, name)
        told = [text, f"*{_words(schema[name])}*; {_written(value)}"]
        rows.append(f"| `{name}` | {'<br>'.join(filter(None, told))} |")
    return "\n".join(rows) + "\n"


def _sections(section: type[Section], default: Section | None, before: str = "") -> Iterator[_Found]:
    """Sections below a section: keys with dots, classes, and what they are where nothing is said."""
    for name, field in section.model_fields.items():
        value = field.get_default(call_default_factory=True) if default is None else getattr(default, name)
        for inner in _classes(field.annotation):
            if inner not in _FILES:
                own = value if isinstance(value, inner) else None
                yield f"{before}{name}", inner, own
                yield from _sections(inner, own, f"{before}{name}.")


def _classes(annotation: object) -> Iterator[type[Section]]:
    """The sections that a type names."""
    if inspect.isclass(annotation) and issubclass(annotation, Section):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _classes(part)


def _descriptions(section: type[Section]) -> dict[str, str]:
    """What the docstrings of a section and of its bases say of each key."""
    said: dict[str, str] = {}
    for c in reversed(section.__mro__):
        _, _, attributes = inspect.cleandoc(c.__doc__ or "").partition("Attributes\n----------\n")
        for names, text in _NAMED.findall(attributes + "\n"):
            said |= dict.fromkeys(names.split(", "), _markdown(" ".join(text.split())))
    return said


def _written(value: object) -> str:
    """A default as YAML has it."""
    if value is PydanticUndefined:
        return "**needed**"
    if isinstance(value, Section):
        return "its own are below"
    if value is None or isinstance(value, bool):
        value = {None: "none", True: "true", False: "false"}[value]
    return f"default `{value}`"


def _words(schema: Mapping[str, Any]) -> str:
    """A JSON schema's type in words."""
    if "$ref" in schema:
        return "section"
    if "anyOf" in schema:
        return ", or ".join(dict.fromkeys(_words(part) for part in schema["anyOf"]))
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "prefixItems" in schema:
        return f"{len(schema['prefixItems'])} times {_words(schema['prefixItems'][0])}"
    if "items" in schema:
        return f"list of {_words(schema['items'])}"
    kind = _TYPES.get(schema.get("type", ""), "any")
    return f"{kind} {', '.join(f'{sign} {schema[name]}' for name, sign in _BOUNDS.items() if name in schema)}".strip()


def _kinds(section: type[Section]) -> str:
    """The kinds of cluster, or the DFT code, that a class describes."""
    kind = section.model_fields["kind" if "kind" in section.model_fields else "code"].annotation
    return ", ".join(f"`{name}`" for name in getattr(kind, "__args__", ()))


def _summary(section: type[Section]) -> str:
    return _markdown(" ".join(inspect.cleandoc(section.__doc__ or "").split("\n\n")[0].split()))


def _markdown(text: str) -> str:
    """A docstring's text as Markdown, in a cell of a table."""
    return re.sub(r":\w+:`([^`]+)`", r"`\1`", text).replace("``", "`").replace("|", "\\|")
