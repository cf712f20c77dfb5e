"""Bader's basins: closed forms, no trace of the grid's axes or of the blocks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from maladist.errors import WorkerTooSmallError
from maladist.grid import Block, Grid
from maladist.physics import bader as module
from maladist.physics.bader import Read, bader, facets
from maladist.physics.partition import Partition
from maladist.testing import be_atoms

CUBE = np.eye(3).tolist()
FCC = [[0.0, 2.0, 2.0], [2.0, 0.0, 2.0], [2.0, 2.0, 0.0]]
SHEARED = [[1.0, 0.0, 0.0], [3.0, 1.0, 0.0], [2.0, -2.0, 1.0]]  # the cube's lattice


def reader(values: np.ndarray) -> Read:
    def read(first: np.ndarray, size: np.ndarray) -> np.ndarray:
        at = (np.arange(a, a + m) % n for a, m, n in zip(first, size, values.shape, strict=True))
        return values[np.ix_(*at)]

    return read


def sums(values: np.ndarray, grid: Grid, block: Block | None = None) -> dict[int, np.ndarray]:
    """Integral of the values and volume of each basin, by its maximum."""
    block = grid.whole if block is None else block
    found: Partition = bader(reader(values), grid, block)
    n = values[block.slices].ravel()
    totals = found.sums(np.stack([n, np.ones_like(n)], axis=1)) * grid.voxel_volume
    return dict(zip(found.labels.tolist(), totals, strict=True))


def random_density(shape: tuple[int, int, int]) -> np.ndarray:
    """A smooth periodic density with tens of maxima."""
    rng = np.random.default_rng(4)
    waves = np.fft.rfftn(rng.standard_normal(shape))
    k = np.meshgrid(*[np.fft.fftfreq(n, 1 / n) for n in shape[:2]], np.arange(shape[2] // 2 + 1), indexing="ij")
    return 1 + np.fft.irfftn(waves * np.exp(-sum(x**2 for x in k) / 12), s=shape, axes=(0, 1, 2))


@pytest.mark.parametrize(
    ("cell", "shape", "neighbours"),
    [
        (CUBE, (9, 9, 9), 6),
        (FCC, (8, 8, 8), 12),
        (SHEARED, (5, 5, 5), 6),
        (be_atoms().cell.array.tolist(), (9, 9, 14), 14),
    ],
)
def test_facets_close_the_cell_of_a_point(
    cell: list[list[float]], shape: tuple[int, int, int], neighbours: int
) -> None:
    """Gauss: Σ a/l · l_i l_j = 2 Ω δ_ij, as the middle of each facet is half way."""
    grid = Grid(cell, shape)
    found = facets(grid)
    away = found.offsets / np.array(shape) @ grid.cell_array
    assert len(found.ratios) == neighbours
    np.testing.assert_allclose(away.T * found.ratios @ away, 2 * grid.voxel_volume * np.eye(3), atol=1e-12)


def wave(t: float | np.ndarray) -> float | np.ndarray:
    """Two unequal maxima in a period."""
    return 1 + 0.35 * np.cos(2 * np.pi * t) + 0.5 * np.cos(4 * np.pi * t + 0.7)


def exact(lengths: tuple[float, float, float]) -> np.ndarray:
    """Integrals over the eight basins of f(x) + f(y) + f(z), whose faces are the planes of the minima of f."""
    options = {"xatol": 1e-12}
    at = [minimize_scalar(wave, bounds=b, method="bounded", options=options).x for b in ((0, 0.5), (0.4, 0.9))]
    ends = [(at[0], at[1]), (at[1], at[0] + 1)]
    integral, width = [quad(wave, *e)[0] for e in ends], [b - a for a, b in ends]
    corners = np.stack(np.meshgrid(*[[0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    totals = [
        sum(integral[c[i]] * np.prod([width[c[j]] for j in range(3) if j != i]) for i in range(3)) for c in corners
    ]
    return np.sort(totals) * np.prod(lengths)


def test_basins_of_a_closed_form_are_found_with_the_square_of_the_spacing() -> None:
    lengths, wanted, off = (3.0, 3.6, 4.2), exact((3.0, 3.6, 4.2)), []
    for n in (12, 48):
        grid = Grid(np.diag(lengths).tolist(), (n, n + 2, n + 4))
        x, y, z = (wave(np.arange(m) / m) for m in grid.shape)
        found = sums(x[:, None, None] + y[:, None] + z, grid)
        assert len(found) == 8
        off.append(np.abs(np.sort([s[0] for s in found.values()]) - wanted).max())
    assert off[1] < 0.004 * wanted[0] and off[0] / off[1] > 12


def test_a_cell_in_other_vectors_of_the_same_lattice_has_the_same_basins() -> None:
    """The points are the same, under other indices."""
    n, values = 12, random_density((12, 12, 12))
    index = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), axis=-1) @ np.array(SHEARED, dtype=int) % n
    other = values[tuple(np.moveaxis(index, -1, 0))]
    straight, sheared = sums(values, Grid(CUBE, (n,) * 3)), sums(other, Grid(SHEARED, (n,) * 3))
    assert len(straight) > 3
    np.testing.assert_allclose(np.sort([s[0] for s in sheared.values()]), np.sort([s[0] for s in straight.values()]))


@pytest.mark.parametrize("margin", [0.2, 3.0])
def test_any_blocks_give_the_same_basins_whatever_the_first_window(
    margin: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MARGIN", margin)
    grid = Grid(be_atoms((4, 4, 2)).cell.array.tolist(), (30, 28, 26))
    values = random_density(grid.shape)
    whole, together = sums(values, grid), dict[int, np.ndarray]()
    blocks = grid.blocks((15, 28, 13))
    assert len(blocks) == 4 and len(whole) > 10
    for block in blocks:
        for label, part in sums(values, grid, block).items():
            together[label] = together.get(label, 0) + part
    assert together.keys() == whole.keys()
    # What is lost at a window's end is a 1e-10 of a point.
    np.testing.assert_allclose([together[k] for k in whole], list(whole.values()), rtol=1e-9)
    assert sum(s[0] for s in whole.values()) == pytest.approx(values.sum() * grid.voxel_volume, rel=1e-13)
    assert sum(s[1] for s in whole.values()) == pytest.approx(grid.volume, rel=1e-13)


def test_atoms_that_a_symmetry_maps_on_one_another_have_the_same_basins() -> None:
    """Of two Gaussians; points on the plane between them belong to both in equal parts."""
    grid = Grid([[4, 0, 0], [0, 4, 0], [0, 0, 8]], (16, 16, 32))
    values = np.zeros(grid.n_points)
    for z in (2.0, 6.0):
        for shift in (-8, 0, 8):
            values += np.exp(-((grid.points() - [2, 2, z + shift]) ** 2).sum(axis=1) / 2)
    found = list(sums(values.reshape(grid.shape), grid).values())
    assert len(found) == 2
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)
    assert found[0][1] == pytest.approx(64, rel=1e-12)


def test_a_window_without_room_is_refused_with_what_it_needs() -> None:
    values = random_density((20, 20, 20))
    with pytest.raises(WorkerTooSmallError, match="20×20×20 points"):
        bader(reader(values), Grid(CUBE, (20, 20, 20)), Block(0, (0, 0, 0), (5, 5, 5)), 7999)


def test_a_vacuum_is_one_part_and_no_basin_of_each_of_its_points() -> None:
    """A slab in a vacuum whose density is zero, or noise below the threshold, as a prediction has it."""
    grid = Grid([[3, 0, 0], [0, 3, 0], [0, 0, 20]], (8, 8, 60))
    z, noise = grid.points()[:, 2], np.random.default_rng(0).uniform(0, 1e-7, grid.n_points)
    x, y = (np.cos(2 * np.pi * grid.points()[:, i] / 3) for i in (0, 1))
    values = np.where(np.abs(z - 10) < 5, np.exp(-((z - 10) ** 2)) * (3 + x + y), noise).reshape(grid.shape)
    found = sums(values, grid)
    assert len(found) == 2 and module.IN_VACUUM in found
    empty = values <= module.VACUUM
    assert found[module.IN_VACUUM][1] == pytest.approx(empty.sum() * grid.voxel_volume)
    in_blocks = [sums(values, grid, block).get(module.IN_VACUUM, np.zeros(2)) for block in grid.blocks((8, 8, 11))]
    np.testing.assert_allclose(sum(in_blocks), found[module.IN_VACUUM])


def test_two_gaussians_in_an_oblique_cell_have_the_charges_of_the_near_grid_method() -> None:
    """By pybader 0.3.12, after Tang, Sanville and Henkelman (J. Phys.: Condens. Matter 21, 084204, 2009).

    It gives 3.9373 of 4 + 2 electrons at 40³ points and 3.9378 at 80³; here 3.9353 and 3.9368, which go to 3.9373.
    """
    cell, n = np.array([[5.0, 0.0, 0.0], [1.5, 4.5, 0.0], [-0.8, 1.2, 5.5]]), 40
    grid = Grid(cell.tolist(), (n, n, n))
    values, points = np.zeros(grid.n_points), grid.points()
    for position, electrons, width in (([1.0, 1.0, 1.0], 4.0, 0.9), ([3.4, 3.2, 3.6], 2.0, 0.55)):
        for shift in np.stack(np.meshgrid(*[np.arange(-1, 2)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) @ cell:
            away = ((points - position - shift) ** 2).sum(axis=1)
            values += electrons * (2 * np.pi * width**2) ** -1.5 * np.exp(-away / (2 * width**2))
    found = [s[0] for s in sums(values.reshape(grid.shape), grid).values()]
    np.testing.assert_allclose(found, [3.9373, 2.0627], atol=0.003)
