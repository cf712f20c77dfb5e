"""Pages of the reference that are made of the code: modules, commands, keys of YAML files, variables of stores."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from inspect import isclass, isfunction, ismodule
from typing import Final

import keys
from cyclopts.docs.markdown import generate_markdown_docs

import maladist
from maladist.cli.app import app
from maladist.cli.help import EXAMPLES, VERBS
from maladist.io.refused import REFUSED
from maladist.schema import LONG_NAMES, SCALARS, SIGMAS, VARIABLES

_CODE_OR_OPTION: Final = re.compile(r"(```.*?```|`[^`]*`)|(?<![\w-])(--[a-z][a-z-]*)", re.DOTALL)


def pages() -> Iterator[tuple[str, str]]:
    """All of them, by their place on the site."""
    yield "reference/python.rst", public_names()
    yield "reference/modules/index.md", modules_index()
    for room in rooms():
        yield f"reference/modules/maladist.{room}.rst", room_page(room)
    yield from commands()
    for name, text in keys.fragments():
        yield f"_made/{name}.md", text
    yield "_made/variables.md", variables()
    yield "_made/refused.md", "".join(f"- **{row.name}**. {row.why}\n" for row in REFUSED)


@cache
def rooms() -> dict[str, list[str]]:
    """Modules by their room, the part of their name below `maladist`; the command line's have pages of their own."""
    found: dict[str, list[str]] = {}
    for module in pkgutil.walk_packages(maladist.__path__, "maladist."):
        room = module.name.split(".")[1]
        if room not in ("cli", "__main__"):
            found.setdefault(room, []).append(module.name)
    return found


def public(module: str) -> list[str]:
    """Names of a module that are documented as `maladist.NAME`."""
    return [n for n in maladist.__all__ if getattr(getattr(maladist, n), "__module__", "") == module]


def public_names() -> str:
    """The page of what `import maladist` gives."""
    text = _title("The names of maladist") + "What ``import maladist`` gives, each when it is first asked for.\n"
    names = {n: getattr(maladist, n) for n in maladist.__all__}
    text += "\n.. py:module:: maladist\n\n"
    kinds = {
        "Functions": [n for n, v in names.items() if isfunction(v)],
        "Classes": [n for n, v in names.items() if isclass(v)],
    }
    there = [n for n, v in names.items() if ismodule(v)]
    text += "Modules: " + ", ".join(f":doc:`maladist.{n} <modules/maladist.{n}>`" for n in there) + ".\n\n"
    for kind, of_kind in kinds.items():
        text += _title(kind, "-")
        directive = "autofunction" if kind == "Functions" else "autoclass"
        for n in sorted(of_kind, key=str.lower):
            text += f".. {directive}:: maladist.{n}\n" + ("   :members:\n" if kind == "Classes" else "") + "\n"
    return text


def modules_index() -> str:
    """The list of the rooms, with what the module of each says of itself."""
    rows = ""
    for room in rooms():
        about = import_module(f"maladist.{room}").__doc__ or ""
        rows += f"| [maladist.{room}](maladist.{room}.rst) | {about.splitlines()[0]} |\n"
    toc = "\n".join(f"maladist.{room}" for room in rooms())
    return f"# Modules\n\n| room | |\n|---|---|\n{rows}\n```{{toctree}}\n:hidden:\n\n{toc}\n```\n"


def room_page(room: str) -> str:
    """A room's modules, each with its text and its names, but for those that are documented as `maladist.NAME`."""
    text = _title(f"maladist.{room}")
    for name in rooms()[room]:
        text += _title(name, "-")
        if elsewhere := public(name):
            text += "Public names: " + ", ".join(f":py:obj:`maladist.{n}`" for n in elsewhere) + ".\n\n"
        options = [":members:", ":ignore-module-all:", f":exclude-members: {', '.join(elsewhere)}"]
        # The function `maladist.cluster` has the name of its module, and is what is looked for.
        if isfunction(getattr(maladist, name.removeprefix("maladist."), None)):
            options.append(":no-index:")
        text += "\n   ".join([f".. automodule:: {name}", *options]) + "\n\n"
    return text


def commands() -> Iterator[tuple[str, str]]:
    """A page of each verb, as its --help has it, and one that lists them."""
    for verb, about in VERBS.items():
        several = [words.split() for words in EXAMPLES if words.startswith(f"{verb} ")]
        head = f"# maladist {verb}\n\n{about.line}\n\n"
        page = head + "\n".join(command(words, 2) for words in several) if several else command([verb], 1)
        yield f"reference/cli/{verb}.md", page
    table = "".join(f"| [{name}]({name}.md) | {verb.line} |\n" for name, verb in VERBS.items())
    epilogue = _with_options(str(app.help_epilogue))
    yield (
        "reference/cli/index.md",
        (
            f"# The command line\n\n{app.help}\n\n{epilogue}\n\n| verb | |\n|---|---|\n{table}\n"
            "```{toctree}\n:hidden:\n\n" + "\n".join(VERBS) + "\n```\n"
        ),
    )


def command(words: list[str], level: int) -> str:
    """What a command's --help says, below a heading of this level, and its example."""
    called = app.parse_commands(words)[1][-1]
    with app.app_stack(words):  # so that the command has what all commands have, as the letters of their options
        text = generate_markdown_docs(
            called, recursive=False, generate_toc=False, heading_level=level, command_chain=["maladist", *words]
        )
    return f"{_with_options(text)}\n```console\n$ {EXAMPLES[' '.join(words)]}\n```\n"


def variables() -> str:
    """Variables of the data contract."""
    text = "| variable | dims | dtype | units | |\n|---|---|---|---|---|\n"
    for name, v in VARIABLES.items():
        text += f"| `{name}` | {', '.join(v.dims)} | {v.dtype} | {v.units} | {v.doc} |\n"
    for name in SCALARS:
        units = "1" if name == "n_electrons" else "eV"
        text += f"| `{name}` | | float64 | {units} | {LONG_NAMES[name]} |\n"
    for name, sigma in SIGMAS.items():
        text += f"| `{name}` | | float64 | {sigma.units} | {LONG_NAMES[name]} |\n"
    return text


def _with_options(text: str) -> str:
    """A text whose options are code: of --json Sphinx would make a dash."""
    return _CODE_OR_OPTION.sub(lambda found: found[1] or f"`{found[2]}`", text)


def _title(text: str, underline: str = "=") -> str:
    return f"{text}\n{underline * len(text)}\n\n"
