"""How a run tells what it does: an Observer is told; the default one is silent."""

from __future__ import annotations

from typing import Any, Protocol

from distributed import Client


class Observer(Protocol):
    """What a run tells.

    A terminal's progress bar is one (cli), a test's list another.
    """

    def begin(self, client: Client, plan: Any) -> None:
        """A run of a plan begins on a client."""

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """A stage of ``total`` tasks begins, ``done`` of them finished by an earlier run."""

    def advance(self, report: Any) -> None:
        """A task of the stage has finished."""

    def note(self, text: str) -> None:
        """Something that the user should know."""


class Silent:
    """Tells nobody."""

    def begin(self, client: Client, plan: Any) -> None:
        """Nothing."""

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """Nothing."""

    def advance(self, report: Any) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""
