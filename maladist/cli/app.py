"""The command `maladist`: its verbs, each in a file of its group, and what it says when one ends."""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path

from cyclopts import App, CycloptsError, Parameter

import maladist
from maladist.cli import words
from maladist.cli.console import Notes
from maladist.cli.help import add_verbs
from maladist.cli.stopping import stopped_by_signals, what_is_kept
from maladist.cli.streams import err, out, progress, say
from maladist.errors import AccuracyWarning, BlockError, ClusterLostError, InputError, SnapshotsError
from maladist.interrupt import imports_are_done
from maladist.io.targets import refusal

app = App(
    name="maladist",
    version=lambda: maladist.__version__,
    default_parameter=Parameter(negative=(), short_alias=words.letters),
    config=words.all_that_is_missing,
    result_action="return_value",  # the exit status is ours, in main
    suppress_keyboard_interrupt=False,  # and so is what is said after Ctrl-C
    help="Electronic structure of large cells at finite temperature: atoms and a model in; n(r), D(ε) and A[n] out.",
    help_epilogue=(
        "Every command takes --quiet or -q (no progress; results, notes and errors stay) and --debug (tracebacks).\n\n"
        "Exit status: 0, done; 1, what was looked at is not good (check, doctor); 2, words, files or input were"
        " refused; 3, the run failed: a block, a snapshot's DFT, the cluster; 128 + N, stopped by signal N."
    ),
)
REFUSED, FAILED = 2, 3

add_verbs(app)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit status is 0 or, after one line, that which ``maladist --help`` tells."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    tokens = [t for t in given if t not in ("--debug", "--quiet", "-q")]
    # What a command before this one in the same process has silenced may speak again.
    progress.quiet, out.quiet = bool({"--quiet", "-q"} & set(given)), False
    # Once a process: tests and notebooks call `main` many times.
    if not (log := logging.getLogger("maladist")).handlers:
        log.addHandler(Notes(err))
    if not debug:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", AccuracyWarning)  # what is less certain than it looks is said, as a note
        warnings.showwarning = lambda message, *_, **__: log.warning("%s", message)
    try:
        app.parse_commands(tokens)  # imports the verb
        imports_are_done()
        with stopped_by_signals():
            app(tokens, exit_on_error=False, print_error=False)
    except (InputError, BlockError, CycloptsError, OSError) as error:
        if debug:
            raise
        refused = str(refusal(error) if isinstance(error, OSError) else error)
        if isinstance(error, CycloptsError):
            refused = str(words.first_of(error))
            refused += f" See {' '.join(['maladist', *(error.command_chain or ())])} --help."
        # soft_wrap: one error is one line, whatever the width of the terminal, so that programs can read it.
        say(f"maladist: {refused}", err, style="red")
        for note in getattr(error, "__notes__", ()):
            say(f"  {note}", err)
        # What a task has refused of its input is that input's fault, though it is a block that failed of it.
        reason = error.__cause__ if isinstance(error.__cause__, InputError) else error
        status = FAILED if isinstance(reason, BlockError | ClusterLostError | SnapshotsError) else REFUSED
    except (KeyboardInterrupt, ImportError) as error:
        # An extension module that Ctrl-C meets while it is imported makes an ImportError of it.
        stopped = error.__cause__ if isinstance(error, ImportError) else error
        if not isinstance(stopped, KeyboardInterrupt):
            raise
        said, status = what_is_kept(stopped, tokens[0] if tokens else "", _output(tokens))
        say(f"maladist: {said}", err)
    else:
        status = 0
    return status


def _output(tokens: list[str]) -> Path | None:
    """What a command makes, where it says so by ``--output``."""
    try:
        _, bound, _ = app.parse_args(tokens, exit_on_error=False, print_error=False)
    except CycloptsError:  # it was stopped before it had been read
        return None
    return bound.arguments.get("output")
