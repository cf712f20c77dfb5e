"""A prediction in one block, which those of many are held against; atoms and workers of the tests of accidents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import ase.io
import pytest
from ase import Atoms
from distributed import Client

import maladist
from maladist import LDOSModel, Prediction
from maladist.testing import be_atoms
from tests.prediction.faults import PRELOAD

DOUBLE = {"precision": "float64"}


@pytest.fixture(scope="module")
def whole(atoms: Atoms, model: LDOSModel, client: Client) -> Prediction:
    """One block, float64."""
    return maladist.predict(atoms, model, client=client, chunks=(99, 99, 99), **DOUBLE)


@pytest.fixture(scope="session")
def structure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight Be atoms in a file, so that all runs read the same digits."""
    path = tmp_path_factory.mktemp("atoms") / "be8.extxyz"
    ase.io.write(path, be_atoms((2, 2, 1)))
    return path


@pytest.fixture(scope="module")
def workers() -> Iterator[Client]:
    """Two processes that know of accidents."""
    with maladist.cluster(PRELOAD, workers=2) as client:
        yield client
