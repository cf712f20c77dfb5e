"""Blocks: they fit, they are about equal, they are compact in Å, and there are enough for the workers."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from maladist.grid import Grid
from maladist.parallel.blocking import TARGET_POINTS, choose_block


def box(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Grid:
    (a, b, c), (h, k, i) = shape, spacing
    return Grid([[a * h, 0, 0], [0, b * k, 0], [0, 0, c * i]], shape)


@settings(max_examples=60, deadline=None)
@given(shape=st.tuples(*[st.integers(1, 300)] * 3), threads=st.integers(1, 64))
def test_there_are_blocks_for_every_thread_where_there_are_points(shape: tuple[int, int, int], threads: int) -> None:
    grid = box(shape, (0.2, 0.2, 0.2))
    count = len(list(grid.blocks(choose_block(grid, threads, 10**9))))
    assert count >= min(threads, grid.n_points)  # two for each, less what whole points do not allow


def test_a_block_is_compact_in_space_and_not_in_points() -> None:
    """A slab whose third spacing is ten times smaller: as many more points belong into that edge of a block."""
    block = choose_block(box((64, 64, 640), (0.5, 0.5, 0.05)), 1, 10**9)
    edges = [n * h for n, h in zip(block, (0.5, 0.5, 0.05), strict=True)]
    assert max(edges) <= 2 * min(edges)
    assert math.prod(block) <= TARGET_POINTS


def test_where_a_single_point_fits_the_blocks_are_points() -> None:
    assert choose_block(box((7, 5, 3), (0.1, 0.3, 0.2)), 1, 1) == (1, 1, 1)
    assert choose_block(box((7, 5, 3), (0.1, 0.3, 0.2)), 1, 0) == (
        1,
        1,
        1,
    )  # the plan refuses it later


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 300)] * 3),
    lengths=st.tuples(*[st.floats(0.05, 0.5)] * 3),
    threads=st.integers(1, 64),
    fits=st.integers(1, 10**6),
)
def test_blocks_fit_and_are_about_equal(
    shape: tuple[int, int, int], lengths: tuple[float, float, float], threads: int, fits: int
) -> None:
    cell = [[shape[0] * lengths[0], 0, 0], [0, shape[1] * lengths[1], 0], [0, 0, shape[2] * lengths[2]]]
    grid = Grid(cell, shape)
    block = choose_block(grid, threads, fits)
    assert math.prod(block) <= max(1, fits)
    # The blocks at the ends are not slivers: cutting differently into as many would not make them larger.
    for n, b in zip(shape, block, strict=True):
        assert b == math.ceil(n / math.ceil(n / b))


def test_blocks_of_a_large_cell_do_not_grow_with_the_cell() -> None:
    sizes = {
        math.prod(
            choose_block(Grid([[0.13 * n] * 1 + [0, 0], [0, 0.13 * n, 0], [0, 0, 0.13 * n]], (n, n, n)), 2, 10**9)
        )
        for n in (128, 256, 512)
    }
    assert max(sizes) <= TARGET_POINTS and min(sizes) > TARGET_POINTS // 2
