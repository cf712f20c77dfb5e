"""A zip of a model, as MALA writes it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.io.mala.writing import (
    FEATURES,
    LEVELS,
    dumped,
    information,
    mala_layers,
    parameters,
    scaler_of,
    torch_bytes,
)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a zip as MALA does; any member may be given in bytes instead, None leaves it out."""

    def written(
        params: Mapping[str, Any] | None = None,
        layers: torch.nn.ModuleList | None = None,
        info: Mapping[str, Any] | None = None,
        **members: bytes | None,
    ) -> Path:
        params = parameters() if params is None else params
        layers = mala_layers([FEATURES, 6, LEVELS], ["ReLU", None]) if layers is None else layers
        weights = {f"layers.{name}": weight for name, weight in layers.state_dict().items()}
        content: dict[str, bytes | None] = {
            "network.pth": torch_bytes(weights, _use_new_zipfile_serialization=False),
            "iscaler.pkl": dumped(scaler_of("None", torch.zeros(2, 2))),
            "oscaler.pkl": dumped(scaler_of("None", torch.zeros(2, 2))),
            "params.json": json.dumps(params).encode(),
            "info.json": json.dumps(information([4, 4], 4.0) if info is None else info).encode(),
        }
        content |= {name.replace("_", "."): value for name, value in members.items()}
        path = tmp_path / "Some_model.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, value in content.items():
                if value is not None:
                    archive.writestr(f"Some_model.{name}", value)
        return path

    return written
