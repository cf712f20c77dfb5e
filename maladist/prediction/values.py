"""The variables and attributes of a result store: from D(ε), the weights and the density's terms, and from reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from maladist import schema
from maladist.arrays import AnyArray, Array
from maladist.attributes import Attributes
from maladist.energy_grid import EnergyGrid
from maladist.physics.energies import Energies
from maladist.physics.fermi import FermiState
from maladist.physics.system import System
from maladist.prediction.block import Report
from maladist.prediction.provenance import provenance
from maladist.prediction.tally import STAGES, Tally

Values = dict[str, tuple[tuple[str, ...], AnyArray, str]]


def result_values(
    system: System,
    energy_grid: EnergyGrid,
    dos: Array,
    states: Sequence[FermiState],
    terms: Energies,
) -> Values:
    """Variables of the data contract: atoms, energies, DOS and the scalars, with a dim for several temperatures.

    Parameters
    ----------
    dos
        D(ε), (levels,), 1/eV; of no levels where there is the density alone, at one temperature.
    states
        State of the electrons at each of the system's temperatures, and at others, which are not stored.
    terms
        Terms of the energy, all but band energy and entropy.
    """
    rows, d, n_electrons = [], torch.as_tensor(dos), float(system.n_electrons or 0.0)
    # The last may be at T₀ only, which the double counting needs and no result is asked for.
    for state in states[: len(system.temperatures)]:
        band, entropy = state.band_energy(d, n_electrons), state.entropy_contribution(d)
        rows.append(
            {
                "fermi_energy_eV": state.fermi_energy,
                "n_electrons": float(state.weights.number @ d),
                **replace(terms, band=band, entropy=entropy).to_dict(),
            }
        )
    if not energy_grid.levels:
        rows = [{"n_electrons": n_electrons, **terms.to_dict()}]
    several = len(rows) > 1
    dims: tuple[str, ...] = ("temperature",) if several else ()
    values: Values = {
        "position": (("atom", "xyz"), system.positions, "Å"),
        "number": (("atom",), system.numbers, "1"),
    }
    if energy_grid.levels:
        values["energy"] = (("energy",), energy_grid.values, "eV")
        values["dos"] = ((*dims, "energy"), np.tile(dos, (len(rows), 1)) if several else dos, "1/eV")
    # In the order of the schema: that of a set of names is another in every process.
    for name in (name for name in schema.SCALARS if name in rows[0]):
        # A store has no None; NaN is read back as not known.
        column = np.array([np.nan if row[name] is None else row[name] for row in rows], dtype=np.float64)
        values[name] = (dims, column if several else column[0], "1" if name == "n_electrons" else "eV")
    if several:
        values["temperature"] = (("temperature",), np.array(system.temperatures), "K")
    return values


def run_values(reports: Sequence[Report]) -> Values:
    """When (seconds since 1970) and where each block ran."""
    # Numbers in place of addresses: an array of them is small, and tells nothing of the user's network.
    ranks = {worker: i for i, worker in enumerate(sorted({r.worker for r in reports}))}
    r = sorted(reports, key=lambda r: r.block)
    return {
        "run/block": (("task",), np.array([x.block for x in r], np.int64), "1"),
        "run/worker": (("task",), np.array([ranks[x.worker] for x in r], np.int64), "1"),
        "run/start": (("task",), np.array([x.start for x in r], np.float64), "s"),
        "run/stop": (("task",), np.array([x.stop for x in r], np.float64), "s"),
        "run/peak_memory": (("task",), np.array([x.peak_memory for x in r], np.int64), "B"),
    }


def worker_seconds(reports: Sequence[Report]) -> float:
    """Seconds that the workers spent on what is reported."""
    return sum(sum(r.seconds.values()) for r in reports)


def run_attributes(reports: Sequence[Report], tally: Tally, seconds: Mapping[str, float]) -> Attributes:
    """Who computed, with how much memory, and how long each stage took, for which the tally and ``seconds`` tell."""
    return {
        **provenance(),
        "workers": len({r.worker for r in reports}),
        "peak_memory_bytes": max(r.peak_memory for r in reports),
        "seconds": {**dict(zip(STAGES, map(float, tally.seconds), strict=True)), **seconds},
    }
