"""What is wanted of an MD and of a relaxation, checked where it enters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np

from maladist.errors import InputError

Ensemble = Literal["nve", "nvt", "npt"]
Velocities = Literal["drawn", "given"]
OptimizerName = Literal["bfgs", "fire"]
CellMotion = Literal["fixed", "hydrostatic", "free"]

_UNUSED: Final[Mapping[Ensemble, tuple[str, ...]]] = {
    "nve": ("friction", "pressure", "barostat_time"),
    "nvt": ("pressure", "barostat_time"),
    "npt": (),
}
"""What an ensemble has no use for."""


def _check_positive(name: str, value: float | None) -> None:
    if value is not None and not (np.isfinite(value) and value > 0):
        raise InputError(name, str(value), "a positive number")


def _check_number(name: str, value: float) -> None:
    if not np.isfinite(value):
        raise InputError(name, str(value), "a number")


def _check_count(name: str, value: int, least: int = 1) -> None:
    # Python asks for no types: 1.5 steps would be found by ASE, with a traceback.
    if not isinstance(value, int | np.integer) or value < least:
        raise InputError(name, repr(value), f"a whole number, {least} or more")


def _check_choice(name: str, value: str, choices: object) -> None:
    # A word that nothing compares equal to would be taken for the last of the choices.
    if value not in get_args(choices):
        raise InputError(name, repr(value), f"one of {', '.join(get_args(choices))}")


@dataclass(frozen=True, kw_only=True)
class MDSettings:
    """Molecular dynamics: ensemble, steps, what is kept.

    Parameters
    ----------
    steps
        Steps in all, those of an earlier run with the same arguments among them.
    timestep
        Length of a step, fs.
    ensemble
        nve: velocity Verlet. nvt: Langevin. npt: Langevin with a cell that keeps its shape (LangevinBAOAB of ASE).
    ion_temperature
        Temperature of the ions, K: of the velocities that are drawn, and of the thermostat. That of the electrons is
        --temperature.
    friction
        Friction of the thermostat, 1/fs.
    pressure
        Pressure of npt, GPa.
    barostat_time
        Time constant of the cell in npt, fs.
    velocities
        drawn: from Maxwell's and Boltzmann's distribution, with no total momentum. given: those of the atoms.
    seed
        Seed of the velocities and of the thermostat's noise.
    every
        Steps from one frame of the trajectory to the next; a run goes on from the last frame.
    stop_novelty
        Stop where the novelty of any point of the grid exceeds this: 1 is where the model's training ends.

    Raises
    ------
    InputError
        A number or a name that is not what it should be; one that the ensemble has no use for.
    """

    steps: int
    timestep: float = 1.0
    ensemble: Ensemble = "nve"
    ion_temperature: float = 300.0
    friction: float = 0.01
    pressure: float = 0.0
    barostat_time: float = 1000.0
    velocities: Velocities = "drawn"
    seed: int = 0
    every: int = 1
    stop_novelty: float | None = None

    def __post_init__(self) -> None:
        for name in ("timestep", "ion_temperature", "friction", "barostat_time", "stop_novelty"):
            _check_positive(name, getattr(self, name))
        _check_number("pressure", self.pressure)
        for name in ("steps", "every"):
            _check_count(name, getattr(self, name))
        _check_count("seed", self.seed, least=0)
        _check_choice("ensemble", self.ensemble, Ensemble)
        _check_choice("velocities", self.velocities, Velocities)
        # Left aside without a word, it would seem to have been heard.
        for name in _UNUSED[self.ensemble]:
            if (value := getattr(self, name)) != getattr(type(self), name):
                wanted = "npt" if name != "friction" else "nvt or npt"
                raise InputError(name, f"{value:g} in {self.ensemble}", wanted, "Give --ensemble, or leave it out.")

    def arguments(self) -> dict[str, object]:
        """What a run that goes on must have in common with the one before."""
        same: dict[str, object] = {
            name: getattr(self, name) for name in ("ensemble", "timestep", "velocities", "every")
        }
        if self.velocities == "drawn" or self.ensemble != "nve":
            same |= {"ion_temperature": self.ion_temperature, "seed": self.seed}
        if self.ensemble != "nve":
            same["friction"] = self.friction
        if self.ensemble == "npt":
            same |= {"pressure": self.pressure, "barostat_time": self.barostat_time}
        return same


@dataclass(frozen=True, kw_only=True)
class RelaxSettings:
    """Relaxation: until when, how, with which cell.

    Parameters
    ----------
    fmax
        Largest force at which the atoms count as relaxed, eV/Å; with a cell that moves, its own forces count too.
    steps
        Steps in all, those of an earlier run with the same arguments among them.
    optimizer
        bfgs or fire, both ASE's.
    cell
        fixed; hydrostatic: volume only; free: all six strains (FrechetCellFilter of ASE).
    pressure
        Pressure on a cell that moves, GPa.
    stop_novelty
        Stop where the novelty of any point of the grid exceeds this: 1 is where the model's training ends.

    Raises
    ------
    InputError
        A number or a name that is not what it should be.
    """

    fmax: float = 0.01
    steps: int = 200
    optimizer: OptimizerName = "bfgs"
    cell: CellMotion = "fixed"
    pressure: float = 0.0
    stop_novelty: float | None = None

    def __post_init__(self) -> None:
        for name in ("fmax", "stop_novelty"):
            _check_positive(name, getattr(self, name))
        _check_number("pressure", self.pressure)
        _check_count("steps", self.steps)
        _check_choice("optimizer", self.optimizer, OptimizerName)
        _check_choice("cell", self.cell, CellMotion)
        if self.pressure and self.cell == "fixed":
            raise InputError("pressure", f"{self.pressure:g} GPa on a fixed cell", "a cell that moves", "Give --cell.")

    def arguments(self) -> dict[str, object]:
        """What a run that goes on must have in common with the one before: what its atoms go to, not how or how far."""
        return {"cell": self.cell} | ({} if self.cell == "fixed" else {"pressure": self.pressure})


RELAX: Final = RelaxSettings()
"""A relaxation where nothing is said of it."""
