"""A small model, a small crystal and a real cluster of processes for the engine's tests."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from ase import Atoms
from distributed import Client

from maladist import LDOSModel, cluster
from maladist.testing import be_atoms, tiny_model


@pytest.fixture(scope="session")
def model() -> LDOSModel:
    """The small model."""
    return tiny_model()


@pytest.fixture(scope="session")
def atoms() -> Atoms:
    """Two Be atoms in a strained triclinic cell, one of them outside of it."""
    return be_atoms()


@pytest.fixture(scope="session")
def client() -> Iterator[Client]:
    """A real local cluster: two processes."""
    with cluster("local", workers=2) as client:
        yield client


def same(a: np.ndarray, b: np.ndarray, relative: float) -> bool:
    """Whether two arrays agree to a share of the largest value."""
    return bool(np.abs(np.asarray(a) - np.asarray(b)).max() <= relative * np.abs(np.asarray(b)).max())
