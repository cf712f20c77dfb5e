"""Tables for notebooks: what an object says of itself as HTML."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


def html_table(title: str, rows: Iterable[tuple[str, ...]], head: tuple[str, ...] = ()) -> str:
    """A small table with a title; the first column names, of several others each is aligned to the right.

    Parameters
    ----------
    title
        Plain text above the table.
    rows
        Cells as plain text.
    head
        Names of the columns.
    """
    rows = list(rows)
    # Two columns are a list of facts, more are a table of numbers.
    numbers = max(map(len, rows), default=2) > 2
    right, left = 'style="text-align:right"', 'style="text-align:left"'
    names = f"<tr>{''.join(f'<th {left if i == 0 else right}>{escape(h)}</th>' for i, h in enumerate(head))}</tr>"
    body = "".join(
        f"<tr>{''.join(f'<td {right if i and numbers else left}>{escape(c)}</td>' for i, c in enumerate(row))}</tr>"
        for row in rows
    )
    top = f"<thead>{names}</thead>" if head else ""
    return f"<div><strong>{escape(title)}</strong><table>{top}<tbody>{body}</tbody></table></div>"


def size(n_bytes: float) -> str:
    """A number of bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"
