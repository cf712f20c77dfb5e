"""The picture of a step: both D(ε) an atom, both Fermi levels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from maladist.datasets.dft.oneshot import OneShot
from maladist.energy_grid import EnergyGrid
from maladist.errors import StoreError
from maladist.physics.energies import Energies
from maladist.report.oneshot import step_axes, write_plot


@pytest.fixture
def found() -> OneShot:
    energies, dos = EnergyGrid(-1.0, 0.5, 5, "gaussian", 0.5), np.arange(5.0)
    return OneShot(Energies(2), 0.25, np.zeros((1, 2)), np.array([2.0]), None, 0.125, energies, dos, 2 * dos)


def test_both_densities_of_states_are_drawn_an_atom(found: OneShot, tmp_path: Path) -> None:
    ax = Figure().subplots()
    step_axes(ax, found)
    store, level, step, _ = ax.lines
    np.testing.assert_allclose(store.get_ydata(), [0.0, 1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(step.get_ydata(), [0.0, 0.5, 1.0, 1.5, 2.0])
    assert list(level.get_xdata()) == [0.125, 0.125]
    assert write_plot(found, tmp_path / "dos.png").stat().st_size > 1000


def test_without_a_density_of_states_there_is_nothing_to_draw(found: OneShot) -> None:
    with pytest.raises(StoreError, match="a store without"):
        step_axes(Figure().subplots(), replace(found, energy_grid=None, dos=None, stored_dos=None))
