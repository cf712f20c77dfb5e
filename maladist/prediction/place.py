"""Where a run computes that was given no client: a small cell in this process, a large one on a local cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from distributed import Client

from maladist.cluster import client_or_local
from maladist.parallel.here import InProcess, Runner
from maladist.prediction.setup import Setup

SMALL_POINTS: Final = 2**19
"""Points of the grid of a cell that is computed in this process: about 250 atoms of Be.

At some 10 µs of a core a point they take two cores three seconds, and ten with forces: about what the start of a
cluster takes, and far less where there are more cores."""


def is_small(setup: Setup) -> bool:
    """Whether a run is done in this process before a cluster would have started."""
    return are_few(setup.system.grid.n_points, setup.numerics.backend)


def are_few(points: int, backend: str) -> bool:
    """Whether so many points are, described by a backend."""
    # LAMMPS' library keeps state of its own in a process, where other threads would meet it.
    return points <= SMALL_POINTS and backend != "lammps"


@contextmanager
def client_or_here(client: Client | None, small: bool) -> Iterator[Runner]:
    """The caller's client; without one this process for what is small, else a local cluster that ends with the context.

    What computes does not change a bit: this process has the blocks and the kernels of a local cluster.
    """
    if client is None and small:
        with InProcess() as here:
            yield here
        return
    with client_or_local(client) as connected:
        yield connected
