"""The adjoint door against finite differences of the descriptors: gradients and virial, every family."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from maladist.descriptors import BispectrumSpec, GaussianSpec, PowerSpectrumSpec, Spec, adjoint, evaluate
from maladist.errors import InputError
from maladist.neighbors import LocalAtoms
from tests.descriptors.systems import SKEWED, cluster, random_system
from tests.physics.differences import difference

Array = npt.NDArray[np.float64]

STEP = 1e-4
"""Å, half of it of a strain: short, since the switch has a kink of the second derivative."""

SPECS = [
    BispectrumSpec(twojmax=3, cutoff=3.0),
    BispectrumSpec(twojmax=4, cutoff=3.0, rmin0=0.4, weights={"Be": 0.7, "Al": 1.3}),
    BispectrumSpec(twojmax=2, cutoff=3.0, quadratic=True),
    BispectrumSpec(twojmax=3, cutoff=3.0, weights={"Be": 0.7, "Al": 1.3}, resolve="elements"),
    GaussianSpec(cutoff=3.0, sigma=0.5, elements=("Be", "Al")),
    PowerSpectrumSpec(cutoff=3.0, radial=(4, 2, 2), elements=("Be", "Al")),
]


def system() -> tuple[Array, LocalAtoms]:
    return random_system(SKEWED, 3, 3.0, ("Be", "Al"), n_points=12)


def cotangent_for(spec: Spec, n_points: int = 12) -> Array:
    return np.random.default_rng(1).normal(size=(n_points, spec.n_features))


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.family} {s.n_features}")
def test_gradient_and_virial_are_finite_differences_of_the_descriptors(spec: Spec) -> None:
    points, atoms = system()
    c = cotangent_for(spec)
    found = adjoint(points, atoms, spec, c, dtype=torch.float64, threads=1)

    def value(points: Array, positions: Array) -> float:
        moved = LocalAtoms(positions, atoms.numbers)
        return float((evaluate(points, moved, spec, dtype=torch.float64, threads=1).numpy() * c).sum())

    largest = np.abs(found.gradient).max()
    nearest = np.argsort(np.linalg.norm(atoms.positions - points.mean(0), axis=1))[:3]
    for k in nearest:
        for axis in range(3):
            step = np.zeros_like(atoms.positions)
            step[k, axis] = 1.0
            by_difference = difference(lambda h, step=step: value(points, atoms.positions + h * step), STEP)
            assert abs(found.gradient[k, axis] - by_difference) < 1e-7 * largest  # rounding of values: 1e-16/h
    for a, b in ((0, 0), (0, 1), (1, 0), (2, 1)):
        strain = np.zeros((3, 3))
        strain[a, b] = 1.0  # r_a += ε r_b
        by_difference = difference(
            lambda h, e=strain: value(points + h * points @ e.T, atoms.positions + h * atoms.positions @ e.T), STEP / 2
        )
        # A strain moves an atom by its distance, some Å: more of them come near the kink.
        assert abs(found.virial[a, b] - by_difference) < 1e-6 * np.abs(found.virial).max()


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.family} {s.n_features}")
def test_float32_is_float64_to_its_rounding(spec: Spec) -> None:
    points, atoms = system()
    c = cotangent_for(spec)
    wide, narrow = (adjoint(points, atoms, spec, c, dtype=t, threads=1) for t in (torch.float64, torch.float32))
    for one, other in zip(wide, narrow, strict=True):
        assert one.dtype == other.dtype == np.float64
        # Measured below 2e-6: some ten roundings of 1e-7, of the largest since terms of either sign cancel.
        np.testing.assert_allclose(other, one, rtol=0, atol=2e-5 * np.abs(one).max())


def test_the_place_of_the_origin_does_not_matter() -> None:
    points, atoms = system()
    spec = SPECS[0]
    c = cotangent_for(spec)
    here = adjoint(points, atoms, spec, c, dtype=torch.float64, threads=1)
    far = np.array([900.0, -700.0, 400.0])
    moved = LocalAtoms(atoms.positions + far, atoms.numbers)
    there = adjoint(points + far, moved, spec, c, dtype=torch.float64, threads=1)
    # Coordinates of 1000 Å are rounded to 1e-13 Å: measured 6e-14. A virial about another origin is off by its share.
    np.testing.assert_allclose(there.virial, here.virial, atol=1e-9 * np.abs(here.virial).max())


def test_no_points_and_no_atoms_give_zeros() -> None:
    points, atoms = system()
    spec = SPECS[0]
    none = adjoint(np.empty((0, 3)), atoms, spec, np.empty((0, spec.n_features)))
    assert none.gradient.shape == (len(atoms), 3) and not none.gradient.any() and not none.virial.any()
    empty = adjoint(points, cluster([]), spec, cotangent_for(spec))
    assert empty.gradient.shape == (0, 3) and not empty.virial.any()


def test_a_cotangent_of_another_shape_or_a_backend_without_adjoint_is_refused() -> None:
    points, atoms = system()
    spec = SPECS[0]
    with pytest.raises(InputError, match=r"cotangent.*\(12, 7\)"):
        adjoint(points, atoms, spec, np.zeros((12, 7)))
    with pytest.raises(InputError, match=r"backend.*lammps"):
        adjoint(points, atoms, spec, cotangent_for(spec), backend="lammps")
