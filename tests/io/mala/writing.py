"""Networks, scalers and parameters as MALA writes them, and what MALA computes with them."""

from __future__ import annotations

import io
import pickle
import sys
import types
from collections.abc import Mapping
from typing import Any

import torch

TWOJMAX, FEATURES, LEVELS = 2, 5, 3
MODULE = "mala.datahandling.data_scaler"


class DataScaler:
    """Pickles under the name of MALA's data scaler."""


DataScaler.__module__ = MODULE


def dumped(scaler: DataScaler) -> bytes:
    """Pickle as MALA does; its module is there only meanwhile, so that reading cannot need it."""
    names = ["mala", "mala.datahandling", MODULE]
    for name in names:
        sys.modules[name] = types.ModuleType(name)
    sys.modules[MODULE].DataScaler = DataScaler  # type: ignore[attr-defined]
    try:
        return pickle.dumps(scaler, protocol=4)
    finally:
        for name in names:
            del sys.modules[name]


def scaler_of(kind: str, data: torch.Tensor, minmax_name: str = "scale_normal") -> DataScaler:
    """A scaler of MALA, fitted: whole or feature-wise attributes, in MALA's shapes."""
    scaler = DataScaler()
    wise, standard, minmax = "feature-wise" in kind, "standard" in kind, "normal" in kind or "minmax" in kind
    empty = torch.empty(0)
    state: dict[str, Any] = {
        "use_ddp": False,
        "typestring": kind,
        "scale_standard": standard,
        minmax_name: minmax,
        "feature_wise": wise,
        "cantransform": True,
        "means": data.mean(0, keepdim=True) if wise and standard else empty,
        "stds": data.std(0, keepdim=True) if wise and standard else empty,
        "maxs": data.amax(0) if wise and minmax else empty,
        "mins": data.amin(0) if wise and minmax else empty,
        "total_mean": data.mean() if standard and not wise else torch.tensor(0),
        "total_std": data.std() if standard and not wise else torch.tensor(0),
        "total_max": data.max() if minmax and not wise else torch.tensor(-torch.inf),
        "total_min": data.min() if minmax and not wise else torch.tensor(torch.inf),
        "total_data_count": 0,
    }
    scaler.__dict__.update(state)
    return scaler


def scaled(kind: str, x: torch.Tensor, data: torch.Tensor, back: bool = False) -> torch.Tensor:
    """What a scaler of that kind, fitted to the data, does, in one expression."""
    if kind == "None":
        return x
    over = {"dim": 0} if "feature-wise" in kind else {}
    low, size = data.mean(**over), data.std(**over)
    if "standard" not in kind:
        low, size = data.amin(**over), data.amax(**over) - data.amin(**over)
    return x * size + low if back else (x - low) / size


def mala_layers(sizes: list[int], activations: list[str | None]) -> torch.nn.ModuleList:
    """Linear layers and activations in one list, numbered through as MALA's are."""
    torch.manual_seed(5)
    layers: list[torch.nn.Module] = []
    for i, name in enumerate(activations):
        layers.append(torch.nn.Linear(sizes[i], sizes[i + 1]))
        if name is not None:
            implicit = {"dim": -1} if name in ("Softmax", "Softmin", "LogSoftmax") else {}
            layers.append(getattr(torch.nn, name)(**implicit))
    return torch.nn.ModuleList(layers)


def run(layers: torch.nn.ModuleList, x: torch.Tensor) -> torch.Tensor:
    layers.eval()
    with torch.no_grad():
        for layer in layers:
            x = layer(x)
    return x


def parameters(**changes: Mapping[str, Any]) -> dict[str, Any]:
    params: dict[str, Any] = {
        "descriptors": {
            "descriptor_type": "Bispectrum",
            "bispectrum_twojmax": TWOJMAX,
            "bispectrum_cutoff": 3.5,
            "bispectrum_switchflag": 1,
            "descriptors_contain_xyz": True,
        },
        "network": {
            "nn_type": "feed-forward",
            "layer_sizes": [FEATURES, 6, LEVELS],
            "layer_activations": ["ReLU"],
            "dropout": 0.1,
        },
        "targets": {
            "target_type": "LDOS",
            "ldos_gridoffset_ev": -5,
            "ldos_gridspacing_ev": 2.5,
            "ldos_gridsize": LEVELS,
            "restrict_targets": None,
        },
    }
    return {key: value | changes.get(key, {}) for key, value in params.items()}


def information(numbers: list[int], electrons: float, **changes: Any) -> dict[str, Any]:
    return {
        "temperature": 298.0,
        "ecutrho": 160.0,
        "electrons_per_atom": electrons / len(numbers),
        "number_of_electrons_exact": electrons,
        "voxel": {"array": [[0.2, 0, 0], [0, 0.3, 0], [0.3, 0, 0.4]]},
        "pseudopotentials": {"Be": "Be.UPF"},
        "atoms": {"numbers": numbers},
    } | changes


def torch_bytes(obj: object, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(obj, buffer, **options)
    return buffer.getvalue()


def points(n: int, features: int = FEATURES, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, features, generator=torch.Generator().manual_seed(seed)) * torch.arange(1.0, features + 1) + 3
