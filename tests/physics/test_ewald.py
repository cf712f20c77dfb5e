from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from maladist.errors import AtomsError
from maladist.physics.ewald import (
    Part,
    ewald_derivatives,
    ewald_energy,
    ewald_grid,
    parts,
    real_space_derivatives,
    real_space_energy,
    reciprocal_derivatives_of,
    reciprocal_energy_of,
)
from maladist.physics.reciprocal import ReciprocalSlab
from maladist.units import COULOMB
from tests.physics.differences import by_positions, by_strain

CUBE = np.eye(3)
FCC = (np.ones((3, 3)) - np.eye(3)) / 2
BCC = (np.ones((3, 3)) - 2 * np.eye(3)) / 2


def tensor(values: object) -> torch.Tensor:
    return torch.as_tensor(np.asarray(values, dtype=float))


def many_atoms() -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """216 atoms of two charges, displaced, in a skewed cell: more than the direct sum takes."""
    cell = np.array([[12.0, 0, 0], [4.0, 11.0, 0], [1.0, -3.0, 13.0]])
    sites = np.stack(np.meshgrid(*[np.arange(6) / 6] * 3, indexing="ij"), -1).reshape(-1, 3)
    positions = sites @ cell + np.random.default_rng(0).normal(0, 0.1, (216, 3))
    charges = np.where(np.arange(216) % 3 == 0, 3.0, 2.0)
    return tensor(positions), tensor(charges), cell


@pytest.mark.parametrize(("cell", "constant"), [(CUBE, -0.880059), (BCC, -0.895929), (FCC, -0.895874)])
def test_electron_crystals_have_their_known_energies(cell: np.ndarray, constant: float) -> None:
    """One charge a cell in a background, in e²/r_s: Fuchs, Proc. R. Soc. London A 151, 585 (1935)."""
    cell = 3.0 * cell
    r_s = (3 * abs(np.linalg.det(cell)) / (4 * math.pi)) ** (1 / 3)
    energy = ewald_energy(tensor([[0.3, 0.1, 0.2]]), tensor([2.0]), cell)
    assert float(energy) == pytest.approx(4 * constant * COULOMB / r_s, rel=1e-6)  # printed with six digits


@pytest.mark.parametrize(
    ("sites", "charges", "cell", "madelung", "distance"),
    [
        ([[0, 0, 0], [0.5, 0.5, 0.5]], [1.0, -1.0], FCC * 2, -1.747564594633, 1.0),  # rock salt
        ([[0, 0, 0], [0.5, 0.5, 0.5]], [1.0, -1.0], CUBE, -1.762674773070, math.sqrt(3) / 2),  # CsCl
        ([[0, 0, 0], [0.25, 0.25, 0.25]], [1.0, -1.0], FCC, -1.638055053389, math.sqrt(3) / 4),  # zinc blende
    ],
)
def test_ionic_crystals_have_their_madelung_constants(
    sites: list[list[float]], charges: list[float], cell: np.ndarray, madelung: float, distance: float
) -> None:
    energy = ewald_energy(tensor(np.array(sites) @ (4.0 * cell)), tensor(charges), 4.0 * cell)
    assert float(energy) == pytest.approx(madelung * COULOMB / (4 * distance), rel=1e-11)  # both sums are cut at 1e-13


@pytest.mark.parametrize("shear", [1, 4, 9])
def test_a_skewed_description_of_the_same_crystal_has_the_same_energy(shear: int) -> None:
    cell = 3.0 * FCC
    other = cell.copy()
    other[2] += shear * cell[0] - (shear - 1) * cell[1]
    energies = [float(ewald_energy(tensor([[0.0, 0, 0]]), tensor([3.0]), c)) for c in (cell, other)]
    assert energies[1] == pytest.approx(energies[0], rel=1e-12)  # the same sum but for rounding and its cut


def test_many_atoms_of_a_supercell_have_the_energy_of_the_cell() -> None:
    cell = np.array([[2.3, 0, 0], [-1.15, 1.98, 0], [0, 0.1, 3.6]])
    positions = tensor([[0.1, 0.2, 0.3], [1.2, 0.7, 2.0]])
    one = float(ewald_energy(positions, tensor([2.0, 2.0]), cell))
    shifts = tensor(np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), -1).reshape(-1, 3) @ cell)
    supercell = (positions[:, None] + shifts).reshape(-1, 3)
    many = float(ewald_energy(supercell, torch.full((128,), 2.0, dtype=torch.float64), 4 * cell))
    assert many == pytest.approx(64 * one, rel=1e-12)  # so good are the structure factors


def test_both_ways_agree_on_energy_and_forces() -> None:
    """torch-pme's sum, which the energy takes for few atoms, against the one for many, on 60 atoms."""
    positions, charges, cell = many_atoms()
    cell = cell * 0.65
    results = []
    for way in (0, 1):
        r = (positions[:60] * 0.65).requires_grad_()
        q = charges[:60].clone().requires_grad_()
        if way == 0:
            energy = ewald_energy(r, q, cell)
        else:
            slab = ReciprocalSlab.whole(ewald_grid(cell))
            energy = real_space_energy(r, q, cell) + reciprocal_energy_of(r, q, slab)
        results.append((energy.detach(), *torch.autograd.grad(energy, (r, q))))
    for a, b in zip(*results, strict=True):
        # Both are right to 1e-12 of their terms, of some keV: measured 5e-9.
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-8)


def test_the_result_does_not_depend_on_where_the_sum_is_split() -> None:
    positions, charges, cell = many_atoms()
    energy = float(ewald_energy(positions, charges, cell))
    slab = ReciprocalSlab.whole(ewald_grid(cell, smearing=1.0))
    other = real_space_energy(positions, charges, cell, 1.0) + reciprocal_energy_of(positions, charges, slab, 1.0)
    assert float(other) == pytest.approx(energy, rel=1e-11)  # both sums are cut at 1e-13


def test_slabs_of_the_reciprocal_sum_add_up() -> None:
    positions, charges, cell = many_atoms()
    grid = ewald_grid(cell)
    slabs = [ReciprocalSlab.of_y(grid, a, b) for a, b in [(0, 7), (7, 20), (20, grid.shape[1])]]
    shares = sum(float(reciprocal_energy_of(positions, charges, slab)) for slab in slabs)
    whole = float(reciprocal_energy_of(positions, charges, ReciprocalSlab.whole(grid)))
    assert shares == pytest.approx(whole, rel=1e-11)  # the structure factors are good to 1e-12


def test_forces_of_many_atoms_are_the_slopes_of_the_energy() -> None:
    positions, charges, cell = many_atoms()
    r = positions.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(ewald_energy(r, charges, cell), r)
    step = torch.zeros_like(positions)
    step[17, 2] = 1e-3
    slope = float(ewald_energy(positions + step, charges, cell) - ewald_energy(positions - step, charges, cell)) / 2e-3
    assert float(gradient[17, 2]) == pytest.approx(slope, rel=1e-5)  # the difference: h² of the third derivative
    assert float(gradient.sum(0).abs().max()) < 1e-7  # 1e-12 of the sum of 216 forces of 30 eV/Å


def test_a_large_empty_cell_stays_within_memory_and_is_right() -> None:
    """A dipole in a 60 Å cube: the number of wave vectors is bounded by a wider split."""
    energy = float(ewald_energy(tensor([[0, 0, 0], [0, 0, 1.5]]), tensor([1.0, -1.0]), 60.0 * CUBE))
    # −q²/d, and the field of the images: −2π p²/(3Ω) for a cube. The next order in d/L is 3e-7 eV.
    assert energy == pytest.approx(-COULOMB / 1.5 - COULOMB * 2 * math.pi / 3 * 1.5**2 / 60**3, abs=1e-6)


def test_atoms_in_the_same_place_are_refused() -> None:
    with pytest.raises(AtomsError, match="atoms 0 and 1 are in the same place"):
        ewald_energy(tensor([[0, 0, 0], [0, 0, 3.0]]), tensor([1.0, 1.0]), 3.0 * CUBE)


def test_derivatives_are_finite_differences_in_a_skewed_cell_of_two_charges() -> None:
    cell = np.array([[3.0, 0.2, 0.0], [-0.8, 2.6, 0.1], [0.3, -0.2, 4.0]])
    positions = np.random.default_rng(0).uniform(size=(3, 3)) @ cell
    charges = tensor([2.0, 3.0, 2.0])
    found = ewald_derivatives(tensor(positions), charges, cell)
    moved = by_positions(lambda r: float(ewald_energy(tensor(r), charges, cell)), positions, 1e-3)
    # Rounding of E_ii over the step of the difference, 1e-3 Å: measured 5e-12.
    np.testing.assert_allclose(found.by_position, moved, atol=1e-9 * np.abs(moved).max())
    strained = by_strain(lambda f: float(ewald_energy(tensor(positions @ f.T), charges, cell @ f.T)), 1e-3)
    np.testing.assert_allclose(found.by_strain, strained, atol=1e-9 * np.abs(strained).max())


def test_derivatives_of_many_atoms_are_autograds_add_up_by_slabs_and_obey_the_virial_theorem() -> None:
    positions, charges, cell = many_atoms()
    found = ewald_derivatives(positions, charges, cell)
    r = positions.clone().requires_grad_()
    energy = ewald_energy(r, charges, cell)
    # The same sums: the pairs by hand in place of autograd's, so 1e-14 of forces of 30 eV/Å, and some in reserve.
    torch.testing.assert_close(found.by_position, torch.autograd.grad(energy, r)[0], rtol=0, atol=1e-10)
    # E_ii is homogeneous of degree −1 in all lengths.
    assert float(found.by_strain.trace()) == pytest.approx(-float(energy.detach()), rel=1e-11)  # the cut
    grid = ewald_grid(cell)
    pieces = [real_space_derivatives(positions, charges, cell)] + [
        reciprocal_derivatives_of(positions, charges, ReciprocalSlab.of_y(grid, a, b))
        for a, b in ((0, 7), (7, grid.shape[1]))
    ]
    for whole, shares in zip(found, zip(*pieces, strict=True), strict=True):
        # Structure factors of a slab and of the whole are each right to 1e-12 of the largest.
        torch.testing.assert_close(sum(shares), whole, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_parts_of_the_pairs_add_up_in_skewed_cells_and_where_an_atom_sees_its_own_images(count: int) -> None:
    for positions, charges, cell in (many_atoms(), few_atoms()):
        of = [Part(which, count) for which in range(count)]
        energy = sum(float(real_space_energy(positions, charges, cell, part=p)) for p in of)
        assert energy == pytest.approx(float(real_space_energy(positions, charges, cell)), rel=1e-12)
        shares = zip(*(real_space_derivatives(positions, charges, cell, part=p) for p in of), strict=True)
        for whole, parted in zip(real_space_derivatives(positions, charges, cell), shares, strict=True):
            torch.testing.assert_close(sum(parted), whole, rtol=1e-12, atol=1e-10)


def few_atoms() -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """A skewed cell smaller than the cutoff, one atom outside of it."""
    cell = np.array([[3.0, 0.2, 0.0], [-2.8, 2.6, 0.1], [0.3, -0.2, 4.0]])
    return tensor(np.random.default_rng(0).uniform(-1, 1, size=(6, 3)) @ cell), tensor([2.0, 3.0, 2.0] * 2), cell


def test_parts_are_as_many_as_the_room_asks_for_and_no_more_than_atoms() -> None:
    """Of Be 13 kB an atom were measured, 4.4 kB where all pairs come once in one task, too much for 131,072 atoms."""
    n, volume = 131_072, 131_072 * 8.1
    assert [len(parts(n, volume, room)) for room in (2**40, 300_000_000, 0)] == [1, 7, n]
    assert parts(3, 30.0, 2**30) == [Part(0, 1)]


def test_atoms_in_the_same_place_are_refused_in_a_part_too() -> None:
    with pytest.raises(AtomsError, match="in the same place"):
        real_space_energy(tensor([[0, 0, 0], [0, 0, 3.0]]), tensor([1.0, 1.0]), 3.0 * CUBE, part=Part(0, 2))
