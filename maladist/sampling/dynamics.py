"""Molecular dynamics for configurations to train on, through ASE, with any calculator of ASE's or with LAMMPS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import ase
import numpy as np
from ase import units
from ase.calculators.eam import EAM
from ase.calculators.emt import EMT
from ase.calculators.lammpslib import LAMMPSlib
from ase.io.trajectory import Trajectory
from ase.md.langevin import Langevin

from maladist.descriptors.bispectrum.lammps import lammps_library, no_launcher
from maladist.errors import InputError


@contextmanager
def calculator_of(name: str, atoms: ase.Atoms) -> Iterator[Any]:
    """A calculator by its name, for as long as the context lasts.

    Parameters
    ----------
    name
        'emt' (ASE's effective medium theory: Al, Ni, Cu, Pd, Ag, Pt, Au), a table of an EAM potential (ending in .alloy
        or .fs) for ASE's own EAM, or a text file (.lmp) of LAMMPS' commands pair_style and pair_coeff in units
        metal, types numbered as the elements' symbols sort.
    atoms
        What it is for.

    Raises
    ------
    InputError
        Another name, a file that is not there, atoms that the calculator does not know.
    """
    path = Path(name)
    if name != "emt" and not path.is_file():
        raise InputError(
            "calculator", name, "emt, a file .eam.alloy or .eam.fs, or a file .lmp of LAMMPS' pair commands"
        )
    with ExitStack() as stack:
        if name == "emt":
            calculator = EMT()
        elif path.suffix in (".alloy", ".fs"):
            calculator = EAM(potential=str(path))
        elif path.suffix == ".lmp":
            lammps_library()
            stack.enter_context(no_launcher())
            commands = [line for raw in path.read_text().splitlines() if (line := raw.partition("#")[0].strip())]
            types = {s: i + 1 for i, s in enumerate(sorted(set(atoms.get_chemical_symbols())))}
            calculator = LAMMPSlib(lmpcmds=commands, atom_types=types, keep_alive=True, log_file=None)
            stack.callback(calculator.clean)
        else:
            raise InputError("calculator", name, "a file that ends in .alloy, .fs or .lmp")
        try:
            energy = calculator.get_potential_energy(atoms.copy())
        except Exception as error:  # calculators raise what they like
            came = f"{path.name} fails for {atoms.get_chemical_formula()} ({type(error).__name__}: {error})"
            raise InputError("calculator", came.replace("\n", " "), "one that knows these atoms") from error
        if not np.isfinite(energy):
            raise InputError("calculator", f"an energy of {energy}", "a finite energy of the crystal")
        yield calculator


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
    with Trajectory(trajectory, "w", moving) as writer:
        for _ in range(steps // every):
            step.run(every)
            if not np.isfinite(moving.positions).all():
                remedy = "Use a smaller timestep or another calculator."
                raise InputError("calculator", f"positions that are not finite after {step.nsteps} steps", "", remedy)
            writer.write()
    with Trajectory(trajectory) as reader:
        return list(reader)
