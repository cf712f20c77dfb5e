"""What is told of a step: a row of the table, a frame's info, and a line on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Final

import ase
import numpy as np
from ase import units
from ase.calculators.calculator import Calculator

from maladist.calculator import Maladist
from maladist.errors import DomainError, InputError
from maladist.parallel.progress import Finished, Observer, Silent


@dataclass(frozen=True, kw_only=True)
class Step(Finished):
    """A step of an MD or of a relaxation; None for what it does not have.

    Attributes
    ----------
    step
        Number of the step; 0 is the atoms as they came.
    time_fs
        Time of an MD, fs.
    total_free_energy_eV
        A, the potential energy of the ions.
    kinetic_energy_eV
        Kinetic energy of the ions.
    conserved_energy_eV
        Their sum in NVE; ASE's Langevin integrators have nothing that is conserved.
    ion_temperature_K
        Temperature of the ions, from their kinetic energy: 3N − 3 degrees of freedom where the total momentum is
        conserved, 3N with a thermostat.
    largest_force_eV_per_A
        Largest force on an atom.
    fermi_energy_eV
        μ of the electrons.
    largest_novelty, share_outside
        Largest novelty of a point of the grid, and share of the points above 1.
    volume_A3, pressure_GPa
        Of a cell that moves; the pressure has the ions' kinetic part in an MD.
    kept
        Whether the trajectory has a frame of the step.
    """

    step: int
    time_fs: float | None = None
    total_free_energy_eV: float
    kinetic_energy_eV: float | None = None
    conserved_energy_eV: float | None = None
    ion_temperature_K: float | None = None
    largest_force_eV_per_A: float
    fermi_energy_eV: float | None = None
    largest_novelty: float | None = None
    share_outside: float | None = None
    volume_A3: float | None = None
    pressure_GPa: float | None = None
    kept: bool = True

    def row(self) -> dict[str, float | None]:
        """Values by the names of their columns."""
        return {name: value for name, value in asdict(self).items() if name != "kept"}

    @classmethod
    def of_row(cls, row: Mapping[str, float | None]) -> Step:
        """A step from its `row`."""
        return cls(**{name: row[name] for name in COLUMNS})  # type: ignore[arg-type]

    def line(self, *, bar: bool) -> str:
        """Energies of a step that has a frame; the others are counted."""
        del bar
        if not self.kept:
            return ""
        parts = [f"step {self.step}", f"A {self.total_free_energy_eV:.5f} eV"]
        if self.ion_temperature_K is None:
            parts.append(f"force {self.largest_force_eV_per_A:.4f} eV/Å")
        else:
            parts.append(f"ions {self.ion_temperature_K:.0f} K")
        if self.conserved_energy_eV is not None:
            parts.append(f"conserved {self.conserved_energy_eV:.5f} eV")
        if self.fermi_energy_eV is not None:
            parts.append(f"μ {self.fermi_energy_eV:.4f} eV")
        if self.volume_A3 is not None and self.pressure_GPa is not None:
            parts.append(f"{self.volume_A3:.2f} Å³, {self.pressure_GPa:.2f} GPa")
        if self.largest_novelty is not None:
            parts.append(f"novelty {self.largest_novelty:.2f}")
        return "  ".join(parts)


COLUMNS: Final = tuple(f.name for f in fields(Step) if f.name != "kept")


def observed(atoms: ase.Atoms, *, stress: bool) -> dict[str, float]:
    """What atoms and their calculator tell after a step, by the names of `Step`.

    Parameters
    ----------
    stress
        Whether the cell moves, by the stress.

    Raises
    ------
    InputError
        Positions or energies are not finite.
    """
    # Forces before the energy, which the same calculation gave.
    forces = np.linalg.norm(atoms.get_forces(), axis=1).max()
    energy = atoms.get_potential_energy()
    if not np.isfinite([energy, forces, np.abs(atoms.positions).max()]).all():
        raise InputError("atoms", "positions, forces or energies that are not finite", "atoms that stay together")
    values = {"total_free_energy_eV": float(energy), "largest_force_eV_per_A": float(forces)}
    if stress:
        with_ions = atoms.has("momenta")
        pressure = -np.mean(atoms.get_stress(include_ideal_gas=with_ions)[:3]) / units.GPa
        values |= {"volume_A3": float(atoms.get_volume()), "pressure_GPa": float(pressure)}
    return values | _of_electrons(atoms.calc)


def _of_electrons(calculator: Calculator) -> dict[str, float]:
    """Fermi level and novelty where it is our calculator; others, for tests, know neither."""
    if not isinstance(calculator, Maladist) or calculator.prediction is None:
        return {}
    values = {"fermi_energy_eV": calculator.prediction.fermi_energy}
    if outside := calculator.prediction.dataset.attrs.get("outside"):
        values |= {"largest_novelty": outside["largest_novelty"], "share_outside": outside["share"]}
    return values


def check_novelty(step: Step, limit: float | None) -> None:
    """Refuse to go on from a step that lies farther from the model's training than was asked for.

    Raises
    ------
    DomainError
        It does, or the model does not know where it has been trained.
    """
    if limit is None:
        return
    if step.largest_novelty is None:
        raise DomainError("stop_novelty", "a model that does not know where it has been trained", "one that knows")
    if step.largest_novelty > limit:
        came = f"novelty {step.largest_novelty:.3g} at step {step.step}"
        raise DomainError("stop_novelty", came, f"at most {limit:g}", "The model has left its training: see its card.")


class Progress:
    """Tells an observer of a run's steps; step 0, the atoms as they came, is a stage before them.

    Parameters
    ----------
    observer
        Who is told.
    stage, total
        Name and number of the steps.
    last
        Last step of an earlier run; None where there was none.
    """

    def __init__(self, observer: Observer | None, stage: str, total: int, last: Step | None) -> None:
        self._observer, self._steps = observer or Silent(), (stage, total)
        if last is None:
            self._observer.stage("step 0", 1)
        else:
            self._observer.stage(*self._steps, last.step)

    def advance(self, step: Step) -> None:
        """Tell of a step that is finished."""
        self._observer.advance(step)
        if step.step == 0:
            self._observer.stage(*self._steps)
