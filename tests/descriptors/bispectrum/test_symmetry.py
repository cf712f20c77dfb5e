"""What must not change the bispectrum: rotation, reflection, translation, order of atoms, repetition of the cell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maladist.descriptors import BispectrumSpec, evaluate
from maladist.neighbors import LocalAtoms
from tests.descriptors.systems import around, cluster, relative_error

SEEDS = st.integers(0, 10**6)
SPECS = [
    BispectrumSpec(twojmax=6, cutoff=3.5),
    BispectrumSpec(twojmax=5, cutoff=3.5, switch=False, rmin0=0.2, weights={"Be": 1.0, "Al": 0.4}),
    BispectrumSpec(twojmax=3, cutoff=3.5, quadratic=True),
    BispectrumSpec(twojmax=3, cutoff=3.5, weights={"Be": 1.0, "Al": 0.4}, resolve="elements"),
]
SAME = 1e-10  # rounding of float64, of a column's largest value; amplified where few points make a column small

many = settings(max_examples=12, deadline=None)
for_specs = pytest.mark.parametrize("spec", SPECS, ids=["plain", "weights, rmin0, no switch", "quadratic", "elements"])


def _values(points: np.ndarray, atoms: LocalAtoms, spec: BispectrumSpec) -> torch.Tensor:
    return evaluate(points, atoms, spec, backend="torch", dtype=torch.float64)


def _system(seed: int) -> tuple[np.random.Generator, np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    return rng, rng.uniform(-1, 1, (5, 3)), rng.uniform(-4, 4, (25, 3)), rng.choice(["Be", "Al"], 25).tolist()


@for_specs
@many
@given(seed=SEEDS)
def test_rotations_and_reflections(spec: BispectrumSpec, seed: int) -> None:
    rng, points, positions, symbols = _system(seed)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turned = _values(points @ turn, cluster(positions @ turn, symbols), spec)
    assert relative_error(turned, _values(points, cluster(positions, symbols), spec)) < SAME


@for_specs
@many
@given(seed=SEEDS)
def test_translations(spec: BispectrumSpec, seed: int) -> None:
    rng, points, positions, symbols = _system(seed)
    shift = rng.uniform(-20, 20, 3)
    moved = _values(points + shift, cluster(positions + shift, symbols), spec)
    assert relative_error(moved, _values(points, cluster(positions, symbols), spec)) < SAME


@for_specs
@many
@given(seed=SEEDS)
def test_permutations_of_atoms_and_of_points(spec: BispectrumSpec, seed: int) -> None:
    rng, points, positions, symbols = _system(seed)
    atoms, rows = rng.permutation(25), rng.permutation(5)
    permuted = _values(points[rows], cluster(positions[atoms], [symbols[i] for i in atoms]), spec)
    assert relative_error(permuted, _values(points, cluster(positions, symbols), spec)[rows]) < SAME


@for_specs
@many
@given(seed=SEEDS, repeats=st.tuples(*[st.integers(1, 3)] * 3), shape=st.floats(-0.8, 0.8))
def test_repetition_of_a_cell_of_any_shape(
    spec: BispectrumSpec, seed: int, repeats: tuple[int, int, int], shape: float
) -> None:
    rng = np.random.default_rng(seed)
    cell = np.diag([2.4, 2.8, 3.1]) + shape * np.array([[0, 0, 0], [2.0, 0, 0], [-1.0, 1.5, 0]])
    positions, points, symbols = rng.uniform(size=(3, 3)) @ cell, rng.uniform(size=(5, 3)) @ cell, ["Be", "Al", "Be"]
    shifts = np.stack(np.meshgrid(*map(np.arange, repeats), indexing="ij"), -1).reshape(-1, 3)
    supercell = cell * np.array(repeats)[:, None]
    many_positions = (positions[:, None] + shifts @ cell).reshape(-1, 3)
    many_symbols = [s for s in symbols for _ in shifts]
    image = shifts[rng.integers(len(shifts))] @ cell
    repeated = _values(points + image, around(supercell, many_positions, spec.cutoff, many_symbols), spec)
    assert relative_error(repeated, _values(points, around(cell, positions, spec.cutoff, symbols), spec)) < SAME


def test_something_does_change_it() -> None:
    _, points, positions, symbols = _system(0)
    values = _values(points, cluster(positions, symbols), SPECS[0])
    stretched = _values(points * 1.01, cluster(positions * 1.01, symbols), SPECS[0])
    assert relative_error(stretched, values) > 1e-3
