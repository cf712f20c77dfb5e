"""Sums over parts of space: those of dense weights."""

from __future__ import annotations

import numpy as np
import pytest

from maladist.physics.partition import Partition


@pytest.mark.parametrize("n_fields", [2, 2**20])
def test_sums_are_those_of_the_dense_weights(n_fields: int) -> None:
    """Also where the fields are so many that the points are taken a few at a time."""
    labels, points = np.array([7, 3, 7, 3, 7]), np.array([0, 0, 1, 2, 2])
    weights = np.array([0.25, 0.75, 1.0, 0.5, 0.5])
    field = np.arange(3.0 * n_fields, dtype=np.float32).reshape(3, n_fields)
    found = Partition.of(labels, points, weights, 3)
    assert found.labels.tolist() == [3, 7]
    dense = np.array([[0.75, 0.0, 0.5], [0.25, 1.0, 0.5]])
    np.testing.assert_allclose(found.sums(field), dense @ field.astype(np.float64), rtol=1e-14)


def test_some_points_are_taken_by_their_place() -> None:
    whole = Partition.of(np.array([1, 2, 2]), np.array([0, 1, 2]), np.ones(3), 3)
    assert whole.at(np.array([2, 0])).sums(np.array([[5.0], [7.0]])).tolist() == [[7.0], [5.0]]


def test_entries_of_one_label_and_point_are_added() -> None:
    found = Partition.of(np.array([1, 1]), np.array([0, 0]), np.array([0.5, 0.5]), 1)
    assert found.weights.toarray().tolist() == [[1.0]]
