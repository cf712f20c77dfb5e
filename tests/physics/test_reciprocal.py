from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from maladist.errors import GridError
from maladist.grid import Grid
from maladist.physics.reciprocal import (
    ReciprocalSlab,
    half_shape,
    largest_cutoff,
    resolving_shape,
    to_real,
    to_reciprocal,
)
from maladist.units import RYDBERG_BOHR2

SKEWED = [[3.0, 0.2, 0.0], [-1.1, 2.7, 0.3], [0.4, 0.9, 4.1]]
SHAPES = [(6, 5, 8), (5, 6, 7)]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_plane_wave_has_one_coefficient_at_its_g(shape: tuple[int, int, int]) -> None:
    grid = Grid(SKEWED, shape)
    slab = ReciprocalSlab.whole(grid)
    r = torch.from_numpy(grid.points()).reshape(*shape, 3)
    at = (4, 1, 2)
    g = torch.stack([slab.component(axis)[at] for axis in range(3)])
    wave = to_reciprocal(torch.cos(r @ g))
    found = torch.nonzero(wave.abs() > 1e-12).tolist()
    assert list(at) in found
    assert float(wave[at].real) == pytest.approx(0.5, rel=1e-12)
    assert float(slab.squared()[at]) == pytest.approx(float(g @ g), rel=1e-13)


@pytest.mark.parametrize("shape", SHAPES)
def test_multiplicities_make_the_half_space_whole(shape: tuple[int, int, int]) -> None:
    grid = Grid(SKEWED, shape)
    field = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    squared = to_reciprocal(field).abs().square() * ReciprocalSlab.whole(grid).multiplicity()
    assert float(squared.sum()) == pytest.approx(float(field.square().mean()), rel=1e-13)  # Parseval
    torch.testing.assert_close(to_real(to_reciprocal(field), grid), field, rtol=0, atol=1e-14)


@pytest.mark.parametrize("shape", SHAPES)
def test_slabs_are_cut_out_of_the_whole(shape: tuple[int, int, int]) -> None:
    grid = Grid(SKEWED, shape)
    whole = ReciprocalSlab.whole(grid)
    cutoff = 0.7 * largest_cutoff(grid)
    nx, ny, nz = half_shape(grid)
    for (a, b), (c, d), (e, f) in product([(0, 2), (2, nx)], [(0, 3), (3, ny)], [(0, 1), (1, nz)]):
        slab = ReciprocalSlab(grid, (a, c, e), (b, d, f))
        cut = (slice(a, b), slice(c, d), slice(e, f))
        assert slab.shape == (b - a, d - c, f - e)
        assert torch.equal(slab.squared(), whole.squared()[cut])
        assert torch.equal(slab.component(1), whole.component(1)[cut])
        assert torch.equal(slab.sphere(cutoff), whole.sphere(cutoff)[cut])
        assert torch.equal(slab.multiplicity(), whole.multiplicity()[..., e:f])


def test_the_sphere_never_holds_a_nyquist_coefficient() -> None:
    sphere = ReciprocalSlab.whole(Grid(SKEWED, (6, 5, 8))).sphere(1e9)
    assert not sphere[3].any()
    assert not sphere[:, :, 4].any()
    assert sphere[:3, :, :4].all()
    assert sphere[4:, :, :4].all()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_largest_sphere_touches_no_face_of_the_box_of_g(shape: tuple[int, int, int]) -> None:
    """Every G of the sphere, aliases included, is on the grid; a slightly larger sphere has one that is not."""
    grid = Grid(SKEWED, shape)
    radius = np.sqrt(largest_cutoff(grid) / RYDBERG_BOHR2)
    m = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 3, indexing="ij"), -1).reshape(-1, 3)
    length = np.linalg.norm(m @ grid.reciprocal, axis=1)
    beyond = np.any(2 * np.abs(m) >= np.array(shape), axis=1)
    assert not beyond[length <= radius].any()
    # The bound is that of planes |m_i| = const: G of the next plane nearest to the origin need not be a lattice point.
    assert radius < length[beyond].min()


@pytest.mark.parametrize(("start", "stop"), [((0, 0, 0), (6, 5, 6)), ((2, 0, 0), (2, 5, 5)), ((-1, 0, 0), (6, 5, 5))])
def test_a_slab_outside_the_half_space_is_refused(start: tuple[int, int, int], stop: tuple[int, int, int]) -> None:
    with pytest.raises(GridError, match="slab"):
        ReciprocalSlab(Grid(SKEWED, (6, 5, 8)), start, stop)


@pytest.mark.parametrize("cutoff", [30.0, 400.0, 1361.0])
def test_fewest_points_hold_a_cutoff_and_one_less_along_any_axis_does_not(cutoff: float) -> None:
    cell = np.array([[3.1, 0.0, 0.0], [-1.5, 2.7, 0.1], [0.2, 0.0, 5.3]])
    shape = resolving_shape(cell, cutoff)
    assert largest_cutoff(Grid(cell.tolist(), shape)) >= cutoff
    for axis in range(3):
        fewer = [n - (a == axis) for a, n in enumerate(shape)]
        assert largest_cutoff(Grid(cell.tolist(), tuple(fewer))) < cutoff
