"""Loops that numba compiles: once on a machine where it finds a place for its cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Numba's ``njit`` without the GIL, cached on disk; not cached where numba finds no place to write."""
    try:
        made = njit(cache=True, nogil=True)(function)
        _forget_unreadable(made)
    except (RuntimeError, OSError):
        return njit(nogil=True)(function)
    return made


def _forget_unreadable(made: Any) -> None:
    """Empty a function's cache where it cannot be read.

    An older maladist may have left one that names types by modules that are no more, and numba reads it all before it
    looks whether it is of this source.
    """
    cache = made._cache
    try:
        cache._cache_file._load_index()
    except Exception:  # unpickling raises whatever an import may
        cache.flush()
