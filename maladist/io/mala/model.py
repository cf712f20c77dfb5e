"""Models that MALA trained: a zip of NAME.network.pth, .iscaler.pkl, .oscaler.pkl, .params.json and .info.json.

What MALA (1.1 to 1.4) means by its parameters:

- Scaling ``normal`` (attribute scale_normal, later ``minmax``, scale_minmax) is min-max scaling to [0, 1];
  ``standard`` is mean 0 and standard deviation 1; with ``feature-wise`` one pair a feature. The latest versions write
  scalers as JSON, under the same names.
- ``layer_activations`` is a list, an activation a layer, whose missing end is linear, or one name for all layers; the
  output layer has one only with ``layer_activations_include_output_layer``. Before that parameter there was, a list of
  one stood for all layers, the output layer included. The numbers in the names of the weights tell which was meant
  where there is more than one hidden layer, for activations take numbers of their own; else the present meaning is
  taken, as MALA 1.4 does.
- ``bispectrum_element_weights`` belong to the symbols in alphabetical order and are rescaled to a maximum of 1. Models
  from before ``bispectrum_switchflag`` had no switching function.
- Descriptors stored with ``descriptors_contain_xyz`` carry three columns of positions that the network does not see.
- ``atomic_density_sigma`` null stands for 0.2 Å · (largest component of the training grid's voxel) / 0.08099 Å.
- ``dropout`` belongs to transformers only.

The zip says neither which functional the data was made with nor which broadening the LDOS carries, and it holds the
pseudopotentials' names only.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from ase.data import chemical_symbols

from maladist.descriptors import BispectrumSpec, GaussianSpec, Spec
from maladist.elements import Element
from maladist.errors import InputError, ModelError
from maladist.grid import EnergyGrid
from maladist.io.mala.data import anywhere
from maladist.io.mala.pickle import read_scaler, read_weights
from maladist.io.mala.zip import read_members
from maladist.io.refused import refuse, refuse_file_names
from maladist.learning.model import LDOSModel, Restrict
from maladist.learning.network import FeedForward
from maladist.learning.scaling import Scaler
from maladist.units import RYDBERG

_SIGMA: Final = 0.2 / 0.08099000022712448
"""Width of MALA's atomic density over the largest component of the voxel."""


def import_mala(path: str | Path, pseudopotentials: Mapping[str, Element] | None = None) -> LDOSModel:
    """Read a model that MALA trained; nothing in the file is run.

    Parameters
    ----------
    path
        The zip.
    pseudopotentials
        Element of each symbol, from UPF files. Without one, its core charge is unknown, and its valence too
        unless it is the only element.

    Raises
    ------
    ModelError
        A file that is not MALA's zip, is truncated, asks for code to be run, holds a network other than feed-forward,
        descriptors or targets other than the bispectrum or atomic density and the LDOS, or parts that do not fit.
    PhysicsError
        Physics that this program does not have, such as a cell taken as two-dimensional.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError("model", f"{path}: {error.strerror or error}", "a file that can be read") from None
    members = read_members(content, path.name)
    params, info = _json(members["params"], "params.json"), _json(members.get("info", b"{}"), "info.json")
    names = info.get("pseudopotentials") or {}
    if not isinstance(names, dict):
        raise ModelError("info.json", f"pseudopotentials {names!r:.40}", "a file name for each element")
    provenance = {
        "source": "MALA",
        "file": path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "pseudopotentials": names,
    }
    given = pseudopotentials or {}
    for part in (params, info):
        refuse("mala", functools.partial(anywhere, part), path.name)
    refuse_file_names([str(file) for symbol, file in names.items() if symbol not in given], path.name)
    try:
        model = replace(_assemble(params, info, members, sorted(given)), provenance=provenance)
        model = model.with_pseudopotentials(given)
        _check_electrons(model, info)
    except ModelError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        came = str(error) if isinstance(error, InputError) else f"parameters that cannot be read ({error!r:.120})"
        raise ModelError(path.name, came, "a model that MALA saved") from None
    return model


def _assemble(
    params: Mapping[str, Any], info: Mapping[str, Any], members: Mapping[str, bytes], given: Sequence[str]
) -> LDOSModel:
    symbols = _symbols(info, given)
    electrons, ecutrho = _number(info.get("electrons_per_atom")), _number(info.get("ecutrho"))
    voxel = np.asarray(info["voxel"]["array"], dtype=float) if "voxel" in info else None
    return LDOSModel(
        network=_network(params["network"], read_weights(members["network"], "network.pth")),
        input_scaler=_scaler(members["iscaler"], "iscaler"),
        output_scaler=_scaler(members["oscaler"], "oscaler"),
        descriptor=_descriptor(params["descriptors"], symbols, voxel),
        energy_grid=_energy_grid(params["targets"]),
        elements={s: Element(s, valence=electrons if len(symbols) == 1 else None) for s in symbols},
        temperature=_number(info.get("temperature")),
        spacing=None if voxel is None else tuple(np.linalg.norm(voxel, axis=1).tolist()),
        density_cutoff=None if ecutrho is None else ecutrho * RYDBERG,
        restrict=_restrict(params["targets"]),
        electrons_per_atom=electrons,
    )


def _json(content: bytes, name: str) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ModelError(name, f"text that is not JSON ({error!s:.80})", "MALA's parameters") from None
    if not isinstance(found, dict):
        raise ModelError(name, f"a JSON {type(found).__name__}", "MALA's parameters, a JSON object")
    return found


def _number(value: Any) -> float | None:
    """A number; None where MALA did not know it, which it writes as null or 0."""
    return float(value) if value else None


def _first(params: Mapping[str, Any], *names: str) -> Any:
    for name in names:
        if name in params:
            return params[name]
    raise ModelError("params.json", f"no {names[0]}", "the parameters of a model that MALA saved")


def _network(params: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> FeedForward:
    kind = params.get("nn_type", "feed-forward")
    if kind != "feed-forward":
        came = f"a network of type {kind!r:.40}"
        raise ModelError(
            "params.json", came, "a feed-forward network", "Other types of MALA's networks are not supported."
        )
    sizes = list(params["layer_sizes"])
    for activations in _activations(params, len(sizes) - 1):
        names = _weight_names(activations)
        if set(names) == set(weights):
            renamed = {names[name]: weight.detach().clone() for name, weight in weights.items()}
            return FeedForward.from_config({"layer_sizes": sizes, "activations": activations}, renamed)
    came = f"weights named {', '.join(sorted(weights))}"[:120]
    raise ModelError(
        "network.pth", came, f"those of layers {sizes} with activations {params['layer_activations']!r:.60}"
    )


def _activations(params: Mapping[str, Any], layers: int) -> list[list[str | None]]:
    """Activation of every layer, in the readings that the parameters allow, the likeliest first."""
    given, flag = params["layer_activations"], "layer_activations_include_output_layer"
    listed = [given] * layers if isinstance(given, str) else list(given)[:layers]
    names: list[str | None] = listed + [None] * (layers - len(listed))
    if not params.get(flag, True):
        names[-1] = None
    readings = [names]
    if flag not in params and len(listed) == 1:
        readings.append(listed * layers)
    return readings


def _weight_names(activations: Sequence[str | None]) -> dict[str, str]:
    """MALA's name of each weight to ours; MALA numbers linear layers and activations through."""
    names: dict[str, str] = {}
    number = 0
    for layer, activation in enumerate(activations):
        names |= {f"layers.{number}.{part}": f"linear.{layer}.{part}" for part in ("weight", "bias")}
        if activation == "PReLU":
            names[f"layers.{number + 1}.weight"] = f"activation.{layer}.weight"
        number += 1 if activation is None else 2
    return names


def _scaler(content: bytes, part: str) -> Scaler:
    name = f"{part}.json" if content[:1] == b"{" else f"{part}.pkl"
    state = _json(content, name) if name.endswith("json") else read_scaler(content, name)
    standard, minmax = bool(state["scale_standard"]), bool(state.get("scale_minmax", state.get("scale_normal")))
    if not (standard or minmax):
        return Scaler()
    if standard and minmax:
        raise ModelError(name, "a scaler that is both standard and min-max", "one of them")
    if not state.get("cantransform", True):
        raise ModelError(name, "a scaler that was never fitted", "a fitted scaler")
    wise = bool(state["feature_wise"])
    keys = {(True, True): ("means", "stds"), (True, False): ("total_mean", "total_std")}
    keys |= {(False, True): ("mins", "maxs"), (False, False): ("total_min", "total_max")}
    low, high = (torch.as_tensor(state[key], dtype=torch.float64).reshape(-1) for key in keys[standard, wise])
    return Scaler("standard" if standard else "minmax", wise, low, high if standard else high - low)


def _descriptor(params: Mapping[str, Any], symbols: Sequence[str], voxel: npt.NDArray[np.float64] | None) -> Spec:
    kind = params["descriptor_type"]
    if kind in ("Bispectrum", "SNAP"):
        return BispectrumSpec(
            twojmax=int(_first(params, "bispectrum_twojmax", "twojmax")),
            cutoff=float(_first(params, "bispectrum_cutoff", "rcutfac")),
            switch=bool(params.get("bispectrum_switchflag", params.get("snap_switchflag", 0))),
            weights=_element_weights(params.get("bispectrum_element_weights"), symbols),
        )
    if kind in ("AtomicDensity", "Atomic Density"):
        sigma = _number(params.get("atomic_density_sigma"))
        if sigma is None:
            if voxel is None:
                raise ModelError("params.json", "no width of the atomic density and no voxel", "one of them")
            sigma = _SIGMA * float(voxel.max())
        return GaussianSpec(cutoff=float(params["atomic_density_cutoff"]), sigma=sigma)
    raise ModelError("params.json", f"descriptors of type {kind!r:.40}", "Bispectrum or AtomicDensity")


def _element_weights(weights: Sequence[float] | None, symbols: Sequence[str]) -> dict[str, float]:
    """Weights by symbol, the largest 1; MALA gives them in the symbols' alphabetical order."""
    if not weights:
        return {}
    if len(weights) != len(symbols) or not max(weights) > 0:
        came = (
            f"{len(weights)} element weights, the largest {max(weights)}, for {' '.join(symbols) or 'unknown elements'}"
        )
        remedy = "Give the pseudopotentials of the elements (--pseudopotentials)." if not symbols else ""
        raise ModelError("params.json", came, "a weight for every element, one of them positive", remedy)
    return {symbol: float(w) / max(weights) for symbol, w in zip(symbols, weights, strict=True)}


def _energy_grid(params: Mapping[str, Any]) -> EnergyGrid:
    kind = params.get("target_type", "LDOS")
    if kind != "LDOS":
        raise ModelError("params.json", f"a model of the {kind!s:.40}", "a model of the LDOS")
    names = ("ldos_gridoffset_ev", "ldos_gridspacing_ev", "ldos_gridsize")
    if not any(isinstance(params[name], list) for name in names):
        return EnergyGrid(*(cast(params[name]) for cast, name in zip((float, float, int), names, strict=True)))
    # Grids in several parts, one after another; only those that are equidistant as a whole are of use.
    parts = zip(*(params[name] for name in names), strict=True)
    return EnergyGrid.from_values(np.concatenate([origin + step * np.arange(n) for origin, step, n in parts]))


def _restrict(params: Mapping[str, Any]) -> Restrict:
    value = params.get("restrict_targets", "zero_out_negative")
    return value if value in ("zero_out_negative", "absolute_values") else "none"


def _symbols(info: Mapping[str, Any], given: Sequence[str]) -> list[str]:
    """Symbols of the elements that the model was trained on, in alphabetical order; none where nothing tells."""
    if "atoms" in info:
        return sorted({chemical_symbols[int(z)] for z in info["atoms"]["numbers"]})
    return sorted(info.get("pseudopotentials") or given)


def _check_electrons(model: LDOSModel, info: Mapping[str, Any]) -> None:
    """Valences must add up to the electrons of the training cell: a wrong pseudopotential is found here."""
    exact = _number(info.get("number_of_electrons_exact"))
    if exact is None or "atoms" not in info:
        return
    atoms = [chemical_symbols[int(z)] for z in info["atoms"]["numbers"]]
    valences = {symbol: element.valence for symbol, element in model.elements.items()}
    if None not in valences.values():
        total = math.fsum(valences[symbol] or 0 for symbol in atoms)
        if not math.isclose(total, exact, abs_tol=1e-3):
            came = f"{total:g} valence electrons for the {exact:g} of the training data"
            raise ModelError(
                "pseudopotentials", came, "equal numbers", "Give the pseudopotentials of the training data."
            )
