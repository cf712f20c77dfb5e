"""A volume for a browser: means are kept, bricks are as deep as they are wide, atoms stay where they are."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
import xarray as xr
from ase import Atoms

from maladist.grid import Grid
from maladist.report import volume
from maladist.report.volume import coarse_shape, coarsen, volume_json
from maladist.testing import be_atoms

CELL = [[4.0, 0, 0], [1.0, 6.0, 0], [0, 0.5, 9.0]]


@pytest.mark.parametrize("slab", [1, 500, 2**22])
def test_the_mean_of_the_samples_weighed_by_their_points_is_that_of_the_field(
    slab: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volume, "_SLAB", slab)
    values = np.random.default_rng(0).random((13, 11, 17))
    coarse = coarsen(xr.DataArray(values, dims=("x", "y", "z")), (4, 11, 5))
    edges = [
        np.diff(np.round(np.linspace(0, n, m + 1)).astype(int)) for n, m in zip((13, 11, 17), (4, 11, 5), strict=True)
    ]
    weights = edges[0][:, None, None] * edges[1][:, None] * edges[2]
    assert (coarse * weights).sum() == pytest.approx(values.sum(), rel=1e-12)
    np.testing.assert_allclose(coarse[0, 0, 0], values[: edges[0][0], 0, : edges[2][0]].mean(), rtol=1e-12)


def test_samples_are_as_far_apart_in_each_direction_and_no_finer_than_the_grid() -> None:
    shape = coarse_shape(Grid(CELL, (400, 600, 900)), 5000)
    lengths = np.linalg.norm(CELL, axis=1)
    spacing = lengths / np.array(shape)
    assert spacing.max() / spacing.min() < 1.1
    assert np.prod(shape) == pytest.approx(5000, rel=0.15)
    assert coarse_shape(Grid(CELL, (3, 2, 5)), 5000) == (3, 2, 5)


def test_sixteen_bits_give_the_field_back_and_an_atom_is_at_its_own_maximum() -> None:
    """Bricks' means belong to their middles: without that the atom would lie beside its density by half a brick."""
    grid = Grid([[8.0, 0, 0], [0, 8.0, 0], [0, 0, 8.0]], (64, 64, 64))
    atoms = Atoms("Be", positions=[[2.03, 4.0, 6.1]], cell=grid.cell_array, pbc=True)
    apart = (grid.points() - atoms.positions[0] + 4.0) % 8.0 - 4.0
    n = np.exp(-(apart**2).sum(axis=1)).reshape(grid.shape)
    told = json.loads(volume_json(xr.DataArray(n, dims=("x", "y", "z")), grid, atoms, most=16**3))
    shape = told["shape"]
    whole = np.frombuffer(base64.b64decode(told["samples"]), "<u2").reshape(shape)
    samples = told["low"] + whole / 65535 * (told["high"] - told["low"])
    np.testing.assert_allclose(
        samples, coarsen(xr.DataArray(n, dims=("x", "y", "z")), tuple(shape)), atol=told["high"] / 65535
    )
    (place,) = (np.array(a[0]) for a in told["atoms"])
    nearest = np.round(place * shape).astype(int) % shape
    assert samples[tuple(nearest)] == samples.max()
    assert told["low"] < told["level"] < told["high"]


def test_a_constant_field_does_not_divide_by_zero() -> None:
    grid = Grid(CELL, (4, 4, 4))
    told = json.loads(volume_json(xr.DataArray(np.full((4, 4, 4), 2.0), dims=("x", "y", "z")), grid))
    assert told["low"] == told["high"] == 2.0 and told["atoms"] == []


def test_samples_and_atoms_stay_together_in_a_skewed_cell() -> None:
    """A Gaussian around an atom has its largest sample where the viewer draws the atom."""
    grid = Grid(be_atoms().cell.array.tolist(), (48, 48, 64))
    centre = np.array([0.30, 0.70, 0.25])
    f = grid.points() @ np.linalg.inv(grid.cell_array) - centre
    r2 = (((f + 0.5) % 1 - 0.5) @ grid.cell_array) ** 2
    field = xr.DataArray(np.exp(-r2.sum(axis=1) / 0.18).reshape(grid.shape), dims=("x", "y", "z"))
    said = json.loads(volume_json(field, grid, Atoms("H", [centre @ grid.cell_array]), most=20**3))
    samples = np.frombuffer(base64.b64decode(said["samples"]), "<u2").reshape(said["shape"])
    top = np.array(np.unravel_index(samples.argmax(), samples.shape)) / samples.shape
    off = np.abs((top - said["atoms"][0][0] + 0.5) % 1 - 0.5) * said["shape"]
    assert off.max() <= 0.5 + 1e-3  # no farther than half a sample: the maximum is the nearest one
