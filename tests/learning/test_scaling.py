"""Scalers do and undo, and are fitted from moments that merge in any order."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maladist.errors import ModelError
from maladist.learning.scaling import Kind, Moments, Scaler

FIELDS = ("mean", "m2", "low", "high")


def data(n: int = 200, features: int = 4, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, features, generator=generator, dtype=torch.float64)
    return x * torch.tensor([1.0, 1e-3, 50.0, 2.0])[:features] + torch.tensor([0.0, 10.0, -3.0, 1e4])[:features]


def assert_same(a: Moments, b: Moments, rtol: float) -> None:
    assert a.count == b.count
    for name in FIELDS:
        torch.testing.assert_close(getattr(a, name), getattr(b, name), rtol=rtol, atol=1e-13)


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 200), max_size=6), order=st.randoms(use_true_random=False))
def test_moments_of_pieces_merge_in_any_order_to_those_of_the_whole(cuts: list[int], order) -> None:  # type: ignore[no-untyped-def]
    x = data()
    pieces = [Moments.of(x[a:b]) for a, b in pairwise([0, *sorted(cuts), len(x)])]
    order.shuffle(pieces)
    # float64 sums of 200 terms whose mean is up to 1e7 times their spread: 1e-9 of M2.
    assert_same(sum(pieces, Moments.zero(4)), Moments.of(x), rtol=1e-9)


def test_merging_is_associative_commutative_and_has_a_zero() -> None:
    a, b, c = (Moments.of(data(n, seed=n)) for n in (1, 17, 40))
    assert_same((a + b) + c, a + (b + c), rtol=1e-12)
    assert_same(a + b, b + a, rtol=1e-12)
    for side in (a + Moments.zero(4), Moments.zero(4) + a):
        assert all(torch.equal(getattr(side, name), getattr(a, name)) for name in FIELDS)


def test_whole_moments_are_those_of_all_values_as_one_feature() -> None:
    x = data()
    assert_same(Moments.of(x).whole(), Moments.of(x.reshape(-1, 1)), rtol=1e-12)


def test_deviations_survive_a_mean_a_million_times_larger() -> None:
    x = data(1000, 1) + 1e6
    merged = Moments.of(x[:300]) + Moments.of(x[300:])
    # Σx² − n mean² in one pass would be left with 1e-4 here.
    torch.testing.assert_close(merged.m2, ((x - x.mean()) ** 2).sum(0), rtol=1e-9, atol=0)


def test_standard_scaling_gives_mean_0_and_deviation_1_per_feature_or_whole() -> None:
    x = data()
    y = Scaler.fit(Moments.of(x), "standard", feature_wise=True).transform(x)
    torch.testing.assert_close(y.mean(0), torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-8)
    torch.testing.assert_close(y.std(0), torch.ones(4, dtype=torch.float64))
    y = Scaler.fit(Moments.of(x), "standard", feature_wise=False).transform(x)
    assert abs(float(y.mean())) < 1e-12
    assert float(y.std()) == pytest.approx(1, abs=1e-12)
    assert float(y.std(0).max()) < 0.1  # one pair for all: features keep their different spreads


def test_minmax_scaling_fills_0_to_1_per_feature_or_whole() -> None:
    x = data()
    y = Scaler.fit(Moments.of(x), "minmax", feature_wise=True).transform(x)
    torch.testing.assert_close(y.amin(0), torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(y.amax(0), torch.ones(4, dtype=torch.float64), rtol=0, atol=1e-12)
    y = Scaler.fit(Moments.of(x), "minmax", feature_wise=False).transform(x)
    assert (float(y.min()), float(y.max())) == pytest.approx((0, 1), abs=1e-12)


@pytest.mark.parametrize("wise", [True, False])
@pytest.mark.parametrize("kind", ["none", "standard", "minmax"])
# Rounding of x − shift is that of x itself: of the largest value, 1e4, times a few ulp.
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 4e-3), (torch.float64, 1e-11)])
def test_inverse_undoes_transform_in_the_datas_own_dtype(
    kind: Kind, wise: bool, dtype: torch.dtype, atol: float
) -> None:
    x = data()
    scaler = Scaler.fit(Moments.of(x), kind, feature_wise=wise)
    y = scaler.transform(x.to(dtype))
    back = scaler.inverse(y)
    assert y.dtype == back.dtype == dtype
    torch.testing.assert_close(back, x.to(dtype), rtol=0, atol=atol)


@pytest.mark.parametrize("kind", ["standard", "minmax"])
def test_a_constant_feature_scales_to_0_and_back_to_its_constant(kind: Kind) -> None:
    x = data()
    x[:, 2] = 0.1
    moments = Moments.of(x[:77]) + Moments.of(x[77:])
    scaler = Scaler.fit(moments, kind, feature_wise=True)
    y = scaler.transform(x)
    assert (y[:, 2] == 0).all()
    assert torch.isfinite(scaler.transform(x + 1)).all()
    torch.testing.assert_close(scaler.inverse(y), x, rtol=0, atol=1e-11)


def test_a_single_point_can_be_fitted() -> None:
    scaler = Scaler.fit(Moments.of(data(1)), "standard", feature_wise=True)
    assert (scaler.transform(data(1)) == 0).all()


@pytest.mark.parametrize("kind", ["none", "standard", "minmax", "whiten"])
def test_differences_are_scaled_without_the_shift(kind: Kind) -> None:
    x = data()
    scaler = Scaler.fit(Moments.of(x, cross=True), kind, feature_wise=True)
    there = scaler.transform(x[1:]) - scaler.transform(x[:-1])
    # The mean of 1e4 takes four of float64's sixteen digits from the differences on the left.
    torch.testing.assert_close(scaler.of_differences.transform(x[1:] - x[:-1]), there, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(scaler.of_differences.inverse(there), x[1:] - x[:-1], rtol=1e-9, atol=1e-9)


def test_scaling_is_differentiable() -> None:
    x = data(5)
    scaler = Scaler.fit(Moments.of(x), "standard", feature_wise=True)
    assert torch.autograd.gradcheck(lambda v: scaler.inverse(scaler.transform(v) ** 2), x.requires_grad_())


def test_parameters_stay_float64_however_they_are_moved(device: str) -> None:
    scaler = Scaler.fit(Moments.of(data().float()), "standard", feature_wise=True).to(device)
    assert scaler.shift.dtype == scaler.scale.dtype == torch.float64
    assert scaler.transform(data().float().to(device)).dtype == torch.float32


def test_bad_data_and_parameters_are_refused() -> None:
    with pytest.raises(ModelError, match="not finite"):
        Moments.of(torch.tensor([[0.0, torch.nan]]))
    with pytest.raises(ModelError, match="shape"):
        Moments.of(torch.zeros(3))
    with pytest.raises(ModelError, match="features"):
        Moments.zero(2) + Moments.zero(3)
    with pytest.raises(ModelError, match="no points"):
        Scaler.fit(Moments.zero(3), "standard", feature_wise=True)
    with pytest.raises(ModelError, match="kind"):
        Scaler("robust")  # type: ignore[arg-type]
    for shift, scale in [([0.0], [-1.0]), ([torch.nan], [1.0]), ([0.0, 1.0], [1.0, 1.0]), ([0.0], [1.0, 1.0])]:
        with pytest.raises(ModelError, match="scale"):
            Scaler("standard", False, torch.tensor(shift), torch.tensor(scale))


def correlated(n: int = 400) -> torch.Tensor:
    """Six features of which the fifth never varies and the last is a sum of two others."""
    x = data(n, 4) @ torch.tensor([[1.0, 0.3, 0, 0], [0, 1, 0, 0.2], [0.1, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.float64)
    return torch.cat([x, torch.full((n, 1), 7.0).double(), x[:, :1] + x[:, 1:2]], dim=1)


def test_products_of_features_merge_to_those_of_the_whole() -> None:
    x = correlated()
    merged = Moments.zero(6, cross=True) + Moments.of(x[:150], cross=True) + Moments.of(x[150:], cross=True)
    torch.testing.assert_close(merged.cross, (x - x.mean(0)).T @ (x - x.mean(0)), rtol=1e-9, atol=1e-6)


def test_whitened_features_are_uncorrelated_of_variance_1_or_0() -> None:
    x = correlated()
    scaler = Scaler.fit(Moments.of(x, cross=True), "whiten", feature_wise=True)
    y = scaler.transform(x)
    wanted = torch.diag(torch.tensor([1.0, 1, 1, 1, 0, 0], dtype=torch.float64))
    # Rounding of the eigenvectors, 1e-16, over the smallest kept deviation, 1e-2.
    torch.testing.assert_close(torch.cov(y.T), wanted, rtol=0, atol=1e-8)
    torch.testing.assert_close(y.mean(0), torch.zeros(6).double(), rtol=0, atol=1e-8)
    torch.testing.assert_close(scaler.inverse(y), x, rtol=1e-8, atol=1e-8)


def test_whitening_comes_back_where_features_differ_by_many_orders() -> None:
    x = correlated()[:, :4] * torch.tensor([1.0, 1e-9, 1e6, 1e-4], dtype=torch.float64)
    scaler = Scaler.fit(Moments.of(x, cross=True), "whiten", feature_wise=True)
    back = scaler.inverse(scaler.transform(x))
    assert float(((back - x).abs().amax(0) / x.std(0)).max()) < 1e-6


def test_whitening_needs_products_and_a_rotation_belongs_to_it() -> None:
    with pytest.raises(ModelError, match="cross=True"):
        Scaler.fit(Moments.of(data()), "whiten", feature_wise=True)
    with pytest.raises(ModelError, match="whiten"):
        Scaler("whiten", True, torch.zeros(2), torch.ones(2))
    with pytest.raises(ModelError, match="2 by 2"):
        Scaler("whiten", True, torch.zeros(2), torch.ones(2), torch.eye(3))
