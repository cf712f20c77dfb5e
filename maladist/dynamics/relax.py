"""Relaxation of atoms, and of their cell, to where A is lowest, by ASE's optimisers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Unpack

import ase
import ase.io
import numpy as np
from ase import units
from ase.calculators.calculator import Calculator
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS, FIRE
from distributed import Client

from maladist.atoms import AtomsLike, ase_atoms
from maladist.dynamics.folder import RunFolder, run_folder, still
from maladist.dynamics.ready import prepare
from maladist.dynamics.settings import RELAX, RelaxSettings
from maladist.dynamics.step import Progress, Step, check_novelty, observed
from maladist.errors import InputError
from maladist.io.targets import whole
from maladist.learning.model import LDOSModel
from maladist.parallel.progress import Observer
from maladist.prediction.options import Options

RELAXED: Final = "relaxed.extxyz"
_OPTIMIZERS: Final = {"bfgs": BFGS, "fire": FIRE}


@dataclass(frozen=True)
class Relaxed:
    """Atoms at a minimum of A.

    Attributes
    ----------
    atoms
        The atoms, with energy, forces, and stress where the cell moved.
    step
        The last step.
    """

    atoms: ase.Atoms
    step: Step

    def to_dict(self) -> dict[str, object]:
        """Figures by name, for ``--json``."""
        return {"n_atoms": len(self.atoms), **{name: v for name, v in self.step.row().items() if v is not None}}

    def __str__(self) -> str:
        return f"{len(self.atoms)} atoms relaxed: {self.step.line(bar=False)}"


def relax(
    atoms: AtomsLike,
    model: LDOSModel | str | Path,
    output: str | Path,
    settings: RelaxSettings = RELAX,
    *,
    client: Client | None = None,
    observer: Observer | None = None,
    **options: Unpack[Options],
) -> Relaxed:
    """Move atoms, and their cell if asked for, to a minimum of the total free energy A.

    Called again with the same arguments it goes on from the last frame, with a new optimiser: what that has learnt of
    the curvature is not kept. ``fmax``, ``steps`` and ``optimizer`` may change. Constraints of the atoms hold.

    Parameters
    ----------
    atoms
        Positions, elements and the cell.
    model
        A model, or a path of a model file.
    output
        Folder: ``trajectory.traj`` (ASE's format), ``steps.csv``, ``run.json`` (the arguments), and in the end
        ``relaxed.extxyz``.
    settings
        Until when, how, with which cell.
    client
        A Dask client. By default the calculator decides where it computes.
    observer
        Observer that is told of every `Step`, and what the user should know; where None that is warned of.
    options
        The parameters of `maladist.predict` that say what is computed, and how. The grid is that of the first cell.

    Returns
    -------
    Relaxed
        The atoms and figures.

    Raises
    ------
    InputError
        As `predict`: told before anything is computed; the folder holds another run; or the forces are still larger
        than ``fmax`` after ``steps``.
    PhysicsError
        The model has no forces.
    DomainError
        The atoms left the model's training, by ``stop_novelty`` or ``strict``; frames are kept.
    OutputError
        The folder cannot be written, or not any further; frames are kept.

    Examples
    --------
    >>> be.rattle(0.05, seed=0)
    >>> found = maladist.relax(be, "be-1000K-2", "relaxed", maladist.RelaxSettings(fmax=0.05))
    >>> found.step.largest_force_eV_per_A < 0.05
    True
    """
    atoms = ase_atoms(atoms)
    prepared = prepare(atoms, model, options, cell_moves=settings.cell != "fixed")
    with prepared.calculator(client, observer) as calculator:
        return minimise(atoms, calculator, output, settings, observer=observer, given=prepared.arguments)


def minimise(
    atoms: ase.Atoms,
    calculator: Calculator,
    output: str | Path,
    settings: RelaxSettings = RELAX,
    *,
    observer: Observer | None = None,
    given: Mapping[str, object] | None = None,
) -> Relaxed:
    """`relax` with any calculator of ASE.

    Parameters
    ----------
    given
        What the calculator computes with, by name: a run that goes on must have the same.
    """
    constraints = [c.todict() for c in atoms.constraints]
    bits = (np.ascontiguousarray(a).tobytes() for a in (atoms.numbers, atoms.positions, atoms.cell.array))
    same = hashlib.sha256(b"".join(bits) + repr(constraints).encode()).hexdigest()
    arguments = {"verb": "relax", "atoms": same, **settings.arguments(), **(given or {})}
    with run_folder(output, arguments) as folder:
        moving = (atoms if folder.last is None else folder.last).copy()
        moving.info = {}
        moving.calc = calculator
        first = folder.last_step
        progress = Progress(observer, "relaxation steps", settings.steps, first)
        for step, found in _steps(moving, folder, settings):
            relaxed = found
            if first is None or step.step > first.step:
                progress.advance(step)
            check_novelty(step, settings.stop_novelty)
        if not relaxed:
            came = f"a largest force of {step.largest_force_eV_per_A:.3g} eV/Å at step {step.step}"
            remedy = "The same command with more --steps goes on."
            raise InputError("fmax", came, f"forces below {settings.fmax:g} eV/Å", remedy)
        with whole([folder.path / RELAXED]) as (beside,):
            ase.io.write(beside, still(moving, {}))
    return Relaxed(still(moving, {}), step)


def _steps(moving: ase.Atoms, folder: RunFolder, settings: RelaxSettings) -> Iterator[tuple[Step, bool]]:
    """Steps and whether each is the end; those that are new are written, the first one may be the last frame."""
    cell_moves = settings.cell != "fixed"
    of_cell = {"hydrostatic_strain": settings.cell == "hydrostatic", "scalar_pressure": settings.pressure * units.GPa}
    degrees = FrechetCellFilter(moving, **of_cell) if cell_moves else moving
    optimizer = _OPTIMIZERS[settings.optimizer](degrees, logfile=None)
    before = -1 if folder.last_step is None else folder.last_step.step
    began = max(before, 0)
    for done in optimizer.irun(fmax=settings.fmax, steps=max(settings.steps - began, 0)):
        number = began + optimizer.nsteps
        step = Step(step=number, kept=True, **observed(moving, stress=cell_moves))
        if number > before:
            folder.add(step, moving)
        yield step, bool(done)
