from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from maladist.energy_grid import EnergyGrid
from maladist.errors import AccuracyWarning, EnergyWindowError, GridError, InputError
from maladist.physics.broadening import broadened_dos
from maladist.physics.fermi import fermi_level, fermi_weights, number_weights, use_correction, window_modes
from maladist.units import BOLTZMANN

GRID = EnergyGrid(-5.0, 0.1, 250, "gaussian", 0.1)
E = torch.from_numpy(GRID.values)
METAL = torch.sqrt((E + 4).clamp(min=0)) * (1 + 0.3 * torch.sin(3 * E))


def electrons(dos: torch.Tensor, mu: float, temperature: float, *, correction: bool = False) -> float:
    return float(number_weights(GRID, mu, temperature, correction=correction) @ dos)


@pytest.mark.parametrize("temperature", [10.0, 300.0, 1e4, 1e6])
def test_the_fermi_level_holds_the_electrons(temperature: float) -> None:
    mu = fermi_level(METAL, GRID, 12.0, temperature, correction=False)
    assert electrons(METAL, mu, temperature) == pytest.approx(12.0, rel=1e-12)


@pytest.mark.parametrize("temperature", [10.0, 300.0, 1e4])
def test_the_corrected_fermi_level_holds_the_corrected_electrons_near_the_plain_one(temperature: float) -> None:
    plain = fermi_level(METAL, GRID, 12.0, temperature, correction=False)
    mu = fermi_level(METAL, GRID, 12.0, temperature, correction=True)
    assert electrons(METAL, mu, temperature, correction=True) == pytest.approx(12.0, rel=1e-11)
    assert 0 < abs(mu - plain) < 10 * BOLTZMANN * temperature + 0.1


def test_of_several_corrected_roots_the_nearest_to_the_plain_one_is_taken() -> None:
    """At 10 K the corrected N(μ) of a ragged DOS goes up and down in steps at every level."""
    dos = METAL * (1 + 0.9 * torch.cos(math.pi * E / GRID.spacing))
    n_electrons = electrons(dos, float(E[77]), 10.0, correction=True)  # a valley, where a step goes down
    plain = fermi_level(dos, GRID, n_electrons, 10.0, correction=False)
    mus = torch.arange(plain - 0.1, plain + 0.1, 2e-5, dtype=torch.float64)
    excess = torch.cat([number_weights(GRID, mu, 10.0, correction=True) @ dos for mu in mus.split(500)]) - n_electrons
    roots = mus[:-1][excess[:-1] * excess[1:] <= 0]
    assert len(roots) > 1, "the DOS must have several roots, or this test shows nothing"
    nearest = float(roots[(roots - plain).abs().argmin()])
    assert fermi_level(dos, GRID, n_electrons, 10.0, correction=True) == pytest.approx(nearest, abs=4e-5)


def test_without_a_corrected_root_nearby_the_plain_one_is_used_and_said() -> None:
    """One hat, a quarter filled: below its peak the correction takes 1/12 of it away, which moves μ by 0.011 eV."""
    grid = EnergyGrid(-5.0, 0.1, 250, "none")
    dos = torch.zeros(250, dtype=torch.float64)
    dos[100] = 1.0
    plain = fermi_level(dos, grid, 0.025, 10.0, correction=False)
    with pytest.warns(AccuracyWarning, match="uncorrected Fermi level is used"):
        assert fermi_level(dos, grid, 0.025, 10.0, correction=True) == plain
    assert 10 * BOLTZMANN * 10 < 0.011 < 10 * BOLTZMANN * 20
    assert fermi_level(dos, grid, 0.025, 20.0, correction=True) == pytest.approx(plain + 0.011, abs=2e-3)


@pytest.mark.parametrize("correction", [False, True])
@pytest.mark.parametrize("temperature", [10.0, 300.0])
def test_in_a_gap_the_fermi_level_is_in_its_middle(temperature: float, correction: bool) -> None:
    dos = torch.where((E > 0) & (E < 2), 1.0, 0.0).double() + torch.where(E > 6, 2.0, 0.0)
    n_electrons = float(dos[E < 4].sum()) * GRID.spacing
    mu = fermi_level(dos, GRID, n_electrons, temperature, correction=correction)
    assert mu == pytest.approx(4.0, abs=0.3)  # the tails of f reach 28 k_BT into it, unequally
    weights = fermi_weights(GRID, mu, temperature, correction=correction)
    assert float(weights.number @ dos) == pytest.approx(n_electrons, rel=1e-12)
    assert float(weights.band @ dos) == pytest.approx(float((E * dos)[E < 4].sum()) * GRID.spacing, rel=1e-11)
    assert abs(float(weights.entropy @ dos)) < 1e-10


@pytest.mark.parametrize("correction", [False, True])
@pytest.mark.parametrize("rounding", [-5e-6, 2e-7, 5e-6])
def test_in_a_gap_rounding_of_the_dos_does_not_move_the_fermi_level_to_an_edge(
    rounding: float, correction: bool
) -> None:
    """A D(ε) of single precision holds N to 1e-7 below the gap, and with coarse levels to 1e-6."""
    levels = torch.tensor([[-3.0, -1.0, 0.0, 4.6, 6.0, 7.0]], dtype=torch.float64)
    grid = EnergyGrid(-5.0, 0.15, 120, "gaussian", 0.2)
    dos = broadened_dos(levels, torch.tensor([2.0], dtype=torch.float64), grid) * (1 + rounding)
    for temperature in (300.0, 1000.0, 2000.0):
        mu = fermi_level(dos, grid, 6.0, temperature, correction=correction)
        assert mu == pytest.approx(2.3, abs=0.05)
        weights = fermi_weights(grid, mu, temperature, correction=correction)
        assert float(weights.number @ dos) == pytest.approx(6.0, rel=1e-5)
        assert float(weights.band @ dos) + mu * (6 - float(weights.number @ dos)) == pytest.approx(-8.0, abs=4e-4)
        assert abs(float(weights.entropy @ dos)) < 1e-4


def test_a_window_that_ends_in_the_gap_still_holds_all_its_electrons() -> None:
    dos = torch.where((E > 0) & (E < 2), 1.0, 0.0).double()
    n_electrons = float(dos.sum()) * GRID.spacing
    mu = fermi_level(dos, GRID, n_electrons, 300.0, correction=False)
    assert electrons(dos, mu, 300.0) == pytest.approx(n_electrons, rel=1e-11)


def test_the_fermi_level_may_lie_below_the_window_of_a_hot_dilute_gas() -> None:
    """At 10⁶ K the chemical potential is far below the bands; the window need only reach where D begins."""
    mu = fermi_level(METAL, GRID, 0.5, 1e6, correction=False)
    assert mu < GRID.origin
    assert electrons(METAL, mu, 1e6) == pytest.approx(0.5, rel=1e-12)


@pytest.mark.parametrize("n_electrons", [1e3, 0.0, -1.0, math.nan])
def test_a_window_that_does_not_bracket_the_fermi_level_is_refused_with_its_numbers(n_electrons: float) -> None:
    with pytest.raises(EnergyWindowError, match=rf"-5\.000 to 19\.900 eV.*300 K.*{n_electrons:g} electrons"):
        fermi_level(METAL, GRID, n_electrons, 300.0, correction=False)


@pytest.mark.parametrize("bad", [METAL[:-1], METAL * math.nan])
def test_a_dos_that_does_not_fit_its_energies_is_refused(bad: torch.Tensor) -> None:
    with pytest.raises(InputError, match="dos"):
        fermi_level(bad, GRID, 4.0, 300.0, correction=False)


@pytest.mark.parametrize(
    ("grid", "mode", "decision"),
    [
        (EnergyGrid(0, 0.1, 10, "gaussian", 0.1), "auto", True),
        (EnergyGrid(0, 0.1, 10, "gaussian", 0.42), "auto", True),  # s = δ/√2 = 0.297 eV
        (EnergyGrid(0, 0.1, 10, "gaussian", 0.43), "auto", False),
        (EnergyGrid(0, 0.1, 10, "fermi-derivative", 0.1), "auto", True),
        (EnergyGrid(0, 0.1, 10, "fermi-derivative", 0.2), "auto", False),  # s = πδ/√3 = 0.36 eV
        (EnergyGrid(0, 2.5, 10, "fermi-derivative", 5.0), "auto", False),
        (EnergyGrid(0, 2.5, 10, "none"), "auto", False),  # the hats themselves are too wide
        (EnergyGrid(0, 0.1, 10, "none"), "auto", True),
        (EnergyGrid(0, 0.1, 10), "auto", False),
        (EnergyGrid(0, 0.1, 10, "gaussian", 0.1), "off", False),
        (EnergyGrid(0, 2.5, 10, "fermi-derivative", 5.0), "on", True),
    ],
)
def test_when_the_broadening_is_corrected(grid: EnergyGrid, mode: str, decision: bool) -> None:
    used, reason = use_correction(mode, grid)  # type: ignore[arg-type]
    assert used is decision
    assert reason


def test_switching_the_correction_on_needs_a_known_kernel() -> None:
    with pytest.raises(GridError, match="broadening_kernel"):
        use_correction("on", EnergyGrid(0, 0.1, 10))


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(InputError, match="broadening_correction"):
        use_correction("perhaps", GRID)  # type: ignore[arg-type]


@pytest.mark.parametrize("correction", [False, True])
@pytest.mark.parametrize(
    ("temperatures", "half_width", "largest_rank"),
    [
        ([10.0], 0.1, 6),
        ([300.0], 0.1, 10),
        ([300.0], 0.3, 14),
        ([1000.0], 0.3, 16),
        ([1e4], 0.5, 12),
        ([1e5], 3.0, 9),
        ([1e6], 5.0, 5),
        ([10.0, 300.0, 1000.0, 1e4, 1e5], 0.3, 34),
    ],
)
def test_few_modes_give_the_density_at_any_fermi_level_of_the_window(
    temperatures: list[float], half_width: float, largest_rank: int, correction: bool
) -> None:
    low, high = 7.3 - half_width, 7.3 + half_width
    basis = window_modes(GRID, temperatures, low, high, correction=correction)
    assert basis.dtype == torch.float64
    assert basis.shape[1] <= largest_rank
    torch.testing.assert_close(basis.T @ basis, torch.eye(basis.shape[1], dtype=torch.float64), rtol=0, atol=1e-12)
    ldos = METAL * torch.rand((20, 250), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for temperature in temperatures:
        for mu in np.random.default_rng(2).uniform(low, high, 50):
            w = number_weights(GRID, float(mu), temperature, correction=correction)
            torch.testing.assert_close((ldos @ basis) @ (basis.T @ w), ldos @ w, rtol=1e-9, atol=0)


def test_a_window_of_one_fermi_level_has_one_mode() -> None:
    basis = window_modes(GRID, [300.0], 7.3, 7.3, correction=False)
    assert basis.shape == (250, 1)


def test_a_window_that_is_upside_down_is_refused() -> None:
    with pytest.raises(InputError, match="window"):
        window_modes(GRID, [300.0], 7.4, 7.3, correction=False)
