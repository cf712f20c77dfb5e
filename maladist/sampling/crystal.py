"""Configurations to train on, made from a crystal: thermal displacements, strains and vacancies, all from a seed."""

from __future__ import annotations

import ase
import numpy as np

from maladist.errors import InputError


def displaced(
    crystal: ase.Atoms,
    count: int,
    *,
    displacement: float,
    strain: float = 0.0,
    vacancies: int = 0,
    seed: int = 0,
) -> list[ase.Atoms]:
    """Draw configurations around a crystal.

    Parameters
    ----------
    crystal
        Atoms on their lattice sites, the whole supercell.
    count
        Number of configurations.
    displacement
        Standard deviation of each Cartesian coordinate, Å: Einstein's independent oscillators.
    strain
        Half width of the uniform distribution of the diagonal of the symmetric strain tensor; shears have half of it.
    vacancies
        Number of atoms left out, drawn anew for each configuration.
    seed
        The same seed gives the same configurations; the first n of a longer series are the shorter one.

    Returns
    -------
    list of ase.Atoms
        Cells of their own, positions wrapped into them, no centre of mass motion taken out.

    Raises
    ------
    InputError
        Naming the argument.
    """
    if count < 1:
        raise InputError("count", str(count), "one configuration or more")
    # NaN is neither below nor above zero: it must be asked for by its own name.
    for name, value in {"displacement": displacement, "strain": strain}.items():
        if not (np.isfinite(value) and value >= 0):
            raise InputError(name, str(value), "zero or a positive number")
    # The cell could turn inside out.
    if strain >= 0.5:
        raise InputError("strain", str(strain), "a fraction well below 0.5, for example 0.02")
    if not 0 <= vacancies < len(crystal):
        raise InputError("vacancies", str(vacancies), f"fewer than the {len(crystal)} atoms of the crystal")
    if seed < 0:
        raise InputError("seed", str(seed), "zero or a positive whole number")
    # A generator for each configuration, so that the first n do not depend on how many follow.
    return [_draw(crystal, np.random.default_rng((seed, i)), displacement, strain, vacancies) for i in range(count)]


def _draw(
    crystal: ase.Atoms, random: np.random.Generator, displacement: float, strain: float, vacancies: int
) -> ase.Atoms:
    atoms = ase.Atoms(crystal.numbers, crystal.positions, cell=crystal.cell, pbc=True)
    shape = random.uniform(-strain, strain, (3, 3)) if strain else np.zeros((3, 3))
    # Half of the symmetric part, for the shears; the diagonal is put back whole. A rotation would
    # be no new configuration.
    tensor = (shape + shape.T) / 4
    np.fill_diagonal(tensor, np.diag(shape))
    # The strain before the displacements: these are of the same width in Å in every cell.
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + tensor), scale_atoms=True)
    atoms.positions += random.normal(0.0, displacement, (len(atoms), 3))
    if vacancies:
        del atoms[sorted(random.choice(len(atoms), vacancies, replace=False))]
    atoms.wrap()
    return atoms
