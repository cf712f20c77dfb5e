"""The files that ``--json`` and its like name: refused before anything is computed, written in the end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from pathlib import Path

from maladist.io.targets import check_file, write_whole


def check_files(**paths: Path | None) -> None:
    """Refuse files of these options that could not be written in the end."""
    for name, path in paths.items():
        if path is not None:
            check_file(path, name)


def write_json(path: Path | None, values: object) -> None:
    """Write values as JSON where a file is named; what is not finite is null there."""
    if path is not None:
        write_whole(path, json.dumps(_finite(values), indent=1, allow_nan=False, default=str) + "\n", "json")


def _finite(value: object) -> object:
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not isfinite(value) else value
