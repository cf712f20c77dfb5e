"""Who made a result: versions, machine and command line, as attributes of its store."""

from __future__ import annotations

import platform
import shlex
import sys
import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from maladist.attributes import Attributes

PACKAGES: Final = ("maladist", "torch", "numba", "numpy", "scipy", "dask", "distributed", "zarr", "xarray", "ase")
"""Packages whose versions can change a number, or whether there is one."""


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Versions of Python and of the packages that are installed."""
    known = {"python": platform.python_version()}
    for name in packages:
        try:
            known[name] = version(name)
        except PackageNotFoundError:
            continue
    return known


def provenance() -> Attributes:
    """Attributes of a store that say who made it: ``command``, ``versions``, ``host``, ``finished`` (UTC)."""
    return {
        "command": shlex.join(sys.argv),
        "versions": versions(),
        "host": f"{platform.node()}, {platform.system()} {platform.release()}, {platform.machine()}",
        "finished": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
    }
