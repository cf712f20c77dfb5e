"""Molecular dynamics for configurations to train on, through ASE."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import ase
import numpy as np
from ase import units
from ase.io.trajectory import Trajectory
from ase.md.langevin import Langevin

from maladist.errors import InputError, OutputError


def molecular_dynamics(
    atoms: ase.Atoms,
    calculator: Any,
    *,
    temperature: float,
    steps: int,
    trajectory: str | Path,
    timestep: float = 1.0,
    friction: float = 0.02,
    every: int = 10,
    seed: int = 0,
) -> list[ase.Atoms]:
    """Langevin dynamics at constant volume.

    Parameters
    ----------
    atoms
        Where it begins; velocities are drawn anew.
    calculator
        One of ASE's.
    temperature
        K.
    steps
        Of ``timestep`` fs each.
    trajectory
        File, in ASE's format, that every frame is written to as it comes.
    friction
        1/fs.
    every
        Steps from one frame to the next.
    seed
        Of velocities and noise.

    Returns
    -------
    list of ase.Atoms
        The frames, the first after ``every`` steps.

    Raises
    ------
    InputError
        Naming the argument; forces that are not finite.
    """
    for name, value in {"temperature": temperature, "timestep": timestep, "friction": friction}.items():
        if not (np.isfinite(value) and value > 0):
            raise InputError(name, str(value), "a positive number")
    if not 1 <= every <= steps:
        raise InputError("steps", f"{steps} steps, a frame every {every}", "one frame or more")
    trajectory = Path(trajectory)
    if trajectory.exists():
        raise InputError("trajectory", f"{trajectory} exists", "a new file", "It is left as it is.")
    random = np.random.default_rng(seed)
    moving = ase.Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True, calculator=calculator)
    thermal = np.sqrt(units.kB * temperature * moving.get_masses())  # Maxwell and Boltzmann's width of a momentum
    moving.set_momenta(thermal[:, None] * random.standard_normal((len(moving), 3)))
    step = Langevin(
        moving, timestep * units.fs, temperature_K=temperature, friction=friction / units.fs, rng=random, fixcm=False
    )
    try:
        with Trajectory(trajectory, "w", moving) as writer:
            _frames(step, moving, steps // every, every, writer)
        with Trajectory(trajectory) as reader:
            return list(reader)
    except OSError as error:
        with suppress(OSError):
            trajectory.unlink()  # else the same command would find it there
        came = f"{trajectory} cannot be written ({error.strerror or error})"
        raise OutputError("trajectory", came, "a place that can be written to and has room") from error


def _frames(step: Langevin, moving: ase.Atoms, count: int, every: int, writer: Any) -> None:
    for _ in range(count):
        step.run(every)
        if not np.isfinite(moving.positions).all():
            remedy = "Use a smaller timestep or another calculator."
            raise InputError("calculator", f"positions that are not finite after {step.nsteps} steps", "", remedy)
        writer.write()
