"""A model as the zip of a MALA model: the inverse of `model`, with parameters as MALA 1.4 writes them.

MALA scales feature by feature or all alike, and its network is a list of layers in float32. So what comes before the
first layer y = W z + b is folded into it where MALA has no scaler for it, in float64. With z = (x − m) M:

    whiten            M = R diag(1/s), R the rotation. MALA gets the means m and the lengths σ of R's rows inverted, the
                      standard deviations; W becomes W Mᵀ diag(σ).
    never varies      z = 0, where MALA would divide by 0. It gets the deviation 1, and W a column of zeros.

Scalers are JSON, as MALA 1.4 writes them: no pickle of a class of MALA's has to be made.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import ase
import torch

from maladist.descriptors import BispectrumSpec, GaussianSpec, Spec
from maladist.energy_grid import EnergyGrid
from maladist.errors import ModelError
from maladist.grid import Grid
from maladist.io.mala.data import info_of
from maladist.io.mala.model import weight_names
from maladist.learning.model import LDOSModel
from maladist.learning.network import FeedForward
from maladist.learning.scaling import Scaler

_RFAC0, _RMIN0 = 0.99363, 0.0
"""Of the bispectrum, which MALA does not let be chosen."""


def model_zip(model: LDOSModel, atoms: ase.Atoms, grid: Grid, name: str) -> bytes:
    """Zip of a MALA model.

    Parameters
    ----------
    model
        A model of one network and no density channel, with the energies of the atoms' cell (`LDOSModel.placed`).
    atoms
        A cell with all elements of the model: MALA tells elements by it.
    grid
        Grid of the cell, whose spacing MALA keeps for cells of other sizes.
    name
        Name of the zip without its ending, which MALA finds the members by.

    Raises
    ------
    ModelError
        What MALA does not have: other descriptors, energies in parts, residual layers, outputs that are whitened.
    """
    network = model.network
    if not isinstance(network, FeedForward):
        raise ModelError("model", "an ensemble", "one network")
    if network.residual and any(a == b for a, b in pairwise(network.layer_sizes)):
        raise ModelError("model", "a network with residual layers", "plain layers", "MALA has no others.")
    if model.output_scaler.rotation is not None:
        raise ModelError("model", "an output scaler that whitens", "standard, minmax or none", "MALA has no others.")
    symbols = sorted(set(atoms.get_chemical_symbols()))
    scaler, first = _input_scaling(model.input_scaler, network)
    params = {
        "descriptors": _descriptor(model.descriptor, symbols),
        "network": {
            "_parameters_type": "ParametersNetwork",
            "nn_type": "feed-forward",
            "layer_sizes": list(network.layer_sizes),
            "layer_activations": list(network.activation_names),
            "layer_activations_include_output_layer": True,
        },
        "targets": {
            "_parameters_type": "ParametersTargets",
            "target_type": "LDOS",
            **_energies(model.energy_grid),
            "restrict_targets": None if model.restrict == "none" else model.restrict,
            "assume_two_dimensional": model.assume_isolated == "2D",
        },
    }
    members = {
        "network.pth": _weights(network, first),
        "iscaler.json": _json(scaler),
        "oscaler.json": _json(_scaler(model.output_scaler)),
        "params.json": _json(params),
        "info.json": _json(info_of(atoms, grid, _facts(model, atoms), {})),
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:  # stored: torch seeks in the weights
        for ending, content in members.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.{ending}"), content)
    return file.getvalue()


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=1).encode()


def _descriptor(spec: Spec, symbols: Sequence[str]) -> dict[str, Any]:
    common = {"_parameters_type": "ParametersDescriptors", "descriptors_contain_xyz": True}
    if isinstance(spec, BispectrumSpec):
        if spec.quadratic or spec.resolve != "none" or (spec.rfac0, spec.rmin0) != (_RFAC0, _RMIN0):
            came = f"a bispectrum with quadratic {spec.quadratic}, resolve {spec.resolve!r}, rfac0 {spec.rfac0:g}"
            came += f", rmin0 {spec.rmin0:g}"
            raise ModelError("model", came, f"quadratic False, resolve 'none', rfac0 {_RFAC0}, rmin0 {_RMIN0:g}")
        weights = [spec.weights[symbol] for symbol in symbols] if spec.weights else None
        if weights and max(weights) != 1:
            came = f"element weights {dict(spec.weights)}"
            raise ModelError("model", came, "weights of which the largest is 1", "MALA rescales all others.")
        return common | {
            "descriptor_type": "Bispectrum",
            "bispectrum_twojmax": spec.twojmax,
            "bispectrum_cutoff": spec.cutoff,
            "bispectrum_switchflag": int(spec.switch),
            "bispectrum_element_weights": weights,
        }
    if isinstance(spec, GaussianSpec):
        if len(symbols) > 1:
            # MALA gives each element a column of its own, whose order its import here does not have.
            raise ModelError("model", f"atomic densities of {', '.join(symbols)}", "those of one element")
        return common | {
            "descriptor_type": "AtomicDensity",
            "atomic_density_cutoff": spec.cutoff,
            "atomic_density_sigma": spec.sigma,
        }
    remedy = "MALA has no others that this program has."
    raise ModelError("model", f"descriptors of family {spec.family}", "bispectrum or gaussian", remedy)


def _energies(grid: EnergyGrid) -> dict[str, Any]:
    if grid.further or not grid.levels:
        # MALA's parts adjoin, and share an energy.
        raise ModelError("model", f"energies {grid}", "an LDOS on one equidistant axis", "MALA has no others.")
    return {
        "ldos_gridoffset_ev": grid.origin,
        "ldos_gridspacing_ev": grid.spacing,
        "ldos_gridsize": grid.levels,
    }


def _input_scaling(scaler: Scaler, network: FeedForward) -> tuple[dict[str, Any], torch.Tensor]:
    """MALA's input scaler, and the first layer's weights with what it cannot do: see the module's head."""
    first: torch.Tensor = network.linear[0].weight.detach().cpu().double()  # type: ignore[operator]
    if scaler.rotation is None:
        varies = scaler.scale > 0
        made = _scaler(Scaler(scaler.kind, scaler.feature_wise, scaler.shift, torch.where(varies, scaler.scale, 1.0)))
        return made, first * varies
    inverse = torch.where(scaler.scale > 0, 1 / scaler.scale, 0.0)
    lengths = scaler.rotation.norm(dim=1)
    deviation = torch.where(lengths > 0, 1 / lengths, 1.0)
    made = _scaler(Scaler("standard", True, scaler.shift, deviation))
    return made, first @ (scaler.rotation * inverse).T * deviation


def _scaler(scaler: Scaler) -> dict[str, Any]:
    standard, minmax, wise = scaler.kind == "standard", scaler.kind == "minmax", scaler.feature_wise
    low, size = scaler.shift, scaler.scale
    high = low + size
    nothing: list[float] = []
    return {
        "typestring": "None" if scaler.kind == "none" else ("feature-wise-" if wise else "") + scaler.kind,
        "use_ddp": False,
        "scale_standard": standard,
        "scale_minmax": minmax,
        "feature_wise": wise,
        "cantransform": True,
        "means": [low.tolist()] if wise and standard else nothing,
        "stds": [size.tolist()] if wise and standard else nothing,
        "mins": low.tolist() if wise and minmax else nothing,
        "maxs": high.tolist() if wise and minmax else nothing,
        "total_mean": low.item() if standard and not wise else 0.0,
        "total_std": size.item() if standard and not wise else 0.0,
        "total_min": low.item() if minmax and not wise else 0.0,
        "total_max": high.item() if minmax and not wise else 0.0,
        "total_data_count": 0,
    }


def _weights(network: FeedForward, first: torch.Tensor) -> bytes:
    names = weight_names(network.activation_names)
    ours = network.state_dict() | {"linear.0.weight": first}
    buffer = io.BytesIO()
    torch.save({theirs: ours[name].cpu().float().contiguous() for theirs, name in names.items()}, buffer)
    return buffer.getvalue()


def _facts(model: LDOSModel, atoms: ase.Atoms) -> dict[str, Any]:
    """What MALA wants to know of a calculation, under the names of a data set's attributes."""
    symbols, elements = atoms.get_chemical_symbols(), model.elements
    valences = [elements[s].valence if s in elements else None for s in symbols]
    electrons: float | None = None
    if None not in valences:
        electrons = float(sum(v for v in valences if v is not None))
    elif model.electrons_per_atom is not None:
        electrons = model.electrons_per_atom * len(atoms)
    files = {s: e.pseudopotential for s, e in elements.items() if e.pseudopotential}
    return {
        "n_electrons": electrons,
        "temperature_K": model.temperature,
        "density_cutoff_eV": model.density_cutoff,
        "assume_isolated": model.assume_isolated,
        "pseudopotentials": {symbol: {"file": file} for symbol, file in files.items()},
    }
