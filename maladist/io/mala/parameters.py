"""MALA's parameters, a params.json or that in a model's zip: what they tell of descriptors and of the energy grid.

- ``bispectrum_element_weights`` belong to the symbols in alphabetical order and are rescaled to a maximum of 1. Models
  from before ``bispectrum_switchflag`` had no switching function.
- Descriptors stored with ``descriptors_contain_xyz`` carry three columns of positions that the network does not see.
- ``atomic_density_sigma`` null stands for 0.2 Å · (largest component of the training grid's voxel) / 0.08099 Å.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from maladist.arrays import Array
from maladist.descriptors import BispectrumSpec, GaussianSpec, Spec
from maladist.energy_grid import EnergyGrid
from maladist.errors import DataFileError, GridError, InputError, ModelError
from maladist.io.mala.zip import read_members
from maladist.io.paths import plain_file

Parameters = Mapping[str, Any]
"""What MALA writes of a model or of data, as JSON: names and types are not the same in all of its versions."""

_SIGMA: Final = 0.2 / 0.08099000022712448
"""Width of MALA's atomic density over the largest component of the voxel."""


def read_parameters(path: Path) -> Parameters:
    """Read MALA's parameters from a params.json, or from the zip of a model.

    Raises
    ------
    DataFileError
        Neither of them.
    """
    try:
        content = plain_file(path, "MALA's parameters", str(path)).read_bytes()
        members = read_members(content, path.name) if path.suffix == ".zip" else {"params": content}
        found = json_object(members["params"], path.name)
    except OSError as error:
        raise DataFileError(str(path), error.strerror or str(error), "a file that can be read") from None
    except ModelError as error:
        raise DataFileError(str(path), error.came, error.wanted, error.remedy) from None
    return found


def read_energy_grid(path: Path, parameters: Parameters) -> EnergyGrid:
    """Energies of the LDOS that parameters belong to.

    Raises
    ------
    DataFileError
        They do not tell them: parameters of other targets, or the zeros that MALA begins with.
    """
    wanted = "targets with ldos_gridoffset_ev, ldos_gridspacing_ev and ldos_gridsize"
    remedy = "Give --energies ORIGIN SPACING (eV)."
    try:
        return energy_grid_of(parameters["targets"])
    except GridError as error:
        raise DataFileError(str(path), error.came, error.wanted, error.remedy or remedy) from None
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        came = error.came if isinstance(error, InputError) else f"parameters that cannot be read ({error!r:.120})"
        raise DataFileError(str(path), came, wanted, remedy) from None


def read_descriptor(path: Path, parameters: Parameters, symbols: Sequence[str], voxel: Array | None) -> Spec:
    """Descriptors that parameters belong to.

    Parameters
    ----------
    symbols
        Symbols of the elements, in alphabetical order.
    voxel
        Rows a/Nx, b/Ny, c/Nz, Å, where the width of atomic densities follows from them.

    Raises
    ------
    DataFileError
        They do not tell them, or tell descriptors that this program does not have.
    """
    try:
        return descriptor_of(parameters["descriptors"], symbols, voxel)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        came = error.came if isinstance(error, InputError) else f"parameters that cannot be read ({error!r:.120})"
        raise DataFileError(str(path), came, "descriptors that this program has") from None


def json_object(content: bytes, name: str) -> Parameters:
    """A JSON object from bytes.

    Raises
    ------
    ModelError
        Something else.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ModelError(name, f"text that is not JSON ({error!s:.80})", "MALA's parameters") from None
    if not isinstance(found, dict):
        raise ModelError(name, f"a JSON {type(found).__name__}", "MALA's parameters, a JSON object")
    return found


def number(value: Any) -> float | None:
    """A number; None where MALA did not know it, which it writes as null or 0."""
    return float(value) if value else None


def _first(params: Parameters, *names: str) -> Any:
    for name in names:
        if name in params:
            return params[name]
    raise ModelError("params.json", f"no {names[0]}", "the parameters of a model that MALA saved")


def descriptor_of(params: Parameters, symbols: Sequence[str], voxel: Array | None) -> Spec:
    """Descriptors of MALA's section ``descriptors``.

    Raises
    ------
    ModelError
        The family is one that this program does not have.
    """
    kind = params["descriptor_type"]
    if kind in ("Bispectrum", "SNAP"):
        return BispectrumSpec(
            twojmax=int(_first(params, "bispectrum_twojmax", "twojmax")),
            cutoff=float(_first(params, "bispectrum_cutoff", "rcutfac")),
            switch=bool(params.get("bispectrum_switchflag", params.get("snap_switchflag", 0))),
            weights=_element_weights(params.get("bispectrum_element_weights"), symbols),
        )
    if kind in ("AtomicDensity", "Atomic Density"):
        sigma = number(params.get("atomic_density_sigma"))
        if sigma is None:
            if voxel is None:
                raise ModelError("params.json", "no width of the atomic density and no voxel", "one of them")
            # MALA's own default, which it computes from the grid when none is given.
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


def energy_grid_of(params: Parameters) -> EnergyGrid:
    """Energies of MALA's section ``targets``.

    Raises
    ------
    ModelError
        The targets are other than the LDOS.
    GridError
        The energies are none, or in parts that adjoin with other spacings.
    """
    kind = params.get("target_type", "LDOS")
    if kind != "LDOS":
        raise ModelError("params.json", f"a model of the {kind!s:.40}", "a model of the LDOS")
    names = ("ldos_gridoffset_ev", "ldos_gridspacing_ev", "ldos_gridsize")
    if not any(isinstance(params[name], list) for name in names):
        return EnergyGrid(*(cast(params[name]) for cast, name in zip((float, float, int), names, strict=True)))
    # Grids in several parts, one after another, which may be equidistant as a whole.
    parts = list(zip(*(params[name] for name in names), strict=True))
    values = np.concatenate([origin + step * np.arange(n) for origin, step, n in parts])
    whole = len(values) > 1 and np.allclose(np.diff(values), values[1] - values[0], rtol=1e-6)
    return EnergyGrid.from_values(values) if whole else EnergyGrid.of_parts(parts)
