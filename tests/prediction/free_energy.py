"""A and its derivatives of small cells in this process, by the steps of the engine: what forces are tested with."""

from __future__ import annotations

from typing import NamedTuple, Unpack

import numpy as np
import numpy.typing as npt
import torch
from ase import Atoms

from maladist.descriptors import evaluate
from maladist.learning.model import LDOSModel
from maladist.numerics import Numerics
from maladist.physics import ldos
from maladist.physics.energies import total_free_energy
from maladist.physics.fermi import FermiState, fermi_states
from maladist.physics.forces import (
    Cotangents,
    Derivatives,
    check_stationary,
    density_slopes,
    explicit_terms,
    reference_state,
    volume_term,
)
from maladist.prediction.block import Clock
from maladist.prediction.derivatives import derivatives_of_points
from maladist.prediction.options import Options
from maladist.prediction.setup import Setup, setup

Array = npt.NDArray[np.float64]
WIDE = Numerics("auto", "cpu", "float64")


class Solved(NamedTuple):
    """A cell with its LDOS, D(ε), electrons, n₀, and N/∫c of a density channel (else 1)."""

    ready: Setup
    ldos: torch.Tensor
    dos: torch.Tensor
    states: list[FermiState]
    density: torch.Tensor
    share: float


def solve(atoms: Atoms, model: LDOSModel, **options: Unpack[Options]) -> Solved:
    """All points at once, in float64."""
    ready = setup(atoms, model, **options)
    system, wide = ready.system, ready.model.to("cpu", torch.float64)
    seen = ready.cell_list.near_block(system.grid, system.grid.whole)
    features = evaluate(system.grid.points(), seen, wide.descriptor, dtype=torch.float64, threads=1)
    d, channel = wide.fields(features)
    dos = ldos.dos(d, system.grid.voxel_volume)
    states = fermi_states(dos, wide.energy_grid, system)
    assert system.n_electrons is not None
    share = 1.0
    density = ldos.density(d, reference_state(states, system).weights.number)
    if channel is not None:
        share = system.n_electrons / (float(channel.sum()) * system.grid.voxel_volume)
        density = channel * share
    return Solved(ready, d, dos, states, density.reshape(system.grid.shape), share)


def free_energies(atoms: Atoms, model: LDOSModel, **options: Unpack[Options]) -> Array:
    """A at each temperature, eV."""
    s = solve(atoms, model, **options)
    n = s.ready.system.n_electrons
    assert n is not None
    totals = []
    for state in s.states[: len(s.ready.system.temperatures)]:
        band, entropy = state.band_energy(s.dos, n), state.entropy_contribution(s.dos)
        totals.append(total_free_energy(band, entropy, s.density, s.ready.system).total)
    return np.array(totals, dtype=float)


def derivatives(atoms: Atoms, model: LDOSModel, **options: Unpack[Options]) -> list[Derivatives]:
    """Derivatives of A at each temperature."""
    s = solve(atoms, model, **options)
    ready, system, grid = s.ready, s.ready.system, s.ready.system.grid
    assert system.n_electrons is not None
    check_stationary(s.states, s.dos, system.n_electrons)
    explicit = explicit_terms(s.density, system)
    u, channel = explicit.u.reshape(-1), ready.model.has_density_channel
    if channel:
        mean = float(u @ s.density.reshape(-1)) * grid.voxel_volume / system.n_electrons
    else:
        slope = ldos.density(s.ldos, torch.as_tensor(density_slopes(s.states, ready.model.energy_grid, system)))
        mean = float(u @ slope) / float(slope.sum())
    states = s.states[: len(system.temperatures)]
    number = reference_state(s.states, system).weights.number.numpy()
    cotangents = Cotangents(
        np.stack([state.free_energy_weights.numpy() for state in states]),
        np.zeros_like(number) if channel else number,
        s.share if channel else 0.0,
        mean,
        grid.voxel_volume,
    )
    seen = ready.cell_list.near_block(grid, grid.whole)
    wide = ready.model.to("cpu", torch.float64)
    share = derivatives_of_points(grid.points(), u.numpy(), seen, wide, cotangents, WIDE, Clock())
    results = []
    for i, state in enumerate(states):
        by_position = np.zeros((system.n_atoms, 3))
        np.add.at(by_position, seen.indices, share.gradient[i])
        volume = volume_term(state, s.dos, system.n_electrons, mean, ready.zero)
        total = Derivatives(by_position, share.virial[i] + volume)
        for term in explicit.terms.values():
            total = total + term
        results.append(total)
    return results


def strained(atoms: Atoms, deformation: Array) -> Atoms:
    """Atoms in a cell after r goes to F r."""
    new = atoms.copy()
    new.set_cell(atoms.cell.array @ deformation.T, scale_atoms=True)
    return new


def moved(atoms: Atoms, positions: Array) -> Atoms:
    """Atoms elsewhere."""
    new = atoms.copy()
    new.positions = positions
    return new
