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
- ``dropout`` belongs to transformers only.

Descriptors and energy grid are in `parameters`, which data have too.

The zip says neither which functional the data was made with nor which broadening the LDOS carries, and it holds the
pseudopotentials' names only.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from ase.data import chemical_symbols

from maladist.elements import Element
from maladist.errors import InputError, ModelError
from maladist.io.mala.data import isolated_of
from maladist.io.mala.parameters import Parameters, descriptor_of, energy_grid_of, json_object, number
from maladist.io.mala.pickle import read_scaler, read_weights
from maladist.io.mala.zip import read_members
from maladist.io.refused import refuse_file_names
from maladist.learning.model import LDOSModel
from maladist.learning.network import FeedForward
from maladist.learning.parts import Restrict
from maladist.learning.scaling import Scaler
from maladist.units import RYDBERG


def import_mala(path: str | Path, pseudopotentials: Mapping[str, Element] | None = None) -> LDOSModel:
    """Read a model that MALA trained; nothing in the file is run.

    Parameters
    ----------
    path
        Zip of the model.
    pseudopotentials
        Element of each symbol, from UPF files. Without one, its core charge is unknown, and its valence too
        unless it is the only element.

    Raises
    ------
    ModelError
        A file that is not MALA's zip, is truncated, asks for code to be run, holds a network other than feed-forward,
        descriptors or targets other than the bispectrum or atomic density and the LDOS, or parts that do not fit.
    PhysicsError
        Physics that this program does not have, such as PAW.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError("model", f"{path}: {error.strerror or error}", "a file that can be read") from None
    # From the bytes that were hashed: a file that changes meanwhile cannot be another one.
    members = read_members(content, path.name)
    params, info = json_object(members["params"], "params.json"), json_object(members.get("info", b"{}"), "info.json")
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
    refuse_file_names([str(file) for symbol, file in names.items() if symbol not in given], path.name)
    try:
        # Whatever type a damaged or foreign parameter has, it ends in one line; errors of ours
        # that say more go through.
        model = replace(_assemble(params, info, members, sorted(given)), provenance=provenance)
        model = model.with_pseudopotentials(given)
        _check_electrons(model, info)
    except ModelError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        came = str(error) if isinstance(error, InputError) else f"parameters that cannot be read ({error!r:.120})"
        raise ModelError(path.name, came, "a model that MALA saved") from None
    return model


def _assemble(params: Parameters, info: Parameters, members: Mapping[str, bytes], given: Sequence[str]) -> LDOSModel:
    symbols = _symbols(info, given)
    electrons, ecutrho = number(info.get("electrons_per_atom")), number(info.get("ecutrho"))
    voxel = np.asarray(info["voxel"]["array"], dtype=float) if "voxel" in info else None
    return LDOSModel(
        network=_network(params["network"], read_weights(members["network"], "network.pth")),
        input_scaler=_scaler(members["iscaler"], "iscaler"),
        output_scaler=_scaler(members["oscaler"], "oscaler"),
        descriptor=descriptor_of(params["descriptors"], symbols, voxel),
        energy_grid=energy_grid_of(params["targets"]),
        # Of one element the electrons an atom are the valence; of several only pseudopotentials can tell.
        elements={s: Element(s, valence=electrons if len(symbols) == 1 else None) for s in symbols},
        temperature=number(info.get("temperature")),
        spacing=None if voxel is None else tuple(np.linalg.norm(voxel, axis=1).tolist()),
        density_cutoff=None if ecutrho is None else ecutrho * RYDBERG,
        restrict=_restrict(params["targets"]),
        electrons_per_atom=electrons,
        assume_isolated=isolated_of(params) or isolated_of(info),
    )


def _network(params: Parameters, weights: Mapping[str, torch.Tensor]) -> FeedForward:
    kind = params.get("nn_type", "feed-forward")
    if kind != "feed-forward":
        came = f"a network of type {kind!r:.40}"
        raise ModelError(
            "params.json", came, "a feed-forward network", "Other types of MALA's networks are not supported."
        )
    sizes = list(params["layer_sizes"])
    for activations in _activations(params, len(sizes) - 1):
        names = weight_names(activations)
        # The names of the weights decide between readings of the parameters: see the module's head.
        if set(names) == set(weights):
            renamed = {names[name]: weight.detach().clone() for name, weight in weights.items()}
            return FeedForward.from_config({"layer_sizes": sizes, "activations": activations}, renamed)
    came = f"weights named {', '.join(sorted(weights))}"[:120]
    raise ModelError(
        "network.pth", came, f"those of layers {sizes} with activations {params['layer_activations']!r:.60}"
    )


def _activations(params: Parameters, layers: int) -> list[list[str | None]]:
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


def weight_names(activations: Sequence[str | None]) -> dict[str, str]:
    """MALA's name of each weight to ours; MALA numbers linear layers and activations through."""
    names: dict[str, str] = {}
    number = 0
    for layer, activation in enumerate(activations):
        names |= {f"layers.{number}.{part}": f"linear.{layer}.{part}" for part in ("weight", "bias")}
        if activation == "PReLU":
            names[f"layers.{number + 1}.weight"] = f"activation.{layer}.weight"
        # An activation takes a number of its own in MALA's list, whether or not it has weights.
        number += 1 if activation is None else 2
    return names


def _scaler(content: bytes, part: str) -> Scaler:
    name = f"{part}.json" if content[:1] == b"{" else f"{part}.pkl"
    state = json_object(content, name) if name.endswith("json") else read_scaler(content, name)
    # Old versions call min-max scaling `normal`.
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


def _restrict(params: Parameters) -> Restrict:
    value = params.get("restrict_targets", "zero_out_negative")
    return value if value in ("zero_out_negative", "absolute_values") else "none"


def _symbols(info: Parameters, given: Sequence[str]) -> list[str]:
    """Symbols of the elements that the model was trained on, in alphabetical order; none where nothing tells."""
    if "atoms" in info:
        return sorted({chemical_symbols[int(z)] for z in info["atoms"]["numbers"]})
    return sorted(info.get("pseudopotentials") or given)


def _check_electrons(model: LDOSModel, info: Parameters) -> None:
    """Valences must add up to the electrons of the training cell: a wrong pseudopotential is found here."""
    exact = number(info.get("number_of_electrons_exact"))
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
