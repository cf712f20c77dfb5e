"""Batches lose nothing and stay small; moments are what their formula says, also at r = 0."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maladist.descriptors import BispectrumSpec, GaussianSpec, adjoint, evaluate
from maladist.descriptors.moments import Pairs, batches, joined, moments, pairs, spherical_harmonics
from maladist.descriptors.spec import Spec
from tests.descriptors.systems import SKEWED, random_system


def _cost(n_atoms: int) -> int:
    return 1000 + 100 * n_atoms


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 700), size=st.floats(0.1, 30.0), budget=st.integers(1, 10**7))
def test_every_point_is_in_one_batch_with_all_atoms_that_it_sees(seed: int, n: int, size: float, budget: int) -> None:
    rng = np.random.default_rng(seed)
    points, positions, cutoff = rng.uniform(0, size, (n, 3)), rng.uniform(-3, size + 3, (150, 3)), 3.0
    seen = []
    for rows, atoms in batches(points, positions, cutoff, _cost, budget):
        distance = np.linalg.norm(points[rows, None] - positions, axis=-1).min(axis=0)
        assert set(np.flatnonzero(distance < cutoff)) <= set(atoms)
        assert len(rows) == 1 or len(rows) * _cost(len(atoms)) <= budget
        seen += rows.tolist()
    assert sorted(seen) == list(range(n))


def test_a_batch_sees_few_atoms_however_many_the_block_holds() -> None:
    """0.05 atoms/Å³ fill a cutoff sphere of 3 Å with 5.7; a batch's atoms must not grow with the box."""
    rng = np.random.default_rng(0)
    points, positions = rng.uniform(0, 24, (60_000, 3)), rng.uniform(-3, 27, (1350, 3))
    most = max(len(atoms) for _, atoms in batches(points, positions, 3.0, _cost, 10**8))
    assert most < 50


def test_coincident_points_do_not_split_for_ever() -> None:
    points = np.zeros((1000, 3))
    assert sum(len(rows) for rows, _ in batches(points, np.zeros((5, 3)), 1.0, _cost, 2000)) == 1000


def test_joined_batches_keep_their_order_and_fit_the_budget_filled_up() -> None:
    sizes = [(3, 5), (4, 2), (2, 9), (1, 1), (50, 3), (2, 2)]
    each = [(np.arange(points), np.arange(atoms)) for points, atoms in sizes]
    found = list(joined(each, _cost, 20_000))
    assert [batch for together in found for batch in together] == each
    assert [len(together) for together in found] == [4, 1, 1]
    for together in found:
        filled_up = sum(len(p) for p, _ in together) * _cost(max(len(a) for _, a in together))
        assert filled_up <= 20_000 or len(together) == 1


@pytest.mark.parametrize(
    "spec",
    [
        BispectrumSpec(twojmax=4, cutoff=3.0, weights={"Si": 1.0, "C": -1.0}),
        GaussianSpec(cutoff=3.0, sigma=0.6, elements=("Si", "C")),
    ],
    ids=lambda spec: spec.family,
)
def test_many_batches_at_once_give_what_each_gives_alone(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU does, on a CPU: atoms differ from batch to batch, and so does their number."""
    points, atoms = random_system(np.array(SKEWED) * 3, 30, 3.0, n_points=600, elements=("Si", "C"))
    c = np.random.default_rng(1).normal(size=(len(points), spec.n_features))

    def both() -> tuple[torch.Tensor, np.ndarray]:
        values = evaluate(points, atoms, spec, backend="torch", dtype=torch.float64)
        return values, adjoint(points, atoms, spec, c, backend="torch", dtype=torch.float64).gradient

    alone, pulled = both()
    monkeypatch.setattr("maladist.descriptors.moments.at_once", lambda _: 10**9)
    together, pulled_together = both()
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(pulled_together, pulled, rtol=0, atol=1e-12 * np.abs(pulled).max())


def _near(seed: int = 0) -> Pairs:
    points, positions = torch.tensor(np.random.default_rng(seed).normal(size=(2, 6, 3)))
    return pairs(points, positions, torch.arange(1.0, 7.0, dtype=torch.float64), 2.0)


def test_pairs_beyond_the_cutoff_have_no_weight() -> None:
    near = _near()
    beyond = near.distances >= 2.0
    assert beyond.any() and not beyond.all()
    assert (near.weights[beyond] == 0).all()
    assert torch.equal(near.weights[~beyond], torch.arange(1.0, 7.0).double().expand(6, 6)[~beyond])


def test_moments_are_the_sum_of_radial_times_angular_functions() -> None:
    near = _near()
    angular = spherical_harmonics(near, 2, torch.float64)
    radial = [torch.stack([near.weights * near.distances**k for k in range(3)]) for _ in range(3)]
    for l, m_l in enumerate(moments(radial, angular)):  # noqa: E741
        y = torch.stack(angular[l * l : (l + 1) ** 2])
        torch.testing.assert_close(m_l, torch.einsum("npa,mpa->pnm", radial[l], y))


def test_unit_vectors_make_the_harmonics_independent_of_distance() -> None:
    positions = torch.tensor([[0.3, -0.2, 0.5], [3.0, -2.0, 5.0]], dtype=torch.float64)
    near = pairs(torch.zeros(1, 3).double(), positions, torch.ones(2).double(), 10.0)
    for y in spherical_harmonics(near, 4, torch.float64):
        assert y[0, 0] == pytest.approx(float(y[0, 1]), abs=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_an_atom_on_a_point_gives_finite_moments_and_gradients(dtype: torch.dtype) -> None:
    positions = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    near = pairs(torch.zeros(1, 3).double(), positions, torch.ones(1).double(), 2.0)
    radial = [(near.weights * near.distances**l)[None].to(dtype) for l in range(5)]  # noqa: E741
    total = sum(m.sum() for m in moments(radial, spherical_harmonics(near, 4, dtype)))
    (gradient,) = torch.autograd.grad(total, positions)
    assert torch.isfinite(total)
    assert torch.isfinite(gradient).all()
