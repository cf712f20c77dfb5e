"""How a grid is cut into blocks for a number of workers."""

from __future__ import annotations

import math
from typing import Final

from maladist.grid import Grid

TARGET_POINTS: Final = 131072
"""Points of a block where memory and the number of workers allow: about a second of work on a core."""


def choose_block(grid: Grid, n_threads: int, fits: int, target: int = TARGET_POINTS) -> tuple[int, int, int]:
    """A block shape of about equal edges in Å and at most ``fits`` points, with some blocks for every thread.

    The cell is cut into an equal number of slices along each direction, so that the blocks at the ends are not slivers.
    """
    # Two blocks a thread at least: where one is slower than the others, its worker is not the only one left at the end.
    most = max(1, min(target, fits, math.ceil(grid.n_points / max(1, 2 * n_threads))))
    # Counts and not edges are what grows: pieces of one direction then stay equal.
    counts = [1, 1, 1]

    def edges() -> list[int]:
        return [math.ceil(n / c) for n, c in zip(grid.shape, counts, strict=True)]

    while math.prod(edges()) > most:
        # What is longest in Å is cut, not what has most points: the rounder a block, the fewer
        # atoms within the cutoff of it.
        lengths = [e * h for e, h in zip(edges(), grid.spacing, strict=True)]
        splittable = [i for i in range(3) if edges()[i] > 1]
        i = max(splittable, key=lambda i: lengths[i])
        counts[i] += 1
    a, b, c = edges()
    return (a, b, c)
