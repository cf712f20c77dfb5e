"""Measures without training: closed forms, invariances, and that they tell good from bad."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from maladist.errors import InputError
from maladist.learning.network import FeedForward
from maladist.tuning.training_free import acsd, jacobian_score, mutual_information, naswot, orthogonal_array


def lines(*weights: list[float]) -> FeedForward:
    """One hidden layer of ReLUs without bias."""
    network = FeedForward([len(weights[0]), len(weights), 1], "ReLU")
    with torch.no_grad():
        network.linear[0].weight.copy_(torch.tensor(weights))
        network.linear[0].bias.zero_()
    return network


def test_naswot_of_patterns_written_out() -> None:
    network = lines([1.0, 0.0], [0.0, 1.0], [1.0, 1.0])
    x = torch.tensor([[1.0, 1.0], [1.0, -2.0], [-1.0, 2.0]])  # codes 111, 100, 011
    kernel = np.array([[3.0, 1, 2], [1, 3, 0], [2, 0, 3]])
    assert naswot(network, x) == pytest.approx(np.log(np.linalg.det(kernel + 1e-5 * np.eye(3))), rel=1e-12)


def test_naswot_sees_signs_alone_and_any_order_of_points() -> None:
    torch.manual_seed(0)
    network, x = FeedForward([4, 32, 32, 3], "SiLU", dropout=0.5), torch.randn(10, 4)
    score = naswot(network, x)
    assert naswot(network, x.flip(0)) == pytest.approx(score, rel=1e-9)
    with torch.no_grad():
        network.linear[2].weight.mul_(7)  # the last layer has no pattern
    assert naswot(network, x) == score
    assert network.training
    assert not any(layer._forward_pre_hooks for layer in network.activation)


def test_naswot_of_points_that_no_unit_tells_apart_is_the_worst() -> None:
    network = lines([1.0], [2.0])
    score = naswot(network, torch.tensor([[1.0], [2.0]]))
    assert score == pytest.approx(np.log((4 + 1e-5) * 1e-5), rel=1e-9)
    assert score < naswot(network, torch.tensor([[1.0], [-2.0]]))
    assert naswot(FeedForward([2, 5, 3], [None, None]), torch.randn(4, 2)) == -np.inf


def test_wide_networks_tell_more_points_apart() -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 5)
    scores = [naswot(FeedForward([5, width, width, 4], "ReLU"), x) for width in (5, 20, 80, 320)]
    assert scores == sorted(scores)


def test_jacobian_score_of_gradients_that_are_alike_and_that_are_not() -> None:
    linear = FeedForward([3, 4, 2], [None, None])  # one gradient everywhere: eigenvalues N, 0, 0 ...
    k, n = 1e-5, 6
    alike = -(np.log(n + k) + 1 / (n + k) + (n - 1) * (np.log(k) + 1 / k))
    # The zero eigenvalues are so to 1e-7 of float32 gradients, against k = 1e-5.
    assert jacobian_score(linear, torch.randn(n, 3)) == pytest.approx(alike, rel=1e-2)
    torch.manual_seed(0)
    assert jacobian_score(FeedForward([30, 64, 2], "GELU"), torch.randn(n, 30)) > alike / 1e3


def test_acsd_written_out() -> None:
    b = np.array([[1.0, 0], [1, 0], [0, 1]])  # S: 12 → 1, 13 → 0, 23 → 0
    d = np.array([[1.0, 0], [1, 1], [1, 1]])  # S: 12 → 1/√2, 13 → 1/√2, 23 → 1
    assert acsd(b, d) == pytest.approx((1 - np.sqrt(0.5)) / 3, rel=1e-12)


def test_acsd_is_blind_to_lengths_and_zero_for_the_ldos_itself() -> None:
    rng = np.random.default_rng(0)
    d, b = rng.random((20, 7)), rng.random((20, 4))
    assert acsd(d, d) == 0
    assert acsd(b * rng.uniform(1, 9, (20, 1)), d) == pytest.approx(acsd(b, d), rel=1e-12)
    assert acsd(np.ones((20, 3)), d) > acsd(b, d)  # descriptors that are the same everywhere


@pytest.mark.parametrize("r", [0.0, 0.6, 0.9])
def test_mutual_information_of_gaussians(r: float) -> None:
    """−½ log(1 − r²); the estimator's spread at 4000 points is 0.02."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((4000, 1))
    y = r * x + np.sqrt(1 - r * r) * rng.standard_normal((4000, 1))
    assert mutual_information(x, y) == pytest.approx(-0.5 * np.log(1 - r * r), abs=0.05)


def test_mutual_information_of_two_pairs_adds_and_does_not_feel_scales_and_turns() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((3000, 2))
    y = 0.8 * x + 0.6 * rng.standard_normal((3000, 2))
    twice = -np.log(1 - 0.64)
    assert mutual_information(x, y) == pytest.approx(twice, abs=0.1)
    turned = x @ np.array([[3.0, 4], [-4, 3]]) * 5 + 100
    assert mutual_information(turned, y) == pytest.approx(twice, abs=0.1)
    constant = np.hstack([x, np.full((3000, 1), 0.3)])
    assert mutual_information(constant, y) == pytest.approx(mutual_information(x, y), rel=1e-9)


@pytest.mark.parametrize("levels", [[2, 2, 2], [2] * 7, [3] * 4, [3] * 6, [5] * 6, [7, 7]])
def test_every_two_factors_meet_in_all_combinations_equally_often(levels: list[int]) -> None:
    array = orthogonal_array(levels)
    for i, j in combinations(range(len(levels)), 2):
        counts = np.histogram2d(array[:, i], array[:, j], bins=[levels[i], levels[j]])[0]
        assert counts.min() == counts.max() > 0
    assert len({tuple(run) for run in array}) == len(array)


def test_sizes_are_those_of_the_tables() -> None:
    sizes = {(2, 3): 4, (2, 7): 8, (3, 4): 9, (3, 13): 27, (5, 6): 25, (4, 6): 25}
    assert {key: len(orthogonal_array([key[0]] * key[1])) for key in sizes} == sizes


def test_factors_of_fewer_levels_are_independent_of_the_others() -> None:
    array = orthogonal_array([4, 2, 3])
    for i, j in combinations(range(3), 2):
        pairs = np.histogram2d(array[:, i], array[:, j], bins=[array[:, i].max() + 1, array[:, j].max() + 1])[0]
        assert np.allclose(pairs * len(array), np.outer(pairs.sum(1), pairs.sum(0)))
        assert pairs.min() > 0


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(InputError, match="3 and 4 points"):
        acsd(np.ones((3, 2)), np.ones((4, 2)))
    with pytest.raises(InputError, match="do not vary"):
        mutual_information(np.ones((9, 2)), np.random.default_rng(0).random((9, 2)))
    with pytest.raises(InputError, match="two or more levels"):
        orthogonal_array([3, 1])
