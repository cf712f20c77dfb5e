"""Snapshots of what a model predicts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ase import Atoms
from distributed import Client

from maladist import LDOSModel, predict
from maladist.testing import be_atoms
from tests.evaluation.common import GRID, as_snapshot


@pytest.fixture
def made(model: LDOSModel, client: Client, tmp_path: Path) -> Callable[..., Path]:
    """Makes a snapshot of what the model predicts."""

    def make(name: str = "a", atoms: Atoms | None = None, shift: float = 0.0, without: str = "") -> Path:
        store = tmp_path / f"{name}.zarr"
        found = predict(atoms or be_atoms(), model, grid=GRID, store=store, keep=("ldos",), client=client)
        return as_snapshot(found, shift, without)

    return make
