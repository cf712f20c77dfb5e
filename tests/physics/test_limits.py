"""What an LDOS lacks above its window: the closed form for a constant D(ε), and where it is said or refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from maladist.energy_grid import EnergyGrid
from maladist.errors import EnergyWindowError
from maladist.grid import Grid
from maladist.physics.fermi import FermiState, fermi_weights
from maladist.physics.limits import REFUSED, SAID, above, check_bottom, check_limits
from maladist.physics.system import System
from maladist.units import BOLTZMANN

SYSTEM = System(Grid([[3.0, 0, 0], [0, 3.0, 0], [0, 0, 3.0]], (4, 4, 4)), np.zeros((1, 3)), np.array([4], np.int16), {})


def state_of(temperature: float, mu: float, energies: EnergyGrid) -> FermiState:
    return FermiState(temperature, mu, fermi_weights(energies, mu, temperature, correction=False))


@pytest.mark.parametrize("temperature", [5_000.0, 20_000.0, 60_000.0])
def test_the_tail_of_a_constant_dos_is_the_integral_of_ln_one_plus_exp(temperature: float) -> None:
    energies, level, tau = EnergyGrid(-5.0, 0.1, 101), 0.7, BOLTZMANN * temperature
    dos = torch.full((101,), level, dtype=torch.float64)
    top, missing = above(dos, energies, state_of(temperature, 1.0, energies))
    assert top == pytest.approx(5.0)
    wanted = -level * tau * quad(lambda e: np.log1p(np.exp(-(e - 1.0) / tau)), top, top + 60 * tau)[0]
    assert missing == pytest.approx(wanted, rel=1e-8)


def test_a_window_that_outreaches_the_bands_ends_where_they_do() -> None:
    energies = EnergyGrid(-5.0, 0.1, 101)
    dos = torch.ones(101, dtype=torch.float64)
    dos[80:] = 0.0  # no band beyond 3 eV
    assert above(dos, energies, state_of(3000.0, 0.0, energies))[0] == pytest.approx(2.9)


def test_a_temperature_is_silent_said_or_refused_by_what_is_missing() -> None:
    energies = EnergyGrid(-5.0, 0.1, 101)
    dos = torch.ones(101, dtype=torch.float64)
    seen = set()
    for temperature in np.geomspace(300, 60_000, 40):
        state = state_of(float(temperature), 0.0, energies)
        missing = abs(above(dos, energies, state)[1])
        if missing > REFUSED:
            with pytest.raises(EnergyWindowError, match=r"levels above 5\.00 eV"):
                check_limits(dos, energies, [state], SYSTEM)
            seen.add("refused")
        else:
            notes = check_limits(dos, energies, [state], SYSTEM)
            assert len(notes) == (missing > SAID)
            seen.add("said" if notes else "silent")
    assert seen == {"silent", "said", "refused"}


def test_a_band_that_goes_on_in_a_gap_of_the_energies_is_said() -> None:
    energies = EnergyGrid.of_parts([(-30.0, 0.2, 20), (-5.0, 0.1, 101)], "gaussian", 0.2)
    dos = torch.from_numpy(np.exp(-(((energies.values + 28) / 0.5) ** 2)) + (energies.values > -4))
    state = state_of(300.0, 0.0, energies)
    assert check_limits(dos, energies, [state], SYSTEM) == []
    dos[20] = 0.1  # half a tenth of an eV of a band that begins in the gap
    (note,) = check_limits(dos, energies, [state], SYSTEM)
    assert "gap of the energies from -26.20 to -5.00 eV (0.02 electrons an atom within 0.2 eV): states" in note
    # Above the Fermi level nothing is occupied.
    assert check_limits(dos, energies, [state_of(300.0, -10.0, energies)], SYSTEM) == []


def test_a_window_that_begins_within_a_band_is_said() -> None:
    energies = EnergyGrid(-5.0, 0.1, 101)
    dos = torch.ones(101, dtype=torch.float64)
    state = state_of(300.0, 0.0, energies)
    (note,) = check_bottom(dos, energies, state, SYSTEM)
    assert "lowest energy, -5.00 eV (0.1 electrons an atom within 0.1 eV)" in note
    dos[:10] = 0.0
    assert check_bottom(dos, energies, state, SYSTEM) == []


def test_an_entropy_of_the_wrong_sign_is_told_to_mean_zero() -> None:
    energies = EnergyGrid(-5.0, 0.1, 101)
    dos = torch.ones(101, dtype=torch.float64)
    dos[45:56] = -0.5  # a network's noise in a gap
    (note,) = check_limits(dos, energies, [state_of(300.0, 0.0, energies)], SYSTEM)
    assert "it means zero" in note
