"""Small trainings, and what is looked at of their results."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import torch

from maladist import LDOSModel, TrainConfig

PSEUDOPOTENTIALS = Path(__file__).parents[1] / "data" / "pseudopotentials"
SMALL: dict[str, Any] = {
    "descriptor": {"family": "bispectrum", "twojmax": 2, "cutoff": 3.5},
    "network": {"hidden": [16, 16]},
    "batch": {"snapshots": 2, "points": 32},
    "optimiser": {"name": "AdamW", "lr": 5e-3},
    "epochs": 4,
    "validate_every": 2,
    "device": "cpu",
}


def config_of(store: Path, points: float = 100, validation: bool = True, **more: Any) -> TrainConfig:
    where: dict[str, Any] = {"train": str(store / "snapshots/train-*"), "points": points}
    if validation:
        where |= {"validation": str(store / "snapshots/valid-0"), "pseudopotentials": str(PSEUDOPOTENTIALS)}
    where |= more.pop("data", {})
    return TrainConfig.of({"data": where, **SMALL, **more})


def weights(model: LDOSModel) -> dict[str, torch.Tensor]:
    return dict(model.network.state_dict())


def metrics(output: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((output / "metrics.csv").read_text().splitlines()))


def equal(a: LDOSModel, b: LDOSModel) -> bool:
    return all(torch.equal(x, weights(b)[name]) for name, x in weights(a).items())
