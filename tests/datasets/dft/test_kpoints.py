"""Meshes of k-points that nest: the same points in cells of other sizes, or denser ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from maladist.datasets.dft.kpoints import Mesh, as_dense, nested, spaced

HCP = bulk("Be", "hcp", a=2.2866, c=3.5833)
FCC = bulk("Al", "fcc", a=4.05)
CUBIC = bulk("Al", "fcc", a=4.05, cubic=True)


def strained(atoms: Atoms, seed: int) -> np.ndarray:
    """Cell with strains of up to 2 % and shears of up to 1 %, as `sample crystal` draws them."""
    strain = np.random.default_rng(seed).uniform(-0.02, 0.02, (3, 3))
    symmetric = (strain + strain.T) / 2 * (0.5 + 0.5 * np.eye(3))
    return np.asarray(atoms.cell.array @ (np.eye(3) + symmetric))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("repeat", "mesh", "wanted", "same"),
    [
        ((2, 2, 1), (8, 8, 6), (4, 4, 6), True),
        ((2, 2, 2), (8, 8, 6), (4, 4, 3), True),
        ((3, 2, 1), (8, 8, 6), (3, 4, 6), False),  # 8/3 is no whole number: rounded up
        ((5, 1, 1), (8, 8, 6), (2, 8, 6), False),
    ],
)
def test_the_mesh_of_a_supercell_is_folded_or_denser(
    repeat: tuple[int, int, int], mesh: Mesh, wanted: Mesh, same: bool, seed: int
) -> None:
    large = HCP.repeat(repeat)
    assert nested(mesh, HCP.cell.array, large.cell.array) == (wanted, same)
    assert nested(mesh, HCP.cell.array, strained(large, seed)) == (wanted, same)
    back, same_again = nested(wanted, strained(large, seed), HCP.cell.array)
    assert back == tuple(n * r for n, r in zip(wanted, repeat, strict=True)) and same_again


def test_axes_in_another_order_are_found() -> None:
    large = HCP.repeat((2, 1, 1)).cell.array[[2, 0, 1]]
    assert nested((8, 6, 4), HCP.cell.array, large) == ((4, 4, 6), True)


def test_a_cell_of_other_axes_is_sampled_at_least_as_densely() -> None:
    mesh, same = nested((6, 6, 6), FCC.cell.array, CUBIC.cell.array)
    assert mesh == (4, 4, 4) and not same
    assert math.prod(mesh) * len(CUBIC) >= 6**3 * len(FCC)
    back, _ = nested(mesh, CUBIC.cell.array, FCC.cell.array)
    assert math.prod(back) * len(FCC) >= math.prod(mesh) * len(CUBIC)
    assert math.prod(as_dense((6, 6, 6), 1, CUBIC.cell.array, 4)) * 4 >= 6**3


def test_a_spacing_bounds_the_distances_in_all_directions() -> None:
    mesh = spaced(HCP.cell.array, 0.3)
    lengths = np.linalg.norm(2 * np.pi * HCP.cell.reciprocal(), axis=1)
    assert (lengths / mesh <= 0.3).all() and (lengths / (np.array(mesh) - 1) > 0.3).all()
