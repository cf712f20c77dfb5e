"""A small model of all kinds of parts, and descriptors for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from maladist.descriptors import BispectrumSpec
from maladist.elements import Element
from maladist.energy_grid import EnergyGrid
from maladist.learning.model import LDOSModel
from maladist.learning.network import FeedForward
from maladist.learning.scaling import Moments, Scaler

SPEC = BispectrumSpec(twojmax=2, cutoff=3.0)


LEVELS = 4


def points(n: int, seed: int = 2, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    x = torch.randn(n, SPEC.n_features, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (5 * x + 20).to(dtype)


def made(**changes: Any) -> LDOSModel:
    torch.manual_seed(3)
    radii = np.linspace(0, 2, 9)
    core = {"core_radii": radii, "core_rab": np.gradient(radii), "core_density": np.exp(-radii)}
    local = {"local_radii": radii, "local_rab": np.gradient(radii), "local_potential": -2.0 / (1 + radii)}
    parts: dict[str, Any] = {
        "network": FeedForward((SPEC.n_features, 16, 16, LEVELS), "SiLU", residual=True, dropout=0.1),
        "input_scaler": Scaler.fit(Moments.of(points(50)), "standard", feature_wise=True),
        "output_scaler": Scaler(
            "minmax", False, torch.tensor([-0.1], dtype=torch.float64), torch.tensor([0.3], dtype=torch.float64)
        ),
        "descriptor": SPEC,
        "energy_grid": EnergyGrid(-5.0, 0.1, LEVELS, "gaussian", 0.2),
        "elements": {"Be": Element("Be", 2.0, "Be.upf", "ab" * 32, **core, **local), "H": Element("H")},
        "xc": "pbe",
        "temperature": 1000.0,
        "spacing": (0.15, 0.15, 0.14),
        "density_cutoff": 400.0,
        "electrons_per_atom": 1.5,
        "provenance": {"source": "test", "errors": [0.1, 0.2], 3: None},
    }
    return LDOSModel(**(parts | changes))


def with_channel(**changes: Any) -> LDOSModel:
    """The same with a density channel: one output more, scaled by 0.1 ± 0.02 1/Å³."""
    torch.manual_seed(3)
    scaler = Scaler(
        "standard", False, torch.tensor([0.1], dtype=torch.float64), torch.tensor([0.02], dtype=torch.float64)
    )
    network = FeedForward((SPEC.n_features, 16, 16, LEVELS + 1), "SiLU")
    return made(network=network, density_scaler=scaler, **changes)
