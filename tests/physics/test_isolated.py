"""Slabs with a Coulomb interaction cut off along c: closed forms, and what does not depend on the vacuum."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from maladist.elements import Element
from maladist.errors import PhysicsError
from maladist.grid import Grid
from maladist.physics.electrostatic import electrostatic_potential
from maladist.physics.energies import density_terms, ion_energy
from maladist.physics.ewald import Part, ewald_derivatives, ewald_energy, real_space_energy, reciprocal_energy_of
from maladist.physics.ewald import ewald_grid as grid_of_sum
from maladist.physics.forces import explicit_terms
from maladist.physics.hartree import hartree_energy, hartree_energy_of, hartree_potential
from maladist.physics.isolated import check_isolated, check_no_stress
from maladist.physics.reciprocal import ReciprocalSlab, to_real, to_reciprocal
from maladist.physics.structure_factor import structure_factors
from maladist.physics.system import System, complete
from maladist.units import COULOMB
from tests.physics.differences import by_positions
from tests.physics.test_electrostatic import smeared

SKEWED = np.array([[3.0, 0.0, 0.0], [-1.1, 2.7, 0.0]])
WIDTH = 0.5  # Å, of a sheet's Gaussian


def cell_of(c: float, plane: np.ndarray = SKEWED) -> np.ndarray:
    return np.vstack([plane, [0, 0, c]])


def turned(cell: np.ndarray) -> np.ndarray:
    """The cell with c along none of the axes."""
    q, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    return np.asarray(cell @ q)


def sheets(grid: Grid, at: list[float], charges: list[float]) -> torch.Tensor:
    """Density of charged sheets across c, Gaussians along it, each with its charge a cell."""
    c, nz = float(np.linalg.norm(grid.cell_array[2])), grid.shape[2]
    area = grid.volume / c
    z = np.arange(nz) / nz * c
    n = np.zeros(nz)
    for z0, q in zip(at, charges, strict=True):
        d = (z - z0 + c / 2) % c - c / 2
        n += q / area * np.exp(-(d**2) / (2 * WIDTH**2)) / (math.sqrt(2 * math.pi) * WIDTH)
    return torch.from_numpy(np.broadcast_to(n, grid.shape).copy())


def mean_distance(d: float) -> float:
    """⟨|z − z'|⟩ of two Gaussians a distance d apart."""
    s = math.sqrt(2) * WIDTH
    return s * math.sqrt(2 / math.pi) * math.exp(-(d**2) / (2 * s**2)) + d * math.erf(d / (math.sqrt(2) * s))


@pytest.mark.parametrize("turn", [False, True])
@pytest.mark.parametrize("c", [20.0, 26.0])
def test_two_charged_sheets_have_the_energy_of_a_plate_capacitor_whatever_the_vacuum(c: float, turn: bool) -> None:
    """Sheets of ±q a cell of area A, d apart: (2π e² q²/A)(⟨|z|⟩_d − ⟨|z|⟩_0); in a crystal images would add to it."""
    grid = Grid((turned(cell_of(c)) if turn else cell_of(c)).tolist(), (4, 3, 130))
    n = sheets(grid, [0.5, 3.5], [1.5, -1.5])
    area = grid.volume / c
    wanted = 2 * math.pi * COULOMB * 1.5**2 / area * (mean_distance(3.0) - mean_distance(0.0))
    assert float(hartree_energy(n, grid, "2D")) == pytest.approx(wanted, rel=1e-9)
    assert float(hartree_energy(n, grid)) < 0.95 * wanted


def test_the_potential_of_a_dipole_layer_is_flat_outside_and_one_sheet_has_that_of_the_convention() -> None:
    grid = Grid(cell_of(24.0).tolist(), (3, 3, 120))
    area, z = grid.volume / 24.0, np.arange(120) * 0.2
    v = hartree_potential(sheets(grid, [11.0, 13.0], [1.0, -1.0]), grid, "2D")[0, 0].numpy()
    step = 4 * math.pi * COULOMB / area * 2.0
    np.testing.assert_allclose(v[(z > 7) & (z < 8)], step / 2, rtol=1e-9)
    np.testing.assert_allclose(v[(z > 16) & (z < 17)], -step / 2, rtol=1e-9)
    one = hartree_potential(sheets(grid, [12.0], [1.0]), grid, "2D")[0, 0].numpy()
    away = (abs(z - 12) > 4) & (abs(z - 12) < 8)
    wanted = -2 * math.pi * COULOMB / area * (abs(z[away] - 12) - 24.0 / 4)
    np.testing.assert_allclose(one[away], wanted, atol=1e-9)


def test_a_square_lattice_of_charges_has_its_known_energy() -> None:
    """2 ζ(½) β(½) q²/a in a plane of background (Lorenz, Hardy), and ½ q · π c q/2a² of the convention's plane."""
    lattice_sum = 2 * -1.4603545088095868 * 0.6676914571896092  # ζ(½) and Dirichlet's β(½)
    a, q = 3.0, 2.0
    for c in (16.0, 21.0):
        cell = cell_of(c, np.array([[a, 0, 0], [0, a, 0]]))
        energy = ewald_energy(torch.tensor([[0.3, 0.1, 5.0]]).double(), torch.tensor([q]).double(), cell, "2D")
        wanted = COULOMB * q**2 * (lattice_sum / a + math.pi * c / (4 * a**2))
        assert float(energy) == pytest.approx(wanted, rel=1e-9)


def slab(c: float = 18.0) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Three atoms of two charges about the edge of a cell."""
    positions = np.array([[0.2, 0.1, 17.5 - 18.0 + c], [1.4, 1.1, 0.9], [0.3, 1.6, 2.6]])
    return torch.from_numpy(positions), torch.tensor([2.0, 3.0, 2.0]).double(), cell_of(c)


def test_the_ions_energy_depends_neither_on_the_split_nor_on_the_cells_orientation_and_adds_up_by_shares() -> None:
    r, q, cell = slab()
    energy = float(ewald_energy(r, q, cell, "2D"))
    for smearing in (0.6, 0.9):
        far = reciprocal_energy_of(r, q, ReciprocalSlab.whole(grid_of_sum(cell, smearing)), smearing, "2D")
        assert float(real_space_energy(r, q, cell, smearing, isolated="2D") + far) == pytest.approx(energy, abs=1e-6)
    q3, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    assert float(ewald_energy(r @ torch.from_numpy(q3), q, cell @ q3, "2D")) == pytest.approx(energy, abs=1e-8)
    grid = grid_of_sum(cell)
    near = [real_space_energy(r, q, cell, part=Part(i, 2), isolated="2D") for i in range(2)]
    ends = ((0, 3), (3, grid.shape[1]))
    far = [reciprocal_energy_of(r, q, ReciprocalSlab.of_y(grid, *e), isolated="2D") for e in ends]
    assert sum(map(float, [*near, *far])) == pytest.approx(energy, abs=1e-9)


def test_forces_of_the_ions_are_finite_differences_and_there_is_no_stress_that_could_be_used() -> None:
    r, q, cell = slab()
    found = ewald_derivatives(r, q, cell, "2D")
    moved = by_positions(lambda x: float(ewald_energy(torch.from_numpy(x), q, cell, "2D")), r.numpy(), 1e-3)
    np.testing.assert_allclose(found.by_position, moved, atol=1e-9 * np.abs(moved).max())
    assert bool(found.by_strain.isnan().all())


def neutral(c: float) -> tuple[System, torch.Tensor]:
    """Gaussian electrons on Gaussian ions a little aside, about the edge of a cell."""
    grid = Grid(cell_of(c).tolist(), (15, 15, round(5 * c)))
    positions = np.array([[0.2, 0.1, 0.4], [1.4, 1.1, 2.1]])
    element = smeared()
    kinds = np.full(2, 4, np.int16)
    system = System(grid, positions, kinds, {"Be": element}, assume_isolated="2D", temperatures=(1e3,))
    slab, width = ReciprocalSlab.whole(grid), 0.7
    electrons, two = torch.from_numpy(positions + np.array([0, 0, 0.3])), torch.full((2,), 2.0).double()
    n_g = structure_factors(electrons, two, slab) * torch.exp(-slab.squared() * width**2 / 4) / grid.volume
    return complete(system), to_real(n_g, grid)


def test_a_neutral_slab_has_the_same_energies_and_potential_whatever_the_vacuum() -> None:
    found = []
    for c in (20.0, 24.0):
        system, n = neutral(c)
        v = electrostatic_potential(n, system)
        hartree = density_terms(n, system)[0]
        ions = ion_energy(system)
        assert ions is not None
        found.append((ions - hartree, float((v * n).sum()) * system.grid.voxel_volume, v[0, 0, 25:30].numpy()))
        # Both faces' vacuum about zero, apart by the step of the dipole.
        average = v.mean(dim=(0, 1)).numpy()
        step = 4 * math.pi * COULOMB * 4 * 0.3 / (system.grid.volume / c)
        assert abs(abs(average[25] - average[-10]) - step) < 1e-4
        assert abs(average[25] + average[-10]) < 1e-4
    (a, b, v1), (a2, b2, v2) = found
    assert a == pytest.approx(a2, abs=1e-5)
    assert b == pytest.approx(b2, abs=1e-5)
    np.testing.assert_allclose(v1, v2, atol=1e-5)


def test_slabs_of_y_add_up_and_the_explicit_terms_are_of_the_same_energies() -> None:
    system, n = neutral(16.0)
    n_g, ny = to_reciprocal(n), system.grid.shape[1]
    ends = ((0, 4), (4, ny))
    shares = [hartree_energy_of(n_g[:, a:b], ReciprocalSlab.of_y(system.grid, a, b), "2D") for a, b in ends]
    assert float(sum(shares)) == pytest.approx(float(hartree_energy(n, system.grid, "2D")), rel=1e-13)
    known = replace(system, xc="pz", elements={"Be": replace(system.elements["Be"], xc="pz")})
    change = torch.cos(torch.arange(n.numel()).double()).reshape(n.shape) * 1e-6 * n

    def double_counting(rho: torch.Tensor) -> float:
        hartree, xc, potential = density_terms(rho, known)
        assert xc is not None
        assert potential is not None
        return -hartree + xc - potential

    slope = (double_counting(n + change) - double_counting(n - change)) / 2
    found = explicit_terms(n, known)
    assert float((found.u * change).sum()) * known.grid.voxel_volume == pytest.approx(slope, rel=1e-5)
    assert np.isnan(found.terms["ewald"].by_strain).all()


@pytest.mark.parametrize(
    ("cell", "positions", "match"),
    [
        ([[3, 0, 0], [0, 3, 0], [0.5, 0, 20]], [[0, 0, 0]], "perpendicular"),
        ([[3, 0, 0], [0, 3, 0], [0, 0, 20]], [[0, 0, 1], [0, 0, 7.5]], r"atoms over 6.50 Å.*c of 21.00 Å at least"),
        ([[3, 0, 0], [0, 3, 0], [0, 0, 10]], [[0, 0, 1]], r"c of 10.58 Å at least.*vacuum"),
    ],
)
def test_cells_that_the_cut_off_does_not_fit_are_refused(cell: list, positions: list, match: str) -> None:
    with pytest.raises(PhysicsError, match=match):
        check_isolated("2D", cell, positions)
    check_isolated(None, cell, positions)


def test_a_slab_across_the_edge_of_its_cell_is_one_slab_and_other_cut_offs_and_stress_are_refused() -> None:
    check_isolated("2D", np.diag([3.0, 3.0, 16.0]), [[0, 0, 15.0], [0, 0, -0.5], [0, 0, 17.5]])
    with pytest.raises(PhysicsError, match=r"'esm'.*or '2D'"):
        check_isolated("esm", np.diag([3.0, 3.0, 16.0]), [[0, 0, 0]])
    with pytest.raises(PhysicsError, match=r"stress.*assume_isolated = '2D'"):
        check_no_stress("2D")
    check_no_stress(None)
    bad = System(Grid(np.diag([3.0, 3.0, 9.0]).tolist(), (6, 6, 20)), np.zeros((1, 3)), np.array([4], np.int16), {})
    bad = replace(bad, elements={"Be": Element("Be", 2.0)}, temperatures=(1e3,), assume_isolated="2D")
    with pytest.raises(PhysicsError, match="vacuum"):
        complete(bad)
