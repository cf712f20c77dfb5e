"""The picture of an isosurface: rays end where a closed form says, on the side that a closed form says."""

from __future__ import annotations

import io

import ase
import matplotlib.image
import numpy as np
import pytest
import xarray as xr

from maladist.grid import Grid
from maladist.report.still import TURN, still, surface
from maladist.report.volume import volume_json

CELL = np.array([[4.0, 0.0, 0.0], [-1.0, 4.2, 0.3], [0.4, -0.3, 4.4]])
SHAPE = (48, 52, 56)
RADIUS = 1.2


def ball(at: float = 0.5) -> np.ndarray:
    """Minus the distance from a point of the skewed cell's diagonal: its isosurfaces are spheres."""
    fractions = np.stack(np.meshgrid(*(np.arange(n) / n for n in SHAPE), indexing="ij"), axis=-1)
    off = (fractions - at + 0.5) % 1.0 - 0.5
    return np.asarray(-np.linalg.norm(off @ CELL, axis=-1))


def rays() -> tuple[np.ndarray, np.ndarray]:
    x = np.arange(-4.0, 4.0, 0.1)
    xx, yy = np.meshgrid(x, x)
    return xx, yy


def test_rays_meet_a_sphere_where_it_is_and_it_is_blue() -> None:
    xx, yy = rays()
    depth, colours = surface(ball(), -RADIUS, CELL, xx, yy, np.linspace(5, -5, 200))
    rho = np.hypot(xx, yy)
    assert np.isfinite(depth[rho < RADIUS - 0.1]).all() and np.isinf(depth[rho > RADIUS + 0.1]).all()
    well = rho < 0.9 * RADIUS
    np.testing.assert_allclose(depth[well], np.sqrt(RADIUS**2 - rho[well] ** 2), atol=0.02)
    assert (colours[well][:, 2] > colours[well][:, 0]).all() and (colours[rho > RADIUS + 0.1] == 1).all()


def test_what_the_cell_cuts_shows_its_inside() -> None:
    """About the cell's corners eight parts of a sphere lie, whose round sides are turned from the reader or hidden."""
    xx, yy = rays()
    depth, colours = surface(ball(0.0), -RADIUS, CELL, xx, yy, np.linspace(6, -6, 400))
    nearest = max(
        np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) - 0.5,
        key=lambda f: (f @ CELL @ TURN.T)[2],
    )
    x, y, _ = nearest @ CELL @ TURN.T
    at = np.unravel_index(np.hypot(xx - x, yy - y).argmin(), xx.shape)
    assert np.isfinite(depth[at]) and colours[at][0] > colours[at][2]


@pytest.mark.parametrize("atoms", [None, ase.Atoms("Be", [[0, 0, 0]], cell=CELL, pbc=True)])
def test_the_picture_is_small_and_has_surface_and_atoms(atoms: ase.Atoms | None) -> None:
    grid = Grid(CELL.tolist(), (12, 12, 14))
    field = xr.DataArray(ball()[::4, :48:4, ::4], dims=("x", "y", "z"))
    data = volume_json(field, grid, atoms, -RADIUS, "n", "1/Å³")
    picture = still(data, pixels=120, steps=80)
    assert len(picture) < 100_000
    seen = matplotlib.image.imread(io.BytesIO(picture))[..., :3]
    blue = (seen[..., 2] > seen[..., 0] + 0.2).mean()
    green = ((seen[..., 1] > 0.5) & (seen[..., 2] < 0.2)).mean()
    assert blue > 0.02 and (green > 1e-3) == (atoms is not None)
