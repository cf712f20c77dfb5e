"""Numba's cache: of another version, or none."""

from __future__ import annotations

import pickle
from importlib import import_module, reload
from pathlib import Path
from typing import Any

import pytest

from maladist import compiling


def test_a_cache_of_an_older_version_that_cannot_be_read_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its index names a type of a module that was moved since: numba alone would fail with ModuleNotFoundError."""
    source = "from maladist.compiling import compiled\n@compiled\ndef more(x):\n    return x + 1\n"
    (tmp_path / "of_an_older_version.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path / "cache"))
    module = import_module("of_an_older_version")
    assert module.more(1) == 2
    (index,) = (tmp_path / "cache").rglob("*.nbi")
    with index.open("rb") as file:
        version = pickle.load(file)
    index.write_bytes(pickle.dumps(version) + b"cmaladist.gone\nBins\n.")
    assert reload(module).more(2) == 3
    with index.open("rb") as file:
        assert pickle.load(file) == version and len(pickle.load(file)) == 2


def test_without_a_place_for_the_cache_it_compiles_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    njit = compiling.njit

    def nowhere(cache: bool = False, **options: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(compiling, "njit", nowhere)
    assert compiling.compiled(lambda x: x + 1)(2) == 3
