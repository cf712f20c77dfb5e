"""Pictures as they are drawn, to be looked into."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Protocol

import pytest
from matplotlib.figure import Figure


class Watch(Protocol):
    """Gives the figures that a module writes from then on."""

    def __call__(self, module: ModuleType) -> list[Figure]: ...


@pytest.fixture
def drawn_by(monkeypatch: pytest.MonkeyPatch) -> Watch:
    def watch(module: ModuleType) -> list[Figure]:
        drawn: list[Figure] = []

        def keep(figure: Figure, path: Path, _: str) -> Path:
            drawn.append(figure)
            figure.savefig(path)
            return path

        monkeypatch.setattr(module, "write_picture", keep)
        return drawn

    return watch
