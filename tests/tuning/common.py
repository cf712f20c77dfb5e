"""A small training to search around."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def training(store: Path, **more: Any) -> dict[str, Any]:
    where = {"train": str(store / "snapshots/train-*"), "points": 64}
    where |= {"validation": str(store / "snapshots/valid-0"), "validation_points": 64}
    return {
        "data": where,
        "descriptor": {"family": "bispectrum", "twojmax": 2, "cutoff": 3.5},
        "network": {"hidden": [8]},
        "batch": {"snapshots": 2, "points": 32},
        "epochs": 2,
        "validate_every": 1,
        "device": "cpu",
        **more,
    }
