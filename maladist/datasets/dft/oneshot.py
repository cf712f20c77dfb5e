"""One step of a DFT code at a given n(r), without self-consistency: what the true Hamiltonian makes of a prediction.

    A[n] = Σ_k w_k Σ_i f ε_ik − TS − E_H[n] + E_xc[n] − ∫ v_xc[n] n + E_ii

with the levels ε_ik of the Hamiltonian whose potential is that of n(r): J. Harris, Phys. Rev. B 31, 1770 (1985); W. M.
C. Foulkes and R. Haydock, Phys. Rev. B 39, 12520 (1989). Its error is of second order in that of n(r).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isclose
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from maladist import metadata
from maladist.arrays import Array
from maladist.atoms import check_atoms
from maladist.datasets.dft.espresso import Espresso
from maladist.datasets.dft.scratch import Scratch
from maladist.elements import Element, check_same_files
from maladist.energy_grid import EnergyGrid
from maladist.errors import DFTError, InputError, StoreError
from maladist.grid import Grid
from maladist.io import datasets
from maladist.io.opening import open_dataset
from maladist.io.qe.run import DFTRun
from maladist.physics.broadening import broadened_dos
from maladist.physics.energies import TERMS, Energies, density_terms, ion_energy
from maladist.physics.system import System, wrapped


@dataclass(frozen=True, eq=False)
class OneShot:
    """What one step of pw.x tells of a density, beside what the store with the density says.

    Attributes
    ----------
    energies
        Terms of A[n] of Harris and Foulkes.
    fermi_energy
        μ of the levels, eV.
    eigenvalues, weights
        Levels (k, bands), eV, and weights of the k-points, (k,), with both spins in them.
    stored
        Terms of the store: the network's, or those of a snapshot's DFT; None where it has none.
    stored_fermi_energy
        μ of the store, eV; None where it has none.
    energy_grid
        Energies of the store's D(ε), with their broadening; None where it has none.
    dos, stored_dos
        D(ε) of the levels and of the store, (levels,) 1/eV; None where the store has none.
    """

    energies: Energies
    fermi_energy: float
    eigenvalues: Array
    weights: Array
    stored: Energies | None
    stored_fermi_energy: float | None
    energy_grid: EnergyGrid | None
    dos: Array | None
    stored_dos: Array | None

    def __str__(self) -> str:
        """A table of the terms, eV, and what the store differs by, meV/atom."""
        lines = [f"{'eV':<26}{'store':>16}{'one step':>16}{'difference, meV/atom':>24}"]
        stored = {} if self.stored is None else self.stored.to_dict()
        for name, value in self.energies:
            label, other = name.removesuffix("_eV").replace("_", " "), stored.get(name)
            lines.append(_row(label, other, value, self.energies.n_atoms))
        lines.append(_row("fermi energy", self.stored_fermi_energy, self.fermi_energy, None))
        return "\n".join(lines)

    def to_dict(self) -> dict[str, object]:
        """Everything by its name, ready for JSON."""
        values = {"eigenvalues_eV": self.eigenvalues, "k_weights": self.weights}
        if self.energy_grid is not None and self.dos is not None and self.stored_dos is not None:
            values |= {"energy_eV": self.energy_grid.values, "dos": self.dos, "stored_dos": self.stored_dos}
        return {
            **self.energies.to_dict(),
            "fermi_energy_eV": self.fermi_energy,
            "stored": None if self.stored is None else self.stored.to_dict(),
            "stored_fermi_energy_eV": self.stored_fermi_energy,
            **{name: value.tolist() for name, value in values.items()},
        }


def _row(label: str, stored: float | None, value: float | None, n_atoms: int | None) -> str:
    """A line of the table; nothing is divided where there is no number of atoms."""
    shown = ["–" if x is None else f"{x:.6f}" for x in (stored, value)]
    apart = "–"
    if stored is not None and value is not None:
        apart = f"{1e3 * (stored - value) / (n_atoms or 1):+.3f}" + ("" if n_atoms else " meV")
    return f"{label:<26}{shown[0]:>16}{shown[1]:>16}{apart:>24}"


def oneshot(store: str | Path, code: Espresso, *, scratch: str | Path | None = None) -> OneShot:
    """Take one step of pw.x at the density of a store: levels, D(ε) and A[n] of the true Hamiltonian.

    Parameters
    ----------
    store
        Result of `predict` or of `observe` at one temperature, or a snapshot of a data set.
    code
        Quantum ESPRESSO with its settings: those of the data that the model was trained on. k-points that they leave
        open are proposed; energies that they leave open are the store's.
    scratch
        Folder for pw.x' files; removed afterwards.

    Raises
    ------
    InputError
        The store has no density or several temperatures, or is of another temperature or other pseudopotentials than
        the settings.
    DFTError
        pw.x failed.
    """
    dataset = open_dataset(store, need=("density", "position", "number", "cell", "n_electrons", "temperature_K"))
    atoms = metadata.atoms_of(dataset)
    check_atoms(atoms, code.elements)
    _check_belongs(dataset, code, str(store))
    code = _settled(dataset, code)
    density = np.asarray(dataset["density"].transpose("x", "y", "z").values, dtype=np.float64)
    where = None if scratch is None else str(Path(scratch).resolve())
    with Scratch(Path(store).stem, where, code.threads) as kept:
        run, n0 = code.diagonalise(atoms, kept, density, float(dataset.attrs["n_electrons"]))
    if run.fermi_energy is None:
        raise DFTError("pw.x", "no Fermi energy in its XML", "a metal's calculation with smearing")
    stored, stored_fermi = _stored(dataset, Path(store))
    grid = metadata.energy_grid_of(dataset) if {"energy", "dos"} <= set(dataset.variables) else None
    # A DOS of unknown broadening has nothing to be compared with.
    grid = grid if grid is not None and grid.variance else None
    levels = torch.from_numpy(run.eigenvalues), torch.from_numpy(run.weights)
    return OneShot(
        energies=_harris_foulkes(run, n0, code.elements),
        fermi_energy=run.fermi_energy,
        eigenvalues=run.eigenvalues,
        weights=run.weights,
        stored=stored,
        stored_fermi_energy=stored_fermi,
        energy_grid=grid,
        dos=None if grid is None else broadened_dos(*levels, grid).numpy(),
        stored_dos=None if grid is None else np.asarray(dataset["dos"].values),
    )


def _check_belongs(dataset: xr.Dataset, code: Espresso, store: str) -> None:
    """Refuse a density of other electrons than those of the settings."""
    if "temperature" in dataset.dims:
        raise StoreError(store, f"{dataset.sizes['temperature']} temperatures", "a density at one temperature")
    temperature = float(dataset.attrs["temperature_K"])
    if not isclose(temperature, code.temperature, rel_tol=1e-6):
        wanted = f"{temperature:g} K, as the density has"
        raise InputError("temperature", f"{code.temperature:g} K in the settings", wanted, "Change the settings.")
    cut, other = (str(told or "none") for told in (dataset.attrs.get("assume_isolated"), code.assume_isolated))
    if cut != other:
        wanted = f"{cut}, as the density has"
        raise InputError("system.assume_isolated", f"{other} in the settings", wanted, "Change the settings.")
    check_same_files(code.elements, dataset.attrs.get("pseudopotentials", {}))


def _settled(dataset: xr.Dataset, code: Espresso) -> Espresso:
    """The settings with what they leave open: the store's energies, and k-points for its cell."""
    if code.needs_survey and "energy" in dataset:
        grid = metadata.energy_grid_of(dataset)
        code = code.settled({"energies": datasets.as_proposed(grid, code.broadening, code.temperature)})
    atoms = metadata.atoms_of(dataset)
    code = code.settled(code.propose([atoms], ())[0])
    code.check(atoms)
    return code


def _stored(dataset: xr.Dataset, store: Path) -> tuple[Energies | None, float | None]:
    """Terms and μ of the store: its own, or those of the DFT that made a snapshot."""
    names = (*(term.name for term in TERMS), "fermi_energy_eV")
    terms = {name: float(dataset[name]) for name in names if name in dataset}
    terms = terms or datasets.reference_terms(datasets.read_reference(store))
    # NaN stands for what was not known when the store was made.
    known = {name: value for name, value in terms.items() if np.isfinite(value)}
    energies = Energies.from_dict(known, dataset.sizes["atom"]) if known else None
    return energies, known.get("fermi_energy_eV")


def _harris_foulkes(run: DFTRun, density: Array, elements: Mapping[str, Element]) -> Energies:
    """The terms of A[n]: of the levels, and of the density that made them, on the grid and sphere of pw.x."""
    grid = Grid(run.atoms.cell.array.tolist(), density.shape)
    positions, numbers = wrapped(run.atoms, grid), run.atoms.numbers.astype(np.int16)
    cut = run.assume_isolated
    system = System(grid, positions, numbers, elements, run.xc, run.density_cutoff, assume_isolated=cut)
    band, entropy = run.terms["band_energy_eV"], run.terms["entropy_contribution_eV"]
    return Energies(len(numbers), band, entropy, *density_terms(torch.from_numpy(density), system), ion_energy(system))
