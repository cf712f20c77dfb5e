"""The pilot: points of the grid, groups that see what they need, and a window that holds the Fermi level."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms

from maladist.energy_grid import EnergyGrid
from maladist.grid import Grid
from maladist.neighbors import CellList
from maladist.physics.fermi import fermi_level
from maladist.physics.system import System
from maladist.prediction.pilot import GROUP, NARROWEST, pilot_groups, pilot_points, window

ENERGIES = EnergyGrid(-5.0, 0.1, 121, "gaussian", 0.2)


@pytest.mark.parametrize(("shape", "count"), [((5, 6, 7), 210), ((80, 80, 80), 5120), ((8, 16, 32), 2000)])
def test_points_are_of_the_grid_once_each_and_repeat_themselves(shape: tuple[int, int, int], count: int) -> None:
    grid = Grid([[4.0, 0, 0], [1.0, 5.0, 0], [0, 0.5, 6.0]], shape)
    points = pilot_points(grid)
    assert len(points) == count
    index = points @ np.linalg.inv(grid.cell_array) * np.array(shape)
    np.testing.assert_allclose(index, np.round(index), atol=1e-9)
    assert len({tuple(i) for i in np.round(index).astype(int)}) == count
    np.testing.assert_array_equal(points, pilot_points(grid))


def test_a_group_sees_all_atoms_within_the_cutoff_of_its_points(atoms: Atoms) -> None:
    cells = CellList(atoms.cell.array, atoms.positions, atoms.numbers.astype(np.int16), 3.0)
    points = pilot_points(Grid(atoms.cell.array.tolist(), (10, 9, 14)))
    groups = pilot_groups(points, cells)
    assert len(groups) == max(2, len(points) // GROUP)
    np.testing.assert_array_equal(np.concatenate([p for p, _ in groups]), points)
    every = cells.around([0, 0, 0], [1, 1, 1])
    for some, seen in groups:
        distances = [np.linalg.norm(a.positions - some[0], axis=1) for a in (every, seen)]
        wanted, got = (np.sort(d[d < 3.0]) for d in distances)
        np.testing.assert_array_equal(got, wanted)


def test_a_grid_of_one_point_still_has_a_spread(atoms: Atoms) -> None:
    cells = CellList(atoms.cell.array, atoms.positions, atoms.numbers.astype(np.int16), 3.0)
    groups = pilot_groups(pilot_points(Grid(atoms.cell.array.tolist(), (1, 1, 1))), cells)
    assert [len(p) for p, _ in groups] == [1, 1]


def system_of(n_electrons: float) -> System:
    grid = Grid([[4.0, 0, 0], [0, 4.0, 0], [0, 0, 4.0]], (4, 4, 4))
    return System(
        grid, np.zeros((1, 3)), np.array([4], np.int16), {}, n_electrons=n_electrons, temperatures=(1000.0, 5000.0)
    )


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.5])
def test_the_window_holds_the_fermi_level_and_widens_with_the_spread_of_the_groups(noise: float) -> None:
    system = system_of(4.0)
    random = np.random.default_rng(0)
    d = np.linspace(0.0, 0.03, ENERGIES.levels)
    means = d * (1 + noise * random.standard_normal((40, 1)))
    low, high = window(means, ENERGIES, system)
    for t in system.temperatures:
        mu = fermi_level(torch.as_tensor(d * system.grid.volume), ENERGIES, 4.0, t, correction=False)
        assert low < mu < high
    assert high - low >= 2 * NARROWEST
    if noise == 0.5:
        narrow = window(d * (1 + 0.05 * random.standard_normal((40, 1))), ENERGIES, system)
        assert high - low > narrow[1] - narrow[0]


def test_in_a_gap_the_window_stays_finite() -> None:
    d = np.zeros(ENERGIES.levels)
    d[10:40], d[80:] = 0.03, 0.03
    n = float(d[10:40].sum() * 0.1 * 64.0)
    low, high = window(np.tile(d, (10, 1)), ENERGIES, system_of(n))
    assert np.isfinite([low, high]).all() and high - low < 20.0
