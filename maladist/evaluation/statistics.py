"""Errors of a model on snapshots, and their statistics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import pearsonr

from maladist.learning.about import COLUMNS
from maladist.parallel.progress import Finished

Rows = list[list[float]]
TOTAL, BAND = "total_free_energy", "band_energy"


@dataclass(frozen=True)
class Evaluated(Finished):
    """A model's errors on one snapshot, model minus DFT; None where the data do not tell.

    Attributes
    ----------
    name, path, n_atoms
        Name, path and number of atoms of the snapshot.
    volume, ewald
        Volume, Å³, and Ewald energy of the ions, eV, per atom.
    ldos_mae, ldos_rmse
        Mean |Δd| and root of the mean Δd² over all points and levels, 1/(eV Å³).
    dos_mae, dos_relative
        Mean |ΔD|, 1/(eV atom); Σ|ΔD| / Σ|D|.
    density_mae, density_relative, density_percentage
        Mean |Δn|, 1/Å³; mean |Δn| / mean n; mean |Δn/n|, per cent.
    density_rmse, density_within
        Root of the mean Δn², 1/Å³; share of the points with |Δn| in the interval of the model's σ, if it has one.
    density_of_ldos_relative
        Mean |Δn| / mean n of the density that the LDOS gives, beside that of a density channel where there is one.
    electrons
        N at the DFT's Fermi level less that of the cell, per atom.
    fermi_level
        Fermi level of the model less that of the DFT, meV.
    predicted, reference
        Energies of the model and of the DFT by the names of the data contract without ``_eV``, eV/atom.
    data_error
        Energies that the data's own LDOS gives, by the same names, less the DFT's, eV/atom: what learns the LDOS cannot
        be expected to be nearer to the DFT. Empty where the data do not tell.
    spread
        Standard deviations of an ensemble's members by the same names, meV/atom; of the density over its mean; root
        mean squares of those of 'forces', eV/Å, and 'density_rms', 1/Å³. Empty where they were not asked for.
    growth
        Mean of ν⁴/(1 + ν²) over the points, ν the novelty; None from a model that does not know its training.
    sigma
        σ of a calibrated model: of A and E_b, meV/atom, of 'forces', eV/Å, and 'density', 1/Å³; else empty.
    forces, reference_forces
        Forces of the model and of the DFT, (n_atoms, 3) as lists, eV/Å; None where they were not compared.
    stress, reference_stress
        Stress of the model and of the DFT in ASE's order and sign, eV/Å³; None where they were not compared.
    stress_against
        Which of the DFT's that is: 'stress_fixed_cutoff', which the model's is too; or, where the data hold no other,
        'stress', at a fixed number of plane waves, which differs by Pulay's; empty where none was compared.
    forces_refused
        Why the model gives no forces and stress where the data hold the DFT's; else empty.
    """

    name: str
    path: str
    n_atoms: int
    volume: float
    ewald: float | None
    ldos_mae: float
    ldos_rmse: float
    dos_mae: float
    dos_relative: float
    density_mae: float | None
    density_relative: float | None
    density_percentage: float | None
    density_of_ldos_relative: float | None
    electrons: float | None
    fermi_level: float | None
    predicted: Mapping[str, float]
    reference: Mapping[str, float]
    data_error: Mapping[str, float] = field(default_factory=dict)
    spread: Mapping[str, float] = field(default_factory=dict)
    density_rmse: float | None = None
    density_within: float | None = None
    growth: float | None = None
    sigma: Mapping[str, float] = field(default_factory=dict)
    forces: Rows | None = None
    reference_forces: Rows | None = None
    stress: list[float] | None = None
    reference_stress: list[float] | None = None
    stress_against: str = ""
    forces_refused: str = ""

    @property
    def force_errors(self) -> dict[str, float]:
        """Errors of the forces: RMSE, eV/Å, that over the DFT's RMS, the correlation, the worst atom's |ΔF|, eV/Å."""
        if self.forces is None or self.reference_forces is None:
            return {}
        ours, dft = np.array(self.forces), np.array(self.reference_forces)
        rmse, rms = float(np.sqrt(np.mean((ours - dft) ** 2))), float(np.sqrt(np.mean(dft**2)))
        varies = np.ptp(ours) > 0 and np.ptp(dft) > 0  # a crystal at rest has no forces to compare
        found = {"forces_rmse_eV_per_A": rmse, "forces_worst_eV_per_A": float(np.linalg.norm(ours - dft, axis=1).max())}
        if varies:
            found |= {
                "forces_relative": rmse / rms,
                "forces_correlation": float(pearsonr(ours.ravel(), dft.ravel()).statistic),
            }
        return found

    @property
    def stress_error(self) -> float | None:
        """Root mean square error of the stress' six components, eV/Å³; None where it was not compared."""
        if self.stress is None or self.reference_stress is None:
            return None
        return float(np.sqrt(np.mean((np.array(self.stress) - np.array(self.reference_stress)) ** 2)))

    @property
    def terms(self) -> dict[str, float]:
        """Errors of the energies, meV/atom."""
        return {name: 1e3 * (value - self.reference[name]) for name, value in self.predicted.items()}

    @property
    def from_data(self) -> dict[str, float]:
        """Errors of the energies against the integrals of the data's LDOS, as MALA takes them, meV/atom."""
        return {name: self.terms[name] - 1e3 * e for name, e in self.data_error.items() if name in self.terms}

    def figures(self) -> dict[str, float | None]:
        """Every error by its name and unit."""
        return {
            **{f"{name}_meV_per_atom": error for name, error in self.terms.items()},
            **{f"{name}_of_data_meV_per_atom": 1e3 * error for name, error in self.data_error.items()},
            **{f"{name}_from_data_meV_per_atom": error for name, error in self.from_data.items()},
            **self.force_errors,
            **({} if self.stress_error is None else {"stress_rmse_eV_per_A3": self.stress_error}),
            "fermi_level_meV": self.fermi_level,
            "electrons_per_atom": self.electrons,
            "density_relative": self.density_relative,
            "density_mae_per_A3": self.density_mae,
            "density_rmse_per_A3": self.density_rmse,
            "density_percentage": self.density_percentage,
            "density_of_ldos_relative": self.density_of_ldos_relative,
            "dos_relative": self.dos_relative,
            "dos_mae_per_eV_atom": self.dos_mae,
            "ldos_mae_per_eV_A3": self.ldos_mae,
            "ldos_rmse_per_eV_A3": self.ldos_rmse,
        }

    def to_dict(self) -> dict[str, object]:
        """Every figure and what it was made from, as JSON holds them."""
        return {**asdict(self), "errors": self.figures()}


@dataclass(frozen=True)
class Statistics:
    """Statistics of an error over snapshots: mean absolute value, mean, standard deviation, largest absolute value."""

    mean_abs: float
    bias: float
    std: float
    max: float
    count: int

    @classmethod
    def of(cls, errors: npt.ArrayLike) -> Statistics:
        """Statistics of errors, (snapshots,)."""
        e = np.asarray(errors, dtype=np.float64)
        return cls(float(np.abs(e).mean()), float(e.mean()), float(e.std()), float(np.abs(e).max()), len(e))


def by_size(errors: Mapping[str, list[tuple[int, float]]]) -> dict[str, dict[str, Statistics]]:
    """Statistics of errors (atoms, error) by name: of all, and by number of atoms where there are several."""
    sizes = sorted({n for rows in errors.values() for n, _ in rows})
    groups: list[tuple[str, Callable[[int], bool]]] = [("all", lambda _: True)]
    # n=n: each group keeps its own number; a plain n would be the loop's last in all of them.
    groups += [(f"{n} atoms", lambda m, n=n: m == n) for n in sizes if len(sizes) > 1]  # type: ignore[misc]
    by_group: dict[str, dict[str, Statistics]] = {}
    for group, belongs in groups:
        chosen = {name: [e for n, e in rows if belongs(n)] for name, rows in errors.items()}
        by_group[group] = {name: Statistics.of(e) for name, e in chosen.items() if e}
    return by_group


def summary(evaluated: Sequence[Evaluated]) -> dict[str, dict[str, Statistics]]:
    """Statistics of every error: over all snapshots, and by number of atoms where there are several."""
    rows: dict[str, list[tuple[int, float]]] = {}
    for one in evaluated:
        for name, error in one.figures().items():
            # A figure that a snapshot does not have is left out of its mean, not taken for zero.
            if error is not None:
                rows.setdefault(name, []).append((one.n_atoms, error))
    return by_size(rows)


def held_out(evaluated: Sequence[Evaluated]) -> dict[str, dict[str, Any]]:
    """Errors for a model's card: number of cells, mean and largest absolute errors, by number of atoms."""
    groups = summary(evaluated)
    if len(groups) == 1:
        groups = {f"{evaluated[0].n_atoms} atoms": groups["all"]}
    groups.pop("all", None)
    return {
        group: {
            "cells": max(s.count for s in rows.values()),
            **{key: (rows[key].mean_abs, rows[key].max) for key, _ in COLUMNS.values() if key in rows},
        }
        for group, rows in groups.items()
    }
