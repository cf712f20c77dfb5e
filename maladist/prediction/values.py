"""From D(ε), the weights and the density's terms to the variables of a result store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from maladist import schema
from maladist.grid import EnergyGrid
from maladist.physics.energies import Energies
from maladist.physics.fermi import FermiWeights
from maladist.physics.system import System

Values = dict[str, tuple[tuple[str, ...], npt.NDArray[Any], str]]


def result_values(
    system: System,
    energy_grid: EnergyGrid,
    dos: npt.NDArray[np.float64],
    weights: Sequence[tuple[float, FermiWeights]],
    terms: Sequence[Energies],
) -> Values:
    """Variables of the data contract: atoms, energies, DOS and the scalars, with a dim for several temperatures.

    Parameters
    ----------
    dos
        D(ε), (levels,), 1/eV.
    weights
        μ (eV) and the Fermi weights at it, for each temperature.
    terms
        Energies at each temperature, all but band energy and entropy.
    """
    rows = []
    for (mu, w), of_density in zip(weights, terms, strict=True):
        energies = replace(of_density, band=float(w.band.numpy() @ dos), entropy=float(w.entropy.numpy() @ dos))
        rows.append({"fermi_energy_eV": mu, "n_electrons": float(w.number.numpy() @ dos), **energies.to_dict()})
    several = len(rows) > 1
    dims: tuple[str, ...] = ("temperature",) if several else ()
    values: Values = {
        "position": (("atom", "xyz"), system.positions, "Å"),
        "number": (("atom",), system.numbers, "1"),
        "energy": (("energy",), energy_grid.values, "eV"),
        "dos": ((*dims, "energy"), np.tile(dos, (len(rows), 1)) if several else dos, "1/eV"),
    }
    for name in schema.SCALARS:
        column = np.array([np.nan if row[name] is None else row[name] for row in rows], dtype=np.float64)
        values[name] = (dims, column if several else column[0], "1" if name == "n_electrons" else "eV")
    if several:
        values["temperature"] = (("temperature",), np.array(system.temperatures), "K")
    return values
