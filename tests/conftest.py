"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Torch's own threads would fight with those of the Dask workers that tests start."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of DFT reference data named by MALADIST_TEST_DATA; skips where it is absent."""
    folder = os.environ.get("MALADIST_TEST_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("MALADIST_TEST_DATA names no folder: reference data absent")
    return Path(folder)


@pytest.fixture(scope="session")
def own_data() -> Path:
    """Small data that the repository carries."""
    return Path(__file__).parent / "data"


DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    """Every device that this machine has."""
    return str(request.param)
