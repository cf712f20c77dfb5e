"""Molecular dynamics for configurations to train on, through ASE."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import ase
import numpy as np
from ase import units
from ase.calculators.calculator import Calculator
from ase.io.trajectory import Trajectory, TrajectoryWriter
from ase.md.langevin import Langevin

from maladist.errors import InputError, OutputError


@dataclass(frozen=True, kw_only=True)
class Dynamics:
    """Langevin dynamics: thermostat, steps and frames.

    Parameters
    ----------
    temperature
        Temperature of the thermostat, K.
    steps
        Number of steps.
    timestep
        Length of a step, fs.
    friction
        Friction of the thermostat, 1/fs.
    every
        Steps from one frame to the next.
    seed
        Seed of the velocities and of the thermostat's noise.

    Raises
    ------
    InputError
        A number that is not positive, or fewer steps than one frame takes.
    """

    temperature: float
    steps: int
    timestep: float = 1.0
    friction: float = 0.02
    every: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("temperature", "timestep", "friction"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise InputError(name, str(value), "a positive number")
        if not 1 <= self.every <= self.steps:
            raise InputError("steps", f"{self.steps} steps, a frame every {self.every}", "one frame or more")


def molecular_dynamics(
    atoms: ase.Atoms,
    calculator: Calculator,
    dynamics: Dynamics,
    trajectory: str | Path,
) -> list[ase.Atoms]:
    """Langevin dynamics at constant volume.

    Parameters
    ----------
    atoms
        Atoms to begin with; velocities are drawn anew.
    calculator
        Calculator of ASE that gives the forces.
    dynamics
        Thermostat, steps and frames.
    trajectory
        File, in ASE's format, that every frame is written to as it comes.

    Returns
    -------
    list of ase.Atoms
        The frames, the first after ``every`` steps.

    Raises
    ------
    InputError
        The trajectory exists, or the atoms flew apart.
    OutputError
        The trajectory cannot be written, or not any further: the frames that it holds are kept.
    """
    trajectory = Path(trajectory)
    if trajectory.exists():
        raise InputError("trajectory", f"{trajectory} exists", "a new file", "It is left as it is.")
    random = np.random.default_rng(dynamics.seed)
    # A copy without constraints, tags and results: the caller's atoms stay where they are.
    moving = ase.Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True, calculator=calculator)
    # Maxwell and Boltzmann's width of each momentum.
    thermal = np.sqrt(units.kB * dynamics.temperature * moving.get_masses())
    moving.set_momenta(thermal[:, None] * random.standard_normal((len(moving), 3)))
    # fixcm=False: taking the motion of the centre out would lower the temperature of a small cell.
    step = Langevin(
        moving,
        dynamics.timestep * units.fs,
        temperature_K=dynamics.temperature,
        friction=dynamics.friction / units.fs,
        rng=random,
        fixcm=False,
    )
    try:
        with Trajectory(trajectory, "w", moving) as writer:
            _frames(step, moving, dynamics.steps // dynamics.every, dynamics.every, writer)
        # Read back from the file: the frames carry what was written, energies too, and no live calculator.
        with Trajectory(trajectory) as reader:
            return list(reader)
    except OSError as error:
        kept, remedy = _whole_frames(trajectory), ""
        if kept:
            remedy = (
                f"Its {kept} whole frames are kept: maladist sample trajectory '{trajectory}@:{kept}' takes of them."
            )
        else:
            with suppress(OSError):
                trajectory.unlink()  # else the same command would find it there
        came = f"{trajectory} cannot be written ({error.strerror or error})"
        raise OutputError("trajectory", came, "a place that can be written to and has room", remedy) from error


def _whole_frames(trajectory: Path) -> int:
    """How many frames of a trajectory can be read: all that its header tells but those that the file was cut in."""
    with suppress(OSError, ValueError, IndexError), Trajectory(trajectory) as reader:
        for count in range(len(reader), 0, -1):
            with suppress(OSError, ValueError, KeyError, IndexError):
                _ = reader[count - 1]
                return count
    return 0


def _frames(step: Langevin, moving: ase.Atoms, count: int, every: int, writer: TrajectoryWriter) -> None:
    for _ in range(count):
        step.run(every)
        # Before the frame is written: the file then holds only frames that can be read and trained on.
        if not np.isfinite(moving.positions).all():
            remedy = "Use a smaller timestep or another calculator."
            raise InputError("calculator", f"positions that are not finite after {step.nsteps} steps", "", remedy)
        writer.write()
