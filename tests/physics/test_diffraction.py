"""X-ray diffraction: F(G) of Gaussians in closed form, hcp's extinctions, and a powder's lines."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from maladist.arrays import Array
from maladist.errors import GridError, InputError
from maladist.grid import Grid
from maladist.physics.diffraction import COPPER, longest_wave, powder, profile, structure_factors_of

WIDTH = 0.45  # Å


def gaussians(grid: Grid, fractional: Array, electrons: float = 2.0) -> Array:
    """Periodic sum of Gaussians, from their images in real space."""
    points = np.stack(np.meshgrid(*(np.arange(n) / n for n in grid.shape), indexing="ij"), axis=-1)
    shifts = np.stack(np.meshgrid(*(np.arange(-2, 3),) * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    n = np.zeros(grid.shape)
    for place in fractional:
        for shift in shifts:
            r = (points - place - shift) @ grid.cell_array
            n += np.exp(-np.sum(r**2, axis=-1) / (2 * WIDTH**2))
    return np.asarray(electrons * n / (2 * np.pi * WIDTH**2) ** 1.5)


def slabs(density: Array, thick: int) -> Iterator[tuple[int, Array]]:
    yield from ((a, density[a : a + thick]) for a in range(0, len(density), thick))


@pytest.mark.parametrize("thick", [5, 100])
def test_gaussians_have_the_form_factor_of_the_closed_form_in_a_skewed_cell(thick: int) -> None:
    grid = Grid([[3.4, 0, 0], [-0.9, 3.1, 0.2], [0.3, -0.2, 3.9]], (18, 16, 20))
    places = np.array([[0.1, 0.2, 0.3], [0.7, 0.55, 0.9]])
    found = structure_factors_of(slabs(gaussians(grid, places), thick), grid, 6.0)
    phases = np.exp(-2j * np.pi * found.hkl @ places.T).sum(axis=1)
    np.testing.assert_allclose(found.factor, 2 * phases * np.exp(-((found.length * WIDTH) ** 2) / 2), atol=1e-7)
    assert (np.diff(found.length) >= 0).all() and found.length[0] > 0 and found.length[-1] <= 6.0
    there = {tuple(row) for row in found.hkl.tolist()}
    assert there == {tuple(-i for i in row) for row in there}  # and all of them, as many as the sphere's volume holds
    assert len(there) == pytest.approx(4 / 3 * np.pi * 6.0**3 * grid.volume / (2 * np.pi) ** 3, rel=0.05)


@pytest.fixture(scope="module")
def hcp() -> tuple[Grid, Array]:
    a, c = 2.286, 3.584  # beryllium
    grid = Grid([[a, 0, 0], [-a / 2, a * math.sqrt(3) / 2, 0], [0, 0, c]], (18, 18, 28))
    return grid, gaussians(grid, np.array([[1 / 3, 2 / 3, 1 / 4], [2 / 3, 1 / 3, 3 / 4]]))


def test_hcp_has_its_extinctions_multiplicities_and_angles(hcp: tuple[Grid, Array]) -> None:
    grid, density = hcp
    found = structure_factors_of([(0, density)], grid, longest_wave(COPPER, 120.0))
    h, k, l = found.hkl.T  # noqa: E741
    extinct = ((h - k) % 3 == 0) & (l % 2 == 1)
    assert extinct.any() and np.abs(found.factor[extinct]).max() < 1e-7 < np.abs(found.factor[~extinct]).min()
    lines = powder(found, COPPER)
    seen = lines.intensity > 1e-9 * lines.intensity.max()
    a, c = 2.286, 3.584
    spacings = [math.sqrt(4 / 3 * m / a**2 + n * n / c**2) for m, n in ((1, 0), (0, 2), (1, 1), (1, 2), (3, 0))]
    bragg = [2 * math.degrees(math.asin(COPPER * inverse / 2)) for inverse in spacings]
    np.testing.assert_allclose(lines.two_theta[seen][:5], bragg, atol=1e-9)  # 45.8, 50.9, 52.8, 70.9 and 84.7 degrees
    assert lines.multiplicity[seen][:5].tolist() == [6, 2, 12, 12, 6]
    assert lines.hkl[seen][:4].tolist() == [[1, 0, 0], [0, 0, 2], [1, 0, 1], [1, 0, 2]]


def test_a_line_is_the_sum_of_its_waves_with_lorentz_and_polarisation(hcp: tuple[Grid, Array]) -> None:
    grid, density = hcp
    lines = powder(structure_factors_of([(0, density)], grid, 4.0), COPPER)
    g = 2 * np.pi * 2 / 3.584
    theta = math.asin(COPPER * g / (4 * np.pi))
    square = (4 * math.exp(-((g * WIDTH) ** 2) / 2)) ** 2  # both atoms in phase at (0 0 2)
    at = int(np.argmin(np.abs(lines.two_theta - 2 * math.degrees(theta))))
    exact = 2 * square * (1 + math.cos(2 * theta) ** 2) / (math.sin(theta) ** 2 * math.cos(theta))
    assert lines.intensity[at] == pytest.approx(exact, rel=1e-6)


def test_a_profile_keeps_the_lines_areas(hcp: tuple[Grid, Array]) -> None:
    grid, density = hcp
    lines = powder(structure_factors_of([(0, density)], grid, 4.2), COPPER)
    angles = np.linspace(5, 75, 7001)
    assert profile(lines, angles, 0.3).sum() * 0.01 == pytest.approx(lines.intensity.sum(), rel=1e-6)


def test_waves_that_the_grid_does_not_hold_and_angles_that_are_none_are_refused(hcp: tuple[Grid, Array]) -> None:
    grid, density = hcp
    with pytest.raises(GridError, match="at most"):
        structure_factors_of([(0, density)], grid, 30.0)
    for wavelength, angle in ((0.0, 90.0), (1.5, 180.0), (1.5, 0.0)):
        with pytest.raises(InputError):
            longest_wave(wavelength, angle)


def test_below_the_first_line_there_is_nothing(hcp: tuple[Grid, Array]) -> None:
    grid, density = hcp
    assert len(powder(structure_factors_of([(0, density)], grid, 0.5), COPPER).two_theta) == 0
