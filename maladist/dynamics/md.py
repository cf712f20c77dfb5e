"""Molecular dynamics of the ions on A, by ASE's integrators."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Unpack
from warnings import catch_warnings, simplefilter

import ase
import numpy as np
from ase import units
from ase.calculators.calculator import Calculator
from ase.md.langevin import Langevin
from ase.md.langevinbaoab import LangevinBAOAB
from ase.md.md import MolecularDynamics
from ase.md.verlet import VelocityVerlet
from distributed import Client

from maladist.atoms import AtomsLike, ase_atoms
from maladist.dynamics.folder import RunFolder, run_folder
from maladist.dynamics.ready import prepare
from maladist.dynamics.settings import MDSettings
from maladist.dynamics.step import Progress, Step, check_novelty, observed
from maladist.dynamics.summary import MDSummary, summarise
from maladist.dynamics.warm import Warm
from maladist.errors import AtomsError
from maladist.learning.model import LDOSModel
from maladist.parallel.progress import Observer
from maladist.prediction.options import Options
from maladist.sampling.dynamics import thermal_momenta


def md(
    atoms: AtomsLike,
    model: LDOSModel | str | Path,
    output: str | Path,
    settings: MDSettings,
    *,
    client: Client | None = None,
    observer: Observer | None = None,
    **options: Unpack[Options],
) -> MDSummary:
    """Move the ions on the total free energy A of the electrons, which stay at their own temperature.

    Called again with the same arguments it goes on from the last frame: NVE, NVT and NPT as if they had never been
    interrupted, to the last bit where the same workers compute in the same blocks: a frame has the states of the random
    generator, the barostat and the calculator too. ``steps`` may grow.

    Parameters
    ----------
    atoms
        Positions, elements, the cell, and with ``velocities="given"`` momenta.
    model
        A model, or a path of a model file.
    output
        Folder: ``trajectory.traj`` (ASE's format; energies, forces, μ and novelty of every frame), ``steps.csv`` (a
        row for every step), ``run.json`` (the arguments).
    settings
        Ensemble, steps and what is kept.
    client
        A Dask client. By default the calculator decides where it computes.
    observer
        Observer that is told of every `Step`, and what the user should know; where None that is warned of.
    options
        The parameters of `maladist.predict` that say what is computed, and how; ``temperature`` is that of the
        electrons. The grid is that of the first cell throughout.

    Returns
    -------
    MDSummary
        Drift, fluctuations and means.

    Raises
    ------
    InputError
        As `predict`: told before anything is computed; or the folder holds another run.
    PhysicsError
        The model has no forces.
    DomainError
        The atoms left the model's training, by ``stop_novelty`` or ``strict``; frames are kept.
    OutputError
        The folder cannot be written, or not any further; frames are kept.

    Examples
    --------
    >>> summary = maladist.md(be, "be-1000K-2", "md", maladist.MDSettings(steps=2, ion_temperature=300.0))
    >>> summary.steps, summary.time_fs
    (2, 2.0)
    """
    atoms = ase_atoms(atoms)
    prepared = prepare(atoms, model, options, cell_moves=settings.ensemble == "npt")
    with prepared.calculator(client, observer) as calculator:
        return propagate(atoms, calculator, output, settings, observer=observer, given=prepared.arguments)


def propagate(
    atoms: ase.Atoms,
    calculator: Calculator,
    output: str | Path,
    settings: MDSettings,
    *,
    observer: Observer | None = None,
    given: Mapping[str, object] | None = None,
) -> MDSummary:
    """`md` with any calculator of ASE.

    Parameters
    ----------
    given
        What the calculator computes with, by name: a run that goes on must have the same.
    """
    start = _start(atoms, settings)
    arguments = {"verb": "md", "atoms": _hash(start), **settings.arguments(), **(given or {})}
    with run_folder(output, arguments) as folder:
        first = folder.last_step
        progress = Progress(observer, "MD steps", settings.steps, first)
        if first is not None:
            check_novelty(first, settings.stop_novelty)
        for step in _steps(start, calculator, folder, settings):
            progress.advance(step)
            check_novelty(step, settings.stop_novelty)
    return summarise(output)


def _start(atoms: ase.Atoms, settings: MDSettings) -> ase.Atoms:
    """Atoms with the velocities to begin with."""
    if atoms.constraints:
        came = f"constraints ({type(atoms.constraints[0]).__name__})"
        raise AtomsError("atoms", came, "atoms that are free to move", "Remove them: md would mistake the temperature.")
    if len(atoms) < 2:
        raise AtomsError("atoms", f"{len(atoms)} atom", "two or more: one alone feels no force")
    start = ase.Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True, masses=atoms.get_masses())
    if settings.velocities == "given":
        if not atoms.has("momenta"):
            raise AtomsError("velocities", "atoms without any", "a file that has them: a trajectory of md, or extxyz")
        start.set_momenta(atoms.get_momenta())
        return start
    momenta = thermal_momenta(start, settings.ion_temperature, np.random.default_rng(settings.seed))
    # The centre of mass at rest: 3N − 3 degrees of freedom keep their distribution.
    masses = start.get_masses()[:, None]
    start.set_momenta(momenta - masses * momenta.sum(axis=0) / masses.sum())
    return start


def _hash(start: ase.Atoms) -> str:
    arrays = (start.numbers, start.positions, start.cell.array, start.get_masses(), start.get_momenta())
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


def _steps(start: ase.Atoms, calculator: Calculator, folder: RunFolder, settings: MDSettings) -> Iterator[Step]:
    """Steps as they are finished, each written; the first one is the atoms as they came."""
    moving = start if folder.last is None else folder.last.copy()
    moving.info = {}
    moving.calc = calculator
    # Apart from that of the velocities, so that the noise does not depend on how many atoms had theirs drawn.
    random = np.random.default_rng([settings.seed, 1])
    state = None if folder.last is None else folder.last.info
    done = -1 if state is None else int(state["step"])
    if done >= settings.steps:
        return
    warm = Warm(calculator, folder)
    integrator = _integrator(moving, settings, random)
    if state is not None:
        integrator.nsteps = done
        _restore(integrator, random, state)
    for _ in integrator.irun(settings.steps - max(done, 0)):
        if integrator.nsteps > done:  # ASE tells of the step that it begins at, too
            step = _observed(moving, integrator.nsteps, settings)
            folder.add(step, moving, _state(integrator, random) | warm.state(folder.frames) if step.kept else None)
            yield step


def _integrator(moving: ase.Atoms, settings: MDSettings, random: np.random.Generator) -> MolecularDynamics:
    timestep, temperature = settings.timestep * units.fs, settings.ion_temperature
    if settings.ensemble == "nve":
        return VelocityVerlet(moving, timestep)
    if settings.ensemble == "nvt":
        # fixcm=False: taking the motion of the centre out would lower the temperature of a small cell.
        friction = settings.friction / units.fs
        return Langevin(moving, timestep, temperature_K=temperature, friction=friction, rng=random, fixcm=False)
    with catch_warnings():
        simplefilter("ignore", UserWarning)  # that the mass of the cell follows from its time constant, as is meant
        return LangevinBAOAB(
            moving,
            timestep,
            temperature_K=temperature,
            externalstress=-settings.pressure * units.GPa,
            hydrostatic=True,
            T_tau=units.fs / settings.friction,
            P_tau=settings.barostat_time * units.fs,
            rng=random,
        )


def _state(integrator: MolecularDynamics, random: np.random.Generator) -> dict[str, object]:
    """What a frame needs beside positions, momenta and cell for the next step to be the same."""
    if isinstance(integrator, VelocityVerlet):
        return {}
    # As text: the generator's integers have 128 bits.
    state: dict[str, object] = {"random_state": json.dumps(random.bit_generator.state)}
    if isinstance(integrator, LangevinBAOAB):
        # The force on the cell belongs to the momenta of half a step before: it cannot be computed again.
        state |= {"cell_momentum": float(integrator.p_eps), "cell_force": float(integrator.force_eps)}
    return state


def _restore(integrator: MolecularDynamics, random: np.random.Generator, state: Mapping[str, object]) -> None:
    if not isinstance(integrator, VelocityVerlet):
        random.bit_generator.state = json.loads(str(state["random_state"]))
    if isinstance(integrator, LangevinBAOAB):
        integrator.p_eps, integrator.force_eps = state["cell_momentum"], state["cell_force"]


def _observed(moving: ase.Atoms, number: int, settings: MDSettings) -> Step:
    values = observed(moving, stress=settings.ensemble == "npt")
    kinetic = float(moving.get_kinetic_energy())
    conserved = settings.ensemble == "nve"
    freedom = 3 * len(moving) - (3 if conserved else 0)
    return Step(
        step=number,
        time_fs=number * settings.timestep,
        kinetic_energy_eV=kinetic,
        conserved_energy_eV=values["total_free_energy_eV"] + kinetic if conserved else None,
        ion_temperature_K=2 * kinetic / (freedom * units.kB),
        kept=number % settings.every == 0 or number == settings.steps,
        **values,
    )
