"""Drift and fluctuations are those of the numbers in the table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maladist import MDSettings
from maladist.dynamics.folder import read_table
from maladist.dynamics.md import propagate
from maladist.dynamics.summary import summarise
from maladist.errors import StoreError
from tests.dynamics.wells import Wells, crystal


def test_the_figures_are_those_of_the_table(tmp_path: Path) -> None:
    summary = propagate(crystal(), Wells(), tmp_path / "a", MDSettings(steps=30, timestep=3.0, every=7))
    steps = read_table(tmp_path / "a")
    energies = np.array([s.conserved_energy_eV for s in steps]) / 8 * 1e3  # meV an atom
    picoseconds = np.arange(31) * 3e-3
    assert summary.conserved_std_meV_per_atom == pytest.approx(energies.std())
    slope = np.polyfit(picoseconds, energies - energies.mean(), 1)[0]
    assert summary.conserved_drift_meV_per_atom_per_ps == pytest.approx(slope, rel=1e-6)
    assert (summary.n_atoms, summary.steps, summary.time_fs, summary.n_frames) == (8, 30, 90, 6)
    assert summary.ion_temperature_K == pytest.approx(np.mean([s.ion_temperature_K for s in steps]))
    assert summary.fermi_energy_eV is None
    assert summarise(tmp_path / "a") == summary and "too short for a drift" in str(summary)
    longer = propagate(crystal(), Wells(), tmp_path / "a", MDSettings(steps=34, timestep=3.0, every=7))
    assert "meV/atom/ps" in str(longer)


def test_no_md_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no steps\.csv"):
        summarise(tmp_path)
