"""The DFT codes that a YAML file can name."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from maladist.datasets.dft.espresso import Espresso
from maladist.datasets.dft.gpaw import GPAW
from maladist.errors import InputError
from maladist.io.yaml import read_yaml

CODES: Final[dict[str, type[Espresso | GPAW]]] = {"espresso": Espresso, "gpaw": GPAW}
"""Codes by the name that the key ``code`` gives; the first where it gives none."""


def read_code(path: str | Path) -> Espresso | GPAW:
    """Read the settings of a DFT code, of the one that the file's key ``code`` names.

    Raises
    ------
    InputError
        A file that cannot be read, a code that is not known, or the first key that is wrong.
    """
    name = read_yaml(path, Espresso.argument).get("code", next(iter(CODES)))
    if not isinstance(name, str) or name not in CODES:
        raise InputError(f"{path}: code", repr(name), " or ".join(CODES))
    return CODES[name].read(path)
