"""g₃: the triangles of a crystal, an ideal gas, and the sum over triples written out."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

import maladist
from maladist.errors import InputError
from maladist.sampling.triplets import triplet_distribution


def test_a_crystal_has_its_triangles() -> None:
    """Of 12 neighbours in fcc each has 4 others that are neighbours of it: 48 ordered equilateral triangles an atom."""
    a, width = 4.05, 0.2
    found = triplet_distribution([bulk("Al", "fcc", a)], 4.4, width)
    at = int(a / np.sqrt(2) / width)
    fine = width * (at + (np.arange(50) + 0.5) / 50)  # all sides of the bin make triangles
    ideal = 8 * np.pi**2 * (fine.sum() * width / 50) ** 3 * (4 / a**3) ** 2
    assert found[at, at, at] == pytest.approx(48 / ideal, rel=1e-6)
    right = int(a / width)  # two neighbours at a right angle: 12 × 4 ordered pairs
    assert found[at, at, right] > 0
    assert found[right, at, at] == found[at, right, at] == found[at, at, right]
    assert np.isnan(found[1, 1, 10]) and found[2, 2, 2] == 0


def test_an_ideal_gas_has_no_triangles_before_others() -> None:
    rng = np.random.default_rng(1)
    gas = Atoms("H6000", scaled_positions=rng.random((6000, 3)), cell=[37.0, 40.0, 42.0], pbc=True)
    found = triplet_distribution([gas], 4.0, 1.0)
    # 20,000 pairs or more are in a bin of the sides: three of them are off by three times 0.7 %, with some luck less.
    np.testing.assert_allclose(found[2:, 2:, 2:], 1.0, atol=0.06)
    # Also where only a part of the bin can be a triangle.
    assert found[1, 1, 3] == pytest.approx(1.0, abs=0.15)


def test_triangles_are_those_of_all_images_of_a_skewed_cell() -> None:
    rng = np.random.default_rng(2)
    cell = np.array([[3.03, 0, 0], [0.8, 2.9, 0.3], [-0.4, 0.4, 3.2]])  # no side at the end of a bin
    atoms = Atoms("Si2C", scaled_positions=3 * rng.random((3, 3)) - 1, cell=cell, pbc=True)
    found = triplet_distribution([atoms], 4.0, 0.5)
    images = np.array(list(product(range(-4, 5), repeat=3))) @ cell
    everyone = (atoms.get_positions(wrap=True)[:, None] + images).reshape(-1, 3)
    counts = np.zeros((8, 8, 8))
    for r in atoms.get_positions(wrap=True):
        vectors = everyone - r
        length = np.linalg.norm(vectors, axis=1)
        near = vectors[(length < 4.0) & (length > 1e-6)]
        for j, k in permutations(range(len(near)), 2):
            sides = np.array([np.linalg.norm(v) for v in (near[j], near[k], near[j] - near[k])]) / 0.5
            if (sides < 8).all():
                counts[tuple(sides.astype(int))] += 1
    # What they are divided by is that of an ideal gas: 8π² ∫ r s t, in closed form where all of a bin is triangles.
    i = np.arange(8)
    r, s, t = i[:, None, None], i[None, :, None], i[None, None, :]
    full = (r + s >= t + 1) & (s + t >= r + 1) & (t + r >= s + 1)
    density = 3 / atoms.get_volume()
    ideal = 3 * density**2 * 8 * np.pi**2 * 0.5**6 * ((r + 0.5) * (s + 0.5) * (t + 0.5))
    assert full.sum() > 100
    np.testing.assert_allclose(found[full], (counts / ideal)[full], rtol=1e-9)
    # Elsewhere a part of the bin is, or none.
    assert ((found > 0) == (counts > 0)).all()


def test_structure_tells_of_them_where_asked() -> None:
    atoms = bulk("Be", "hcp", a=2.2866, c=3.5833)
    assert "triplet_distribution" not in maladist.structure(atoms)
    found = maladist.structure(atoms, triplets=3.0, triplet_width=0.25)["triplet_distribution"]
    assert found.shape == (12, 12, 12) and found.dims == ("side_1", "side_2", "side_3")
    assert float(found["side_1"][0]) == 0.125
    with pytest.raises(InputError, match="triplets"):
        maladist.structure(atoms, triplets=0.1)
