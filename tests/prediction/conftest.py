"""A prediction in one block, which those of many are held against."""

from __future__ import annotations

import pytest
from ase import Atoms
from distributed import Client

import maladist
from maladist import LDOSModel, Prediction

DOUBLE = {"precision": "float64"}


@pytest.fixture(scope="module")
def whole(atoms: Atoms, model: LDOSModel, client: Client) -> Prediction:
    """One block, float64."""
    return maladist.predict(atoms, model, client=client, chunks=(99, 99, 99), **DOUBLE)
