"""Where every command prints: results on `out`, what is said beside them on `err` and `progress`."""

from __future__ import annotations

from typing import Final

from rich.console import Console

# Without markup and emoji, in tables too: in `span[hosts=1]` or `a:x:b` nothing is meant for the terminal.
out: Final = Console(markup=False, emoji=False)
err: Final = Console(stderr=True, markup=False, emoji=False)
progress: Final = Console(stderr=True, markup=False, emoji=False)
"""How a run goes on; apart from `err`, so that it can be silent where notes and errors are not."""


def say(text: str, console: Console = out, style: str | None = None) -> None:
    """Print a line as it is: nothing is taken for markup, coloured, or broken at the terminal's width."""
    # On any console, and so not left to the settings of the two above.
    console.print(text, style=style, markup=False, emoji=False, highlight=False, soft_wrap=True)
