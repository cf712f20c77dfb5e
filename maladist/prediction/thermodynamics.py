"""Thermodynamics of the electrons: μ, E_b, S, C_v and A on a range of temperatures, from one D(ε)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
import xarray as xr
from distributed import Client

from maladist import metadata, schema
from maladist.atoms import AtomsLike
from maladist.energy_grid import EnergyGrid
from maladist.errors import InputError
from maladist.learning.model import LDOSModel
from maladist.physics.energies import TERMS, Energies
from maladist.physics.fermi import FermiState, fermi_states
from maladist.physics.limits import check_limits
from maladist.physics.system import System, check_temperature
from maladist.physics.thermodynamics import cold_notes, entropy, filled_notes, heat_capacity
from maladist.prediction.options import SourceOptions
from maladist.prediction.source import Source, result_of


def thermodynamics(
    source: Source,
    model: LDOSModel | str | Path | None = None,
    *,
    client: Client | None = None,
    atoms: AtomsLike | None = None,
    **options: Unpack[SourceOptions],
) -> xr.Dataset:
    """Compute the thermodynamics of the electrons at many temperatures from one D(ε).

    A is that of Harris and Foulkes: E_b and −TS at each temperature, the double counting at the density of the data's
    temperature (`observe`), as `predict` and `observe` give it at several temperatures, without their n(r) at each.

    Parameters
    ----------
    source
        A result of `predict` or `observe`, or its store; an LDOS that follows the data contract, from DFT too, or its
        store; or atoms, with a model.
    model
        A model, or a path of a model file, for atoms; else None.
    client
        A Dask client for what an LDOS or a model need; a result needs none.
    atoms
        Atoms, where an LDOS comes without them.
    temperature
        Temperatures of the electrons, K; sorted.
    backend, device, precision, grid, chunks, strict
        As in `predict`; of atoms alone.
    xc, double_counting
        As in `observe`; of an LDOS alone.
    pseudopotentials, density_cutoff, broadening_correction
        As in either; a result takes none of these.

    Returns
    -------
    Dataset
        With the coordinate ``temperature`` (K), of the cell, float64: ``fermi_energy_eV``, ``band_energy_eV``,
        ``entropy_contribution_eV`` (−TS), ``total_free_energy_eV`` (NaN where a term is not known),
        ``entropy_eV_per_K`` (S) and ``heat_capacity_eV_per_K`` (C_v = T dS/dT at fixed volume and atoms, see
        `maladist.physics.thermodynamics`; NaN in a gap that the correction for the broadening makes ripple).
        Attributes tell the cell, the broadening, and ``notes``.

    Raises
    ------
    InputError
        No temperature, one that is not positive, or an option that the source does not take.
    EnergyWindowError
        The levels do not reach the tail of f(ε) at a temperature.

    Examples
    --------
    >>> found = maladist.thermodynamics(be, "be-1000K-2", temperature=[900.0, 1000.0, 1100.0])
    >>> found.entropy_contribution_eV.values.round(4)
    array([-0.0047, -0.0056, -0.0066])
    """
    temperature = options.pop("temperature", None)
    if temperature is None or not np.size(temperature):
        raise InputError("temperature", "none", "one or more temperatures in K", "Give --temperature or --range.")
    temperatures = tuple(sorted(set(np.atleast_1d(np.asarray(temperature, dtype=np.float64)).tolist())))
    for t in temperatures:
        check_temperature(t)
    with result_of(source, model, client=client, atoms=atoms, **options) as result:
        first = result.isel(temperature=0) if "temperature" in result.dims else result
        # T₀ only says where the double counting is: at it nothing needs to be solved here.
        system = replace(metadata.read_system(first, {}), temperatures=temperatures, reference_temperature=None)
        return _of_dos(first, metadata.energy_grid_of(first), system)


def _of_dos(result: xr.Dataset, energies: EnergyGrid, system: System) -> xr.Dataset:
    """Every quantity at the system's temperatures, of a result at one temperature."""
    dos = torch.as_tensor(np.asarray(result["dos"].values, dtype=np.float64))
    states = fermi_states(dos, energies, system)
    # What a window lacks grows with the temperature, and a gap is filled at the lowest one: these two tell it all.
    ends = list({state.temperature: state for state in (states[0], states[-1])}.values())
    notes = [
        *(str(note) for note in result.attrs.get("notes", [])),
        *check_limits(dos, energies, ends, system),
        *cold_notes(energies, system.temperatures, correction=system.correction),
        *filled_notes(dos, energies, states, system.n_atoms),
    ]
    values = [_row(state, result, dos, energies, system) for state in states]
    columns = {
        name: ("temperature", np.array([row[name] for row in values]), schema.array_attributes(name, _unit(name)))
        for name in values[0]
    }
    of = {"temperature": ("temperature", list(system.temperatures), schema.array_attributes("temperature", "K"))}
    about = metadata.system_attributes(replace(system, notes=tuple(notes)))
    del about["temperature_K"]  # the coordinate
    about["reference_temperature_K"] = result.attrs.get("reference_temperature_K")
    return xr.Dataset(columns, of, {**about, **metadata.energy_attributes(energies), "n_atoms": system.n_atoms})


def _row(
    state: FermiState, result: xr.Dataset, dos: torch.Tensor, energies: EnergyGrid, system: System
) -> dict[str, float]:
    assert system.n_electrons is not None
    # The double counting and the ions do not depend on the temperature of the electrons.
    stored = {t.name: float(result[t.name]) for t in TERMS if t.name in result and np.isfinite(result[t.name])}
    band, minus_ts = state.band_energy(dos, system.n_electrons), state.entropy_contribution(dos)
    terms = replace(Energies.from_dict(stored, system.n_atoms), band=band, entropy=minus_ts)
    total = terms.total
    return {
        "fermi_energy_eV": state.fermi_energy,
        "band_energy_eV": band,
        "entropy_contribution_eV": minus_ts,
        "total_free_energy_eV": np.nan if total is None else total,
        "entropy_eV_per_K": entropy(state, dos),
        "heat_capacity_eV_per_K": heat_capacity(state, dos, energies, correction=system.correction),
    }


def _unit(name: str) -> str:
    return "eV/K" if name.endswith("_per_K") else "eV"
