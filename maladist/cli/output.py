"""The files that ``--json`` and its like name: refused before anything is computed, written in the end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from maladist.cli.streams import out
from maladist.io.targets import check_file, write_whole

_STANDARD_OUTPUT: Final = Path("-")


def _no_option(_: object, path: Path | None) -> None:
    # A hyphen must be let through for -, and with it the name of an option that follows a forgotten file.
    if path is not None and path != _STANDARD_OUTPUT and str(path).startswith("-"):
        raise ValueError("Wanted a file, or - for standard output.")


Json = Annotated[
    Path | None,
    Parameter(
        help="Write the results as JSON to this file as well; -: print it in place of the text.",
        allow_leading_hyphen=True,
        validator=_no_option,
    ),
]


def check_files(*, json: Path | None, **others: Path | None) -> None:
    """Refuse files that could not be written in the end; with ``--json -`` nothing but the JSON is printed."""
    out.quiet = json == _STANDARD_OUTPUT
    for name, path in {"json": json, **others}.items():
        if path is not None and path != _STANDARD_OUTPUT:
            check_file(path, name)


def write_json(path: Path | None, values: object) -> None:
    """Write values as JSON where a file is named, or - for standard output; what is not finite is null there."""
    if path is None:
        return
    text = json.dumps(_finite(values), indent=1, allow_nan=False, default=str)
    if path == _STANDARD_OUTPUT:
        print(text)
    else:
        write_whole(path, text + "\n", "json")


def _finite(value: object) -> object:
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not isfinite(value) else value
