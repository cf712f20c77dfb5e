"""Planes of a periodic field: where they lie, what they interpolate, and how they are shaped."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from maladist.energy_grid import EnergyGrid
from maladist.grid import Grid
from maladist.report.figures import axis_names, plane_across, plane_through, with_gaps

GRID = Grid([[4.0, 0, 0], [1.0, 6.0, 0], [0, 0.5, 9.0]], (8, 9, 10))


def wave(axis: int) -> xr.DataArray:
    """A field that varies along one lattice vector only."""
    n = GRID.shape[axis]
    shape = [1, 1, 1]
    shape[axis] = n
    values = np.cos(2 * np.pi * np.arange(n) / n).reshape(shape) * np.ones(GRID.shape)
    return xr.DataArray(values, dims=("x", "y", "z"))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_between_two_planes_of_the_grid_the_field_is_interpolated_across_the_cells_end_too(axis: int) -> None:
    field, n = wave(axis), GRID.shape[axis]
    on = plane_across(field, GRID, axis, 3 / n)
    np.testing.assert_allclose(on.values, np.cos(2 * np.pi * 3 / n), atol=1e-12)
    between = plane_across(field, GRID, axis, (n - 0.25) / n)  # between the last plane and the first
    wanted = 0.25 * np.cos(2 * np.pi * (n - 1) / n) + 0.75
    np.testing.assert_allclose(between.values, wanted, atol=1e-12)
    assert between.values.shape == tuple(m for i, m in enumerate(GRID.shape) if i != axis)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_plane_keeps_lengths_and_the_angle_of_its_vectors(axis: int) -> None:
    plane = plane_across(wave(axis), GRID, axis, 0.5)
    u, v = plane.vectors
    a, b, c, d, end = plane.corners
    np.testing.assert_allclose(end, a)
    assert np.linalg.norm(b - a) == pytest.approx(np.linalg.norm(u))
    assert np.linalg.norm(d - a) == pytest.approx(np.linalg.norm(v))
    assert (b - a) @ (d - a) == pytest.approx(u @ v, abs=1e-12)
    np.testing.assert_allclose(c - b, d - a, atol=1e-12)


def test_a_slice_is_through_the_atom_nearest_to_the_middle_wherever_it_was_written() -> None:
    fractional = np.array([[0.1, 0.2, 0.3], [0.2, 3.55, -0.6], [0.9, 0.9, 0.95]])
    positions = fractional @ GRID.cell_array
    assert plane_through(GRID, positions, 2) == pytest.approx(0.4)
    assert plane_through(GRID, positions, 1) == pytest.approx(0.55)


def test_coordinates_of_a_plane_are_x_y_z_only_where_they_are() -> None:
    box = np.diag([4.0, 6.0, 9.0])
    assert [axis_names(box, k) for k in range(3)] == [("y (Å)", "z (Å)"), ("x (Å)", "z (Å)"), ("x (Å)", "y (Å)")]
    hexagonal = np.array([[2.0, 0, 0], [-1.0, np.sqrt(3.0), 0], [0, 0, 4.0]])
    assert axis_names(hexagonal, 2) == ("x (Å)", "y (Å)")
    assert axis_names(hexagonal, 0) == ("along b (Å)", "z (Å)")
    # b leans along x: what lies at x of one plane lies elsewhere in another.
    assert axis_names(hexagonal, 1) == ("along a (Å)", "z (Å)")
    assert axis_names(box[[1, 0, 2]], 2) == ("y (Å)", "x (Å)")
    assert axis_names(-box, 2) == ("along a (Å)", "normal to a (Å)")


def test_a_line_of_the_dos_is_broken_in_a_gap_of_the_energies() -> None:
    energies, dos = with_gaps(EnergyGrid.of_parts([(-9.0, 1.0, 2), (0.0, 0.5, 3)]), np.array([1, 2, 3, 4, 5]))
    np.testing.assert_array_equal(energies, [-9.0, -8.0, -4.0, 0.0, 0.5, 1.0])
    np.testing.assert_array_equal(dos, [1, 2, np.nan, 3, 4, 5])


def test_a_line_of_the_dos_goes_over_from_part_to_part_where_they_overlap() -> None:
    parts = EnergyGrid.of_parts([(-9.0, 1.0, 12), (-4.3, 0.5, 30)])
    energies, dos = with_gaps(parts, parts.values**2)
    assert np.all(np.diff(energies) > 0) and energies[0] == -9 and energies[-1] == pytest.approx(10.2)
    assert np.diff(energies).max() < 1.5
    np.testing.assert_array_equal(dos, energies**2)
