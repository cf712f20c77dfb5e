"""Pictures of forces: an arrow an atom that points along its force, in a cell of any shape, and sizes that add up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from maladist.arrays import Array
from maladist.errors import InputError
from maladist.prediction.result import Prediction
from maladist.report.forces import arrow_axes, size_axes
from maladist.testing import be_atoms


def of(forces: Array | None) -> Prediction:
    """A prediction of two atoms in a triclinic cell that holds nothing but these forces."""
    atoms = be_atoms()
    variables = {"position": (("atom", "xyz"), atoms.positions), "number": (("atom",), atoms.numbers)}
    if forces is not None:
        variables["forces"] = (("atom", "xyz"), forces)
    return Prediction(xr.Dataset(variables, attrs={"cell": atoms.cell.array.ravel().tolist()}), Path("none"))


def test_arrows_stand_on_the_atoms_and_point_along_their_forces() -> None:
    forces, atoms = np.array([[0.3, 0.4, 0.0], [0.0, 0.0, -1.2]]), be_atoms()
    arrows = arrow_axes(Figure().subplots(), of(forces), axis=2)
    x, y = atoms.cell.array[0], atoms.cell.array[1]
    x = x / np.linalg.norm(x)
    y = y - (y @ x) * x
    flat = np.stack([x, y / np.linalg.norm(y)])
    np.testing.assert_allclose(arrows.XY, atoms.get_scaled_positions(wrap=True) @ atoms.cell.array @ flat.T)
    np.testing.assert_allclose(np.stack([arrows.U, arrows.V], axis=1), forces @ flat.T, atol=1e-15)
    np.testing.assert_allclose(arrows.get_array(), [0.5, 1.2])
    apart = (atoms.get_volume() / 2) ** (1 / 3)
    assert 1.2 / arrows.scale == pytest.approx(apart)  # the largest is as long as atoms are apart


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_cell_has_its_twelve_edges_and_all_is_within_the_picture(axis: int) -> None:
    ax = Figure().subplots()
    arrow_axes(ax, of(np.array([[5.0, -3.0, 2.0], [0.0, 0.1, 0.0]])), axis)
    assert len(ax.lines) == 12
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    for line in ax.lines:
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        assert left < x.min() <= x.max() < right and low < y.min() <= y.max() < high


def test_a_crystal_at_rest_has_atoms_and_no_arrows() -> None:
    figure = Figure()
    one, other = figure.subplots(1, 2)
    assert np.isfinite(arrow_axes(one, of(np.zeros((2, 3))), 2).scale)
    size_axes(other, of(np.zeros((2, 3))))
    figure.canvas.draw()


def test_every_atom_is_counted_once() -> None:
    ax = Figure().subplots()
    size_axes(ax, of(np.array([[0.0, 0.0, 2.0], [0.1, 0.0, 0.0]])))
    assert sum(bar.get_height() for bar in ax.patches) == 2


def test_without_forces_it_is_said() -> None:
    with pytest.raises(InputError, match="no forces"):
        size_axes(Figure().subplots(), of(None))
