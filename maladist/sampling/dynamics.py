"""Molecular dynamics for configurations to train on, through ASE."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import ase
import numpy as np
from ase import units
from ase.calculators.calculator import Calculator
from ase.io.trajectory import Trajectory
from ase.md.langevin import Langevin

from maladist.arrays import Array
from maladist.errors import InputError, OutputError
from maladist.io.trajectory import append_frame, whole_frames
from maladist.sampling.settings import Dynamics


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
    moving.set_momenta(thermal_momenta(moving, dynamics.temperature, random))
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
        _frames(step, moving, dynamics, trajectory)
        # Read back from the file: the frames carry what was written, energies too, and no live calculator.
        with Trajectory(trajectory) as reader:
            return list(reader)
    except OSError as error:
        kept, remedy = whole_frames(trajectory), ""
        if kept:
            remedy = (
                f"Its {kept} whole frames are kept: maladist sample trajectory '{trajectory}@:{kept}' takes of them."
            )
        else:
            with suppress(OSError):
                trajectory.unlink()  # else the same command would find it there
        came = f"{trajectory} cannot be written ({error.strerror or error})"
        raise OutputError("trajectory", came, "a place that can be written to and has room", remedy) from error


def thermal_momenta(atoms: ase.Atoms, temperature: float, random: np.random.Generator) -> Array:
    """Momenta drawn from Maxwell's and Boltzmann's distribution at a temperature (K), in ASE's units, (n_atoms, 3)."""
    width = np.sqrt(units.kB * temperature * atoms.get_masses())
    return np.asarray(width[:, None] * random.standard_normal((len(atoms), 3)))


def _frames(step: Langevin, moving: ase.Atoms, dynamics: Dynamics, trajectory: Path) -> None:
    for _ in range(dynamics.steps // dynamics.every):
        step.run(dynamics.every)
        # Before the frame is written: the file then holds only frames that can be read and trained on.
        if not np.isfinite(moving.positions).all():
            remedy = "Use a smaller timestep or another calculator."
            raise InputError("calculator", f"positions that are not finite after {step.nsteps} steps", "", remedy)
        append_frame(trajectory, moving)
