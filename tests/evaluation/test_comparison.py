"""Sums over blocks are sums over the cell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from distributed import Client

from maladist import LDOSModel, evaluate
from maladist.io import stores
from maladist.io.opening import open_dataset


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_errors_do_not_depend_on_the_blocks(
    made: Callable[..., Path], model: LDOSModel, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(shift=0.01)
    stores.write_region(path, "ldos", (), 1.1 * open_dataset(path)["ldos"].values)
    stores.seal(path)
    (whole,) = evaluate(model, path, client=client, precision="float64")
    monkeypatch.setattr("maladist.evaluation.comparison._POINTS", 200)
    (parts,) = evaluate(model, path, client=client, precision="float64", chunks=(4, 3, 14))
    for name, error in whole.figures().items():
        assert parts.figures()[name] == pytest.approx(error, rel=1e-6, abs=1e-6), name
