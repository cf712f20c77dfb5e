"""Neighbours of tiles against all distances."""

from __future__ import annotations

import numpy as np
import pytest

from maladist.descriptors.compiled.point_tiles import bin_atoms, candidates, compact_order, neighbours

CUTOFF, LANES = 2.5, 4


def _tiles(points: np.ndarray, positions: np.ndarray, slots: int) -> tuple[dict[int, list[float]], list[int]]:
    """Weights of the neighbours of each point in the order they come, and the candidates of each tile."""
    order, bins = (
        compact_order(points, CUTOFF),
        bin_atoms(positions, np.arange(1.0, len(positions) + 1), points, CUTOFF),
    )
    found, seen, numbers = np.empty(len(bins.atoms) + 1, np.int64), {int(i): [] for i in order}, []
    for first in range(0, len(points), LANES):
        n = candidates(points, order, first, LANES, bins, CUTOFF, found)
        numbers.append(n)
        cursor, near = np.zeros(LANES, np.int64), np.full((4 * slots, LANES), np.nan)
        scratch, used = np.empty((LANES, slots + 1), np.int64), slots
        while used == slots:
            used = neighbours(points, order, first, LANES, bins.atoms, found[:n], CUTOFF, cursor, scratch, near)
            assert np.isfinite(near).all()
            for lane, i in enumerate(order[first : first + LANES]):
                for s in np.flatnonzero(near[3::4, lane]):
                    seen[int(i)].append(near[4 * s + 3, lane])
                    k = int(near[4 * s + 3, lane]) - 1
                    np.testing.assert_array_equal(near[4 * s : 4 * s + 3, lane], positions[k] - points[i])
            assert not near[4 * used + 3 :: 4].any()
    return seen, numbers


@pytest.mark.parametrize("slots", [3, 64])
@pytest.mark.parametrize("spread", [1.0, 4.0, 30.0])
def test_every_neighbour_comes_once(spread: float, slots: int) -> None:
    rng = np.random.default_rng(0)
    points, positions = rng.normal(0, spread, (61, 3)), rng.normal(0, spread, (150, 3))
    seen, _ = _tiles(points, positions, slots)
    distances = np.linalg.norm(points[:, None] - positions, axis=2)
    for i, weights in seen.items():
        assert sorted(weights) == [k + 1 for k in np.flatnonzero(distances[i] < CUTOFF)]


def test_neighbours_keep_their_order_among_other_atoms() -> None:
    rng = np.random.default_rng(1)
    points, positions = rng.uniform(0, 3, (20, 3)), rng.uniform(-3, 6, (100, 3))
    alone, _ = _tiles(points, positions, 64)
    crowded, _ = _tiles(points, np.concatenate([positions, rng.uniform(-40, 40, (500, 3))]), 64)
    for i, weights in alone.items():
        assert [w for w in crowded[i] if w <= 100] == weights


def test_tiles_of_shuffled_grid_points_are_compact() -> None:
    """A tile's candidates are not many more than a point's neighbours, in whatever order the points come."""
    grid = np.stack(np.meshgrid(*[np.arange(16) * 0.25] * 3, indexing="ij"), -1).reshape(-1, 3)
    positions = np.random.default_rng(2).uniform(-3, 7, (1000, 3))
    shuffled = np.random.default_rng(3).permutation(grid)[:1000]
    seen, numbers = _tiles(shuffled, positions, 256)
    assert np.mean(numbers) < 1.8 * np.mean([len(weights) for weights in seen.values()])
