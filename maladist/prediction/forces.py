"""The stages of a run that give forces and stress, after those of `run`: fields, a second pass, their sum.

1. u(r) of the density n₀ and the explicit terms: `potential`; ū follows from u and what the first pass kept.
2. Every block takes the cotangents of its LDOS back to the atoms that it sees, and writes its share as a row.
3. The rows are added in the order of the blocks, so that a resumed run gives the same bits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import Final, NamedTuple

import numpy as np
import torch

from maladist.arrays import Array
from maladist.errors import StoreError
from maladist.grid import Block
from maladist.io import stores
from maladist.io.stores import ArrayTemplate
from maladist.parallel import waves
from maladist.parallel.progress import Finished
from maladist.physics.fermi import FermiState
from maladist.physics.forces import (
    Cotangents,
    Derivatives,
    check_slope,
    density_slopes,
    reference_state,
    volume_term,
)
from maladist.prediction.derivatives import BackWork, add_row, derivative_row_length, differentiate_block
from maladist.prediction.passes import Pass, Run, run_pass
from maladist.prediction.potential import Fields, make_potential
from maladist.prediction.record import DERIVATIVES, MODES, POTENTIAL
from maladist.prediction.values import Values

_MEAN_POINTS: Final = 2**20  # points of a task of ū
_ROWS: Final = 64  # rows of the record that are read at a time


class Electrons(NamedTuple):
    """What the first pass gave: D(ε), the electrons at each temperature, the basis of the modes, N/∫c of a channel."""

    dos: Array
    states: Sequence[FermiState]
    basis: Array
    share: float


def find_derivatives(run: Run, electrons: Electrons) -> tuple[Values, dict[str, float]]:
    """Forces and stress as variables of the store; and the seconds that they took.

    Raises
    ------
    PhysicsError
        An LDOS whose number of electrons does not depend on the Fermi level.
    """
    clock = time.perf_counter()
    setup, system = run.setup, run.setup.system
    run.observer.stage("potential", 1)
    fields = make_potential(run)
    mean = _mean_potential(run, electrons, fields)
    run.observer.advance(Finished())
    states = electrons.states[: len(system.temperatures)]
    totals = _second_pass(run, electrons, mean)
    n, dos, none = float(system.n_electrons or 0.0), torch.as_tensor(electrons.dos), np.zeros((system.n_atoms, 3))
    terms = [
        {
            "descriptors": total,
            "volume": Derivatives(none, volume_term(state, dos, n, mean, setup.zero)),
            **fields.terms,
        }
        for state, total in zip(states, totals, strict=True)
    ]
    return _values(run, terms), {"forces": time.perf_counter() - clock}


def _mean_potential(run: Run, electrons: Electrons, fields: Fields) -> float:
    """ū, eV: of n₀ with a density channel, of d_F without."""
    setup, system = run.setup, run.setup.system
    n = float(system.n_electrons or 0.0)
    if setup.model.has_density_channel:
        return fields.overlap / n
    slopes = density_slopes(electrons.states, setup.model.energy_grid, system)
    total = float(slopes @ electrons.dos)
    check_slope(total, n)
    blocks = run.plan.blocks
    many = max(1, _MEAN_POINTS // math.prod(run.plan.block_shape))
    jobs = [
        waves.NamedJob(f"mean{i}", blocks[i : i + many], run.path, slopes @ electrons.basis)
        for i in range(0, len(blocks), many)
    ]
    parts = waves.in_order(run.client, overlap_of_blocks, jobs, run_key=run.key)
    return float(np.sum(parts)) * system.grid.voxel_volume / total


def overlap_of_blocks(blocks: Sequence[Block], store: stores.Where, coefficients: Array) -> float:
    """Σ_r u(r) d_F(r) of some blocks, with d_F from the modes, eV/(Å³ eV)."""
    total = 0.0
    for block in blocks:
        slope = stores.read_region(store, MODES, block.slices) @ coefficients
        total += float((slope * stores.read_region(store, POTENTIAL, block.slices)).sum())
    return total


def _second_pass(run: Run, electrons: Electrons, mean: float) -> list[Derivatives]:
    """Derivatives through the model at each temperature, summed over the blocks."""
    setup, grid, blocks = run.setup, run.setup.system.grid, run.plan.blocks
    cells, n = setup.cell_list, len(setup.system.temperatures)
    width = run.plan.seen_atoms
    length = derivative_row_length(n, width)
    resumed = _has_rows(run, (len(blocks), length))
    if not resumed:
        # A row a block, each in a chunk of its own: a row that is there says that its block is done.
        template = ArrayTemplate((len(blocks), length), (1, length), ("block", "share"))
        stores.add_arrays(run.path, {DERIVATIVES: template})
    work = BackWork(run.path, grid, setup.numerics, _cotangents(run, electrons, mean), width)
    shared = run.model, waves.share(run.client, work, run_key=run.key)

    def arguments(block: Block) -> tuple[object, ...]:
        return (cells.near_block(grid, block), *shared)

    run_pass(run, Pass("forces", differentiate_block, arguments, DERIVATIVES, ()), resumed)
    none = np.zeros((setup.system.n_atoms, 3))
    totals = [Derivatives(none.copy(), np.zeros((3, 3))) for _ in range(n)]
    rows = stores.open_array(run.path, DERIVATIVES, "r")
    for first in range(0, len(blocks), _ROWS):
        # In the order of the blocks, whoever was first: the sum has the same bits.
        for row in np.asarray(rows[first : first + _ROWS]):
            add_row(row, totals)
    return totals


def _has_rows(run: Run, shape: tuple[int, int]) -> bool:
    """Whether an earlier run has begun the second pass."""
    try:
        return tuple(stores.open_array(run.path, DERIVATIVES, "r").shape) == shape
    except StoreError:
        return False


def _cotangents(run: Run, electrons: Electrons, mean: float) -> Cotangents:
    system, channel = run.setup.system, run.setup.model.has_density_channel
    number = reference_state(electrons.states, system).weights.number.numpy()
    return Cotangents(
        levels=np.stack([s.free_energy_weights.numpy() for s in electrons.states[: len(system.temperatures)]]),
        number=np.zeros_like(number) if channel else number,
        share=electrons.share if channel else 0.0,
        mean=mean,
        voxel_volume=system.grid.voxel_volume,
    )


def _values(run: Run, terms: Sequence[Mapping[str, Derivatives]]) -> Values:
    """The variables that are asked for, from the terms at each temperature, with a dim for several of them."""
    setup, volume = run.setup, run.setup.system.grid.volume
    several = len(terms) > 1
    dims: tuple[str, ...] = ("temperature",) if several else ()

    def variables(found: Sequence[Derivatives], of: str) -> Values:
        values: Values = {}
        if setup.forces:
            forces = np.stack([d.forces for d in found])
            values[f"forces{of}"] = ((*dims, "atom", "xyz"), forces if several else forces[0], "eV/Å")
        if setup.stress:
            stress = np.stack([d.stress(volume) for d in found])
            values[f"stress{of}"] = ((*dims, "voigt"), stress if several else stress[0], "eV/Å^3")
        return values

    values = variables([reduce(add, at.values()) for at in terms], "")
    for name in terms[0] if setup.force_terms else ():
        values |= variables([at[name] for at in terms], f"_{name}")
    return values
