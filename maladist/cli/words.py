"""The words of a command: the letters that stand for options, and what is said of options missing or unknown."""

from __future__ import annotations

from typing import Final

from cyclopts import App, ArgumentCollection, CycloptsError, Token, UnknownOptionError
from cyclopts.field_info import FieldInfo
from cyclopts.utils import is_option_like

LETTERS: Final = {"output": "-o", "model": "-m", "temperature": "-T"}
"""By the option's name, wherever it is one."""


class MissingWordsError(CycloptsError):
    """Arguments and options that a command cannot do without and that were not given."""


def letters(option: FieldInfo, taken: frozenset[str]) -> str | None:
    """The letter that stands for an option of this name in every command; cyclopts asks for each."""
    letter = LETTERS.get(option.name)
    return None if letter in taken else letter


def all_that_is_missing(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Name all that a command needs and has not been given, once the words and the environment have been read.

    Raises
    ------
    MissingWordsError
        Naming them; cyclopts itself says of the first that it requires an argument.
    """
    del app, commands
    # A group of options is not one of them, and is missing where one of its own is.
    missing = [a.name for a in arguments if a.required and not a.has_tokens and not a.children]
    if missing:
        named = ", ".join(name if name.startswith("-") else name.upper() for name in missing)
        raise MissingWordsError(f"missing: {named}.")


def first_of(error: CycloptsError) -> CycloptsError:
    """What is to be said first: of an option that does not exist, before what is missing, which it may have meant."""
    unknown = [w for w in error.unused_tokens or () if is_option_like(w)]
    if not isinstance(error, MissingWordsError) or not unknown or error.app is None:
        return error
    there = error.app.assemble_argument_collection()
    return UnknownOptionError(
        verbose=False, token=Token(keyword=unknown[0].partition("=")[0], source="cli"), argument_collection=there
    )
