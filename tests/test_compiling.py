"""Numba's cache: of another version, or none."""

from __future__ import annotations

import pickle
from importlib import import_module, reload
from pathlib import Path

import pytest


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
