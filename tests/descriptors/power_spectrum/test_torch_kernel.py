"""The power spectrum in torch, and compiled beside it: closed forms, its definition, what must not change it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from maladist.descriptors import PowerSpectrumSpec, evaluate
from tests.descriptors.power_spectrum.reference import EXACT, SINGLE, SMALL, direct
from tests.descriptors.systems import SKEWED, cluster, random_system, relative_error

F64, F32 = torch.float64, torch.float32

BACKENDS = ["torch", "cpu"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_neighbour_in_closed_form(backend: str) -> None:
    """Σ_m Y_lm² = (2l + 1)/4π, whatever the direction: p_nn'l = (2l + 1)/4π R_nl R_n'l."""
    r = np.array([0.3, -1.0, 0.7])
    t = np.pi * np.linalg.norm(r) / SMALL.cutoff
    values = evaluate([[1.0, 2, 3]], cluster([r + np.array([1, 2, 3])]), SMALL, backend=backend, dtype=F64)[0].numpy()
    f = 0.5 * (1 + np.cos(t)) * np.cos(np.arange(4) * t)
    np.testing.assert_allclose(values[:4], f / np.sqrt(4 * np.pi), rtol=1e-13)
    for l, start in ((1, 4), (2, 7)):  # noqa: E741
        expected = np.array([f[0] * f[0], f[0] * f[1], f[1] * f[1]]) * np.sin(t) ** (2 * l) * (2 * l + 1) / (4 * np.pi)
        np.testing.assert_allclose(values[start : start + 3], expected, rtol=1e-12)


@pytest.mark.parametrize(
    "radial",
    [(12, 6, 5, 4, 3), (1,), (2, 3), pytest.param((3, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1), marks=pytest.mark.slow)],
)
def test_both_kernels_are_the_definition(radial: tuple[int, ...]) -> None:
    points, atoms = random_system(SKEWED, 4, 4.0, n_points=25)
    spec = PowerSpectrumSpec(cutoff=4.0, radial=radial)
    expected = direct(points, atoms, spec)
    assert expected.shape == (25, spec.n_features)
    for backend in BACKENDS:
        assert relative_error(evaluate(points, atoms, spec, backend=backend, dtype=F64), expected) < EXACT
        assert relative_error(evaluate(points, atoms, spec, backend=backend, dtype=F32), expected) < SINGLE


@pytest.mark.parametrize("backend", BACKENDS)
def test_rotations_reflections_translations_and_the_order_of_atoms_do_not_change_it(backend: str) -> None:
    rng = np.random.default_rng(0)
    points, positions = rng.uniform(-1, 1, (20, 3)), rng.uniform(-4, 4, (30, 3))
    expected = evaluate(points, cluster(positions), SMALL, backend=backend, dtype=F64)
    for turn in (np.linalg.qr(rng.normal(size=(3, 3)))[0], np.diag([1.0, -1, 1])):
        turned = evaluate(points @ turn, cluster(positions @ turn), SMALL, backend=backend, dtype=F64)
        assert relative_error(turned, expected) < 1e-11  # positions are rounded by the rotation
    shift = np.array([7, -3, 20])
    moved = cluster(rng.permutation(positions) + shift)
    assert relative_error(evaluate(points + shift, moved, SMALL, backend=backend, dtype=F64), expected) < 1e-11
    stretched = evaluate(points * 1.01, cluster(positions * 1.01), SMALL, backend=backend, dtype=F64)
    assert relative_error(stretched, expected) > 1e-3


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [F32, F64])
def test_an_atom_on_a_point_is_the_limit_of_one_that_comes_near(backend: str, dtype: torch.dtype) -> None:
    others = [[1.2, 0.3, -0.4], [-1.0, 1.1, 0.2]]
    limit = direct(np.zeros((1, 3)), cluster([[0, 0, 1e-9], *others]), SMALL)
    for on in ([0.0, 0, 0], [0, 1e-12, 0], [1e-9, 0, 0]):
        values = evaluate(np.zeros((1, 3)), cluster([on, *others]), SMALL, backend=backend, dtype=dtype)
        assert relative_error(values, limit) < 5e-5  # a column may be a hundredth of its terms: 1e-7 · 100


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_beyond_the_cutoff_is_not_seen_and_no_neighbour_gives_zeros(backend: str) -> None:
    point = [[0.0, 0, 0]]
    for atoms in (cluster([]), cluster([[3.5001, 0, 0], [90.0, 5, 0]])):
        assert not evaluate(point, atoms, SMALL, backend=backend).any()
    near = [[0.5, 0.2, 0], [-1.0, 0.3, 2]]
    one, other = (
        evaluate(point, cluster(a), SMALL, backend=backend) for a in (near, [*near, [0, 3.6, 0], [1e4, 0, 0]])
    )
    torch.testing.assert_close(one, other)


def test_it_fades_out_with_its_derivative() -> None:
    distances = SMALL.cutoff - np.array([0.02, 0.01])
    ends = [evaluate([[0.0, 0, 0]], cluster([[r, 0, 0]]), SMALL, dtype=F64)[0, 0] for r in distances]
    assert float(ends[0] / ends[1]) == pytest.approx(4, abs=0.01)  # quadratic in the distance to the cutoff
