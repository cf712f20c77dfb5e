"""Where every command prints: results on `out`, what is said beside them on `err`."""

from __future__ import annotations

from typing import Final

from rich.console import Console

out: Final = Console()
err: Final = Console(stderr=True)


def say(text: str, console: Console = out, style: str | None = None) -> None:
    """Print a line as it is: paths and numbers are not coloured, and a line is not broken at the terminal's width."""
    console.print(text, style=style, highlight=False, soft_wrap=True)
