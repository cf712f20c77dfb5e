"""A model as metadata and tensors, and back: what its file holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import torch

from maladist.descriptors import spec_from_dict
from maladist.elements import Element
from maladist.energy_grid import EnergyGrid
from maladist.learning.cell_range import CellRange
from maladist.learning.domain import Domain
from maladist.learning.ensemble import network_from_config
from maladist.learning.parts import ModelParts
from maladist.learning.scaling import Scaler
from maladist.learning.uncertainty import Uncertainty

Metadata = Mapping[str, Any]
"""What a model's file says of it in JSON; what reads it refuses what does not fit."""

SCALERS: Final = ("input_scaler", "output_scaler", "density_scaler")
_KNOWN: Final = ("valence", "pseudopotential", "sha256", "xc")
_RADIAL: Final = ("core_radii", "core_rab", "core_density", "local_radii", "local_rab", "local_potential")


def scalers_of(model: ModelParts) -> dict[str, Scaler]:
    """Scalers that the model has, by the name of their attribute."""
    return {name: scaler for name in SCALERS if (scaler := getattr(model, name)) is not None}


def tensors_of(model: ModelParts) -> dict[str, torch.Tensor]:
    """Every tensor of the model by its name in the file."""
    tensors = {f"network.{name}": weight for name, weight in model.network.state_dict().items()}
    for name, scaler in scalers_of(model).items():
        tensors |= _tensors_of_scaler(name, scaler)
    if (domain := model.domain) is not None:
        tensors |= {"domain.directions": domain.directions, "domain.offsets": domain.offsets}
        if domain.whitening is not None:
            tensors |= _tensors_of_scaler("domain.whitening", domain.whitening)
    for symbol, element in model.elements.items():
        for name in _RADIAL:
            if (values := getattr(element, name)) is not None:
                tensors[f"element.{symbol}.{name}"] = torch.from_numpy(np.array(values, dtype=np.float64))
    return tensors


def _tensors_of_scaler(name: str, scaler: Scaler) -> dict[str, torch.Tensor]:
    tensors = {f"{name}.shift": scaler.shift, f"{name}.scale": scaler.scale}
    return tensors if scaler.rotation is None else {**tensors, f"{name}.rotation": scaler.rotation}


def metadata_of(model: ModelParts) -> Metadata:
    """All that is not a tensor, JSON-able."""
    return {
        "network": model.network.config(),
        **{n: {"kind": s.kind, "feature_wise": s.feature_wise} for n, s in scalers_of(model).items()},
        "descriptor": model.descriptor.to_dict(),
        # An axis of one part without its list of further ones, as older models have it: their hash depends on it.
        "energy_grid": {k: v for k, v in asdict(model.energy_grid).items() if k != "further" or v},
        "elements": {s: {k: getattr(e, k) for k in _KNOWN} for s, e in model.elements.items()},
        "xc": model.xc,
        "temperature_K": model.temperature,
        "spacing_A": None if model.spacing is None else list(model.spacing),
        "density_cutoff_eV": model.density_cutoff,
        "restrict": model.restrict,
        "electrons_per_atom": model.electrons_per_atom,
        # Left out where there are none, so that older models keep their bytes and with them their hash.
        **({"energy_zero_eV_A3": dict(model.energy_zero)} if model.energy_zero else {}),
        **({} if model.assume_isolated is None else {"assume_isolated": model.assume_isolated}),
        **({"domain": _metadata_of_domain(model.domain)} if model.domain is not None else {}),
        **({"uncertainty": model.uncertainty.to_dict()} if model.uncertainty is not None else {}),
        "provenance": dict(model.provenance),
    }


def _metadata_of_domain(domain: Domain) -> Metadata:
    whitening = None if domain.whitening is None else {"kind": domain.whitening.kind, "feature_wise": True}
    return {"limit": domain.limit, "cells": domain.cells.to_dict(), "whitening": whitening}


def parts_of(metadata: Metadata, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Arguments that make the model again: the inverse of the two above."""
    weights = {name.removeprefix("network."): t for name, t in tensors.items() if name.startswith("network.")}
    # JSON has lists where a model has tuples.
    spacing = metadata["spacing_A"]
    return dict(
        network=network_from_config(metadata["network"], weights),
        **{n: _scaler(n, metadata[n], tensors) for n in SCALERS if n in metadata},
        descriptor=spec_from_dict(metadata["descriptor"]),
        energy_grid=EnergyGrid(**metadata["energy_grid"]),
        elements={s: Element(s, **known, **_radial(s, tensors)) for s, known in metadata["elements"].items()},
        xc=metadata["xc"],
        temperature=metadata["temperature_K"],
        spacing=None if spacing is None else tuple(spacing),
        density_cutoff=metadata["density_cutoff_eV"],
        restrict=metadata["restrict"],
        electrons_per_atom=metadata["electrons_per_atom"],
        energy_zero=metadata.get("energy_zero_eV_A3", {}),
        domain=_domain(metadata["domain"], tensors) if "domain" in metadata else None,
        uncertainty=Uncertainty.from_dict(metadata["uncertainty"]) if "uncertainty" in metadata else None,
        provenance=metadata["provenance"],
        assume_isolated=metadata.get("assume_isolated"),
    )


def _domain(known: Metadata, tensors: Mapping[str, torch.Tensor]) -> Domain:
    whitening = known["whitening"] and _scaler("domain.whitening", known["whitening"], tensors)
    cells = CellRange.from_dict(known["cells"])
    return Domain(cells, float(known["limit"]), tensors["domain.directions"], tensors["domain.offsets"], whitening)


def _scaler(name: str, known: Metadata, tensors: Mapping[str, torch.Tensor]) -> Scaler:
    rotation = tensors.get(f"{name}.rotation")
    return Scaler(**known, shift=tensors[f"{name}.shift"], scale=tensors[f"{name}.scale"], rotation=rotation)


def _radial(symbol: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    arrays = {name: tensors.get(f"element.{symbol}.{name}") for name in _RADIAL}
    return {name: None if tensor is None else tensor.numpy() for name, tensor in arrays.items()}
