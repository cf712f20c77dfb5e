"""A prediction whose LDOS is kept, and the same LDOS lazily."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import dask
import matplotlib
import pytest
import xarray as xr
from distributed import Client

import maladist
from maladist.prediction import lazy
from maladist.testing import be_atoms, tiny_model

matplotlib.use("agg")

GRID, CHUNKS = (14, 14, 20), (5, 4, 7)  # 3 × 4 × 3 blocks


@pytest.fixture(scope="package")
def client() -> Iterator[Client]:
    """A cluster within this process: what is tested here is not the cluster."""
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as client:
        yield client


@pytest.fixture(scope="package")
def result(client: Client, tmp_path_factory: pytest.TempPathFactory) -> maladist.Prediction:
    """A prediction in float64 with its LDOS kept."""
    store = tmp_path_factory.mktemp("accessor") / "be.zarr"
    options: dict[str, Any] = {"client": client, "store": store, "keep": ("ldos",), "precision": "float64"}
    return maladist.predict(be_atoms(), tiny_model(), grid=GRID, chunks=CHUNKS, **options)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Indices of the blocks that were computed."""
    found: list[int] = []
    real: Callable[..., Any] = lazy._ldos_block

    def counting(grid: Any, block: Any, *rest: Any) -> Any:
        found.append(block.index)
        return real(grid, block, *rest)

    monkeypatch.setattr(lazy, "_ldos_block", counting)
    return found


@pytest.fixture
def field(computed: list[int]) -> Iterator[xr.DataArray]:
    """The same LDOS, lazily, and counting."""
    with dask.config.set(scheduler="sync"):
        yield maladist.ldos(be_atoms(), tiny_model(), grid=GRID, chunks=CHUNKS, precision="float64")
