"""Variables of a result: a dim for several temperatures, null for what is not known, blocks in their order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from maladist import schema
from maladist.energy_grid import EnergyGrid
from maladist.grid import Grid
from maladist.physics.energies import Energies
from maladist.physics.fermi import fermi_states
from maladist.physics.system import System
from maladist.prediction.block import Report
from maladist.prediction.values import result_values, run_values, worker_seconds

ENERGIES = EnergyGrid(-5.0, 0.1, 121)
DOS = np.linspace(0.0, 2.0, 121)


def values_of(*temperatures: float) -> dict[str, tuple[tuple[str, ...], np.ndarray, str]]:
    grid = Grid([[4.0, 0, 0], [0, 4.0, 0], [0, 0, 4.0]], (4, 4, 4))
    numbers = np.array([4], np.int16)
    system = System(grid, np.zeros((1, 3)), numbers, {}, n_electrons=4.0, temperatures=temperatures)
    states = fermi_states(torch.as_tensor(DOS), ENERGIES, system)
    return dict(result_values(system, ENERGIES, DOS, states, Energies(1, hartree=1.5, ewald=-2.0)))


def test_at_one_temperature_scalars_have_no_dim_and_unknown_terms_are_nan() -> None:
    values = values_of(1000.0)
    assert "temperature" not in values
    assert values["hartree_eV"][0] == () and float(values["hartree_eV"][1]) == 1.5
    assert np.isnan(values["xc_eV"][1]) and np.isnan(values["total_free_energy_eV"][1])
    assert float(values["n_electrons"][1]) == pytest.approx(4.0, abs=1e-9)
    assert [name for name in values if name in schema.SCALARS] == list(schema.SCALARS)


def test_at_several_temperatures_every_scalar_has_one_value_for_each() -> None:
    values = values_of(1000.0, 5000.0)
    assert values["temperature"][1].tolist() == [1000.0, 5000.0]
    for name in schema.SCALARS:
        assert values[name][0] == ("temperature",) and values[name][1].shape == (2,)
    cold, hot = values["entropy_contribution_eV"][1]
    assert hot < cold < 0  # −TS
    assert values["dos"][1].shape == (2, 121)
    for i, t in enumerate((1000.0, 5000.0)):
        assert values_of(t)["fermi_energy_eV"][1] == values["fermi_energy_eV"][1][i]


def test_blocks_are_in_their_order_whoever_told_first_and_workers_are_numbers() -> None:
    reports = [Report(2, "tcp://b", 2.0, 3.0, 7, {"io": 1.0}), Report(0, "tcp://a", 0.0, 1.0, 5, {"io": 0.5})]
    values = run_values(reports)
    assert values["run/block"][1].tolist() == [0, 2] and values["run/worker"][1].tolist() == [0, 1]
    assert values["run/start"][1].tolist() == [0.0, 2.0]
    assert worker_seconds(reports) == 1.5
