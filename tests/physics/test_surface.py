"""Where a slab ends: on both sides, across the cell's end, and what is no slab."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import hcp0001

from maladist.errors import AtomsError, GridError, InputError
from maladist.grid import Grid
from maladist.physics.surface import Surface

HEXAGONAL = [[2.3, 0, 0], [-1.15, 1.99, 0], [0, 0, 12.0]]


def slab(*heights: float) -> Atoms:
    """Atoms at heights in a cell of 12 Å."""
    return Atoms(f"Be{len(heights)}", positions=[[0.1, 0.2, z] for z in heights], cell=HEXAGONAL, pbc=True)


@pytest.mark.parametrize(
    ("heights", "top", "bottom"),
    [((2.0, 4.0, 6.0), 6.0, 2.0), ((11.0, 1.0, 3.0), 3.0, 11.0), ((-1.0, 13.0, 3.0), 3.0, 11.0), ((5.0,), 5.0, 5.0)],
)
def test_the_outermost_atoms_are_those_at_the_vacuum(heights: tuple[float, ...], top: float, bottom: float) -> None:
    above, below = (Surface.of(slab(*heights), "c", side) for side in ("top", "bottom"))
    assert above.outermost == pytest.approx(top) and below.outermost == pytest.approx(bottom)
    assert above.vacuum == below.vacuum == pytest.approx(12.0 - (len(heights) - 1) * 2)
    assert above.coordinate(2.5) == pytest.approx((top + 2.5) % 12)
    assert below.coordinate(2.5) == pytest.approx((bottom - 2.5) % 12)


@pytest.mark.parametrize("side", ["top", "bottom"])
@pytest.mark.parametrize("heights", [(2.03, 4.0, 6.01), (11.0, 1.0, 3.0), (0.5, 2.0)])
def test_planes_fall_from_the_middle_of_the_vacuum_to_that_of_the_slab(heights: tuple[float, ...], side: str) -> None:
    surface = Surface.of(slab(*heights), "c", side)  # type: ignore[arg-type]
    planes, first = surface.planes(Grid(HEXAGONAL, (4, 4, 50)))
    step, thick = 12.0 / 50, 12.0 - surface.vacuum
    above = first - step * np.arange(len(planes))
    at = [surface.coordinate(h) / step for h in above]
    np.testing.assert_allclose((np.array(at) - planes + 25) % 50 - 25, 0, atol=1e-9)
    assert surface.vacuum / 2 - step < above[0] <= surface.vacuum / 2
    assert -thick / 2 <= above[-1] < -thick / 2 + step


def test_any_lattice_vector_may_be_the_normal() -> None:
    found = Surface.of(Atoms("Be2", positions=[[1, 0, 0], [3, 1, 1]], cell=[12, 2, 2], pbc=True), "a")
    assert (found.axis, found.length, found.outermost) == (0, 12.0, pytest.approx(3.0))


def test_what_has_no_surface_or_an_oblique_one_is_refused() -> None:
    tilted = slab(2.0, 4.0)
    tilted.set_cell([[2.3, 0, 0], [-1.15, 1.99, 0], [0.5, 0, 12.0]])
    with pytest.raises(GridError, match=r"c is tilted by 2\.39° against the normal of a and b.*Oblique slabs"):
        Surface.of(tilted)
    with pytest.raises(AtomsError, match=r"1\.99 Å of vacuum along b; wanted a slab with 4 Å"):
        Surface.of(Atoms("Be", positions=[[0, 0, 0]], cell=[2.3, 1.99, 12.0], pbc=True), "b")
    with pytest.raises(AtomsError, match="vacuum"):
        Surface.of(hcp0001("Be", (1, 1, 2), vacuum=None, periodic=True), "c")
    with pytest.raises(GridError, match="'a', 'b', 'c'"):
        Surface.of(slab(2.0), "d")
    with pytest.raises(InputError, match="top or bottom"):
        Surface.of(slab(2.0), "c", "left")  # type: ignore[arg-type]
