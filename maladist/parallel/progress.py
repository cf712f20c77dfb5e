"""How a run tells what it does: to an Observer, by whatever function computes; the default one is silent.

A run begins on a client, goes through stages of so many tasks each, and may have something to note. What a finished
task tells is a `Finished`: an epoch of a training, a trial of a search, a snapshot of a DFT, a block of a prediction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from maladist.parallel.here import Runner


class Finished:
    """A finished task of a stage; what derives from it has more to tell."""

    def line(self, *, bar: bool) -> str:
        """What to say of it in a line, empty where that it is done says all.

        ``bar``: beside a bar that counts the tasks, so that only what the user waits for needs a line.
        """
        del bar
        return ""

    @property
    def peak_memory_bytes(self) -> int:
        """Most memory that its process has used so far; 0 where it does not tell."""
        return 0


class Observer(Protocol):
    """Who is told what a run does: a terminal (cli), a list in a test, a relay from a worker to its client."""

    def begin(self, client: Runner, work: str) -> None:
        """A run begins on a client or in this process; ``work`` says in a few words what it has to do."""

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """A stage of ``total`` tasks begins, ``done`` of them finished by an earlier run."""

    def advance(self, task: Finished) -> None:
        """A task of the stage has finished."""

    def note(self, text: str) -> None:
        """Something that the user should know."""


class Silent:
    """An observer that tells nobody; others may derive from it and listen to what they want."""

    def begin(self, client: Runner, work: str) -> None:
        """Nothing."""

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """Nothing."""

    def advance(self, task: Finished) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


def advance(observer: Observer, result: object) -> None:
    """Tell an observer of a task by what the task returned, which may have something to tell itself."""
    observer.advance(result if isinstance(result, Finished) else Finished())
