from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from mpmath import mp, mpf

from maladist.energy_grid import EnergyGrid
from maladist.errors import GridError, InputError
from maladist.physics.broadening import broadened_dos, occupation_sums
from maladist.physics.fermi_weights import (
    FermiWeights,
    fermi_weights,
    moment_weights,
    number_slopes,
    number_weights,
)
from maladist.units import BOLTZMANN

GRID = EnergyGrid(-5.0, 0.1, 200, "gaussian", 0.1)
TEMPERATURES = [10.0, 298.0, 1e3, 1160.0, 1161.0, 1e4, 1e5, 1e6]  # closed form to quadrature between 1160 and 1161 K


def integrands(mu: float, temperature: float):
    tau = mpf(BOLTZMANN) * mpf(temperature)

    def f(e):
        return 1 / (1 + mp.exp((e - mu) / tau))

    def entropy(e):
        x = abs(e - mu) / tau
        return -tau * (mp.log1p(mp.exp(-x)) + x / (mp.exp(x) + 1))

    return f, lambda e: e * f(e), entropy


def quadrature(g, level: int, mu: float, temperature: float) -> float:
    """∫ g(ε) Λ_i(ε) dε by mpmath, split where g changes."""
    mp.dps = 30
    d, e = mpf(GRID.spacing), mpf(GRID.origin) + mpf(GRID.spacing) * level
    width = mpf(BOLTZMANN) * mpf(temperature)
    near = [mpf(mu) + k * width for k in (-80, -20, -5, 0, 5, 20, 80)]
    ends = sorted({e - d, e, e + d, *(x for x in near if e - d < x < e + d)})
    return float(mp.quad(lambda x: g(x) * (1 - abs(x - e) / d), ends))


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_weights_are_the_integrals_over_the_hats(temperature: float) -> None:
    mu = 7.3456
    weights = fermi_weights(GRID, mu, temperature, correction=False)
    for level in (0, 100, 122, 123, 124, 125, 199):
        for g, w in zip(integrands(mu, temperature), weights, strict=True):
            # A few roundings of the largest energy (20 eV); thermal energies only enter the entropy (86 eV at 1e6 K).
            assert float(w[level]) == pytest.approx(quadrature(g, level, mu, temperature), rel=1e-12, abs=2e-14)


def test_weights_are_exact_where_the_energies_are_thousands_of_kt_away() -> None:
    weights = fermi_weights(GRID, 5.0, 10.0, correction=False)  # x from −11 600 to 11 500
    filled = torch.from_numpy(GRID.values) < 4.85
    empty = torch.from_numpy(GRID.values) > 5.15
    energies = torch.from_numpy(GRID.values)
    torch.testing.assert_close(weights.number[filled], torch.full_like(energies, 0.1)[filled], rtol=1e-14, atol=0)
    torch.testing.assert_close(weights.band[filled], 0.1 * energies[filled], rtol=0, atol=1e-14)
    for w in weights:
        assert float(w[empty].abs().max()) < 1e-18
    # All of the entropy of a constant DOS lies at μ: −π²τ²/3.
    assert float(weights.entropy.sum()) == pytest.approx(-(math.pi**2) / 3 * (BOLTZMANN * 10) ** 2, rel=1e-10)


@pytest.mark.parametrize("temperature", [10.0, 298.0, 1e4])
def test_the_sum_of_the_parts_obeys_thermodynamics(temperature: float) -> None:
    """At constant N, d(E_b − TS)/dμ − μ dN/dμ = 0: the grand potential's derivative is −N."""
    mu = torch.tensor(7.31, dtype=torch.float64, requires_grad=True)
    dos = 1 + 0.3 * torch.sin(torch.from_numpy(GRID.values))
    w = fermi_weights(GRID, mu, temperature, correction=False)
    grand = w.band @ dos + w.entropy @ dos - mu * (w.number @ dos)
    (slope,) = torch.autograd.grad(grand, mu)
    assert float(slope.detach()) == pytest.approx(-float((w.number @ dos).detach()), rel=1e-11)


@pytest.mark.parametrize("temperature", [10.0, 298.0, 1e4])
@pytest.mark.parametrize("mu", [7.3, 7.3456])
def test_the_gradient_in_mu_is_right_also_on_a_level(mu: float, temperature: float) -> None:
    """dN/dμ = ∫ (−f′) D, here for one sample: the Fermi level lies on a level or between two."""
    t = torch.tensor(mu, dtype=torch.float64, requires_grad=True)
    level = 123  # 7.3 eV
    (slope,) = torch.autograd.grad(number_weights(GRID, t, temperature, correction=False)[level], t)
    h = 1e-4 * BOLTZMANN * temperature
    up, down = (float(number_weights(GRID, mu + s * h, temperature, correction=False)[level]) for s in (1, -1))
    assert float(slope) == pytest.approx((up - down) / (2 * h), rel=1e-5)


@pytest.mark.parametrize("temperature", [10.0, 1e4])
def test_the_correction_is_a_second_difference_of_the_integrand(temperature: float) -> None:
    mu, c = 7.3456, 0.1**2 / 4 + 0.1**2 / 12
    plain = fermi_weights(GRID, mu, temperature, correction=False)
    corrected = fermi_weights(GRID, mu, temperature, correction=True)
    for level in (100, 123, 124, 150):
        e = GRID.origin + GRID.spacing * level
        for g, a, b in zip(integrands(mu, temperature), plain, corrected, strict=True):
            wanted = float(c * (g(mpf(e + 0.1)) - 2 * g(mpf(e)) + g(mpf(e - 0.1))) / mpf(0.1))
            assert float(a[level] - b[level]) == pytest.approx(wanted, rel=1e-9, abs=1e-14)


def test_the_correction_recovers_a_dos_before_its_broadening() -> None:
    """A quadratic DOS, broadened and sampled, integrates as before to fourth order in the broadening."""
    values, tau, mu = GRID.values, BOLTZMANN * 3000, 5.03
    broadened = torch.from_numpy(np.clip(values, -4, 14) ** 2 + 0.1**2 / 2)  # convolution of ε² with s² = δ²/2
    corrected = fermi_weights(GRID, mu, 3000.0, correction=True).number @ broadened
    plain = fermi_weights(GRID, mu, 3000.0, correction=False).number @ broadened
    lower = fermi_weights(GRID, -2.0, 300.0, correction=True).number @ broadened
    exact = (mu**3 - (-2.0) ** 3) / 3 + math.pi**2 / 3 * (tau**2 * mu - (BOLTZMANN * 300) ** 2 * -2.0)
    assert abs(float(corrected - lower) - exact) < 1e-6
    assert abs(float(plain - lower) - exact) > 1e-3


def test_several_fermi_levels_at_once() -> None:
    mus = torch.tensor([[1.0, 2.0], [7.0, 7.1]], dtype=torch.float64)
    together = fermi_weights(GRID, mus, 1000.0, correction=True)
    assert isinstance(together, FermiWeights)
    assert together.band.shape == (2, 2, 200)
    for a, b in zip(together, fermi_weights(GRID, 7.1, 1000.0, correction=True), strict=True):
        torch.testing.assert_close(a[1, 1], b, rtol=1e-14, atol=1e-16)


def test_only_the_number_is_the_same_number() -> None:
    both = fermi_weights(GRID, 7.1, 300.0, correction=True).number, number_weights(GRID, 7.1, 300.0, correction=True)
    assert torch.equal(*both)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_that_is_none_is_refused(temperature: float) -> None:
    with pytest.raises(InputError, match="temperature"):
        fermi_weights(GRID, 0.0, temperature, correction=False)


def test_a_correction_for_an_unknown_kernel_is_refused() -> None:
    with pytest.raises(GridError, match="broadening_kernel"):
        fermi_weights(EnergyGrid(0, 0.1, 10), 0.0, 300.0, correction=True)


# -- moments of −∂f/∂ε ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [10.0, 298.0, 1160.0, 1161.0, 1e4])
def test_moments_are_the_integrals_over_the_hats(temperature: float) -> None:
    mu, tau = 7.3456, mpf(BOLTZMANN) * mpf(temperature)
    weights = moment_weights(GRID, mu, temperature, correction=False)
    for level in (100, 123, 124, 125):
        for p, w in enumerate(weights):
            exact = quadrature(
                lambda e, p=p: (e - mu) ** p / (4 * tau * mp.cosh((e - mu) / 2 / tau) ** 2), level, mu, temperature
            )
            assert float(w[level]) == pytest.approx(exact, rel=1e-11, abs=1e-14)


@pytest.mark.parametrize("correction", [False, True])
@pytest.mark.parametrize("temperature", [298.0, 1e4])
def test_moments_are_what_the_weights_change_by(temperature: float, correction: bool) -> None:
    """M_0 = ∂N/∂μ, M_1 = T ∂N/∂T and M_2 = T ∂/∂T ∫ (ε − μ) f D, for the broadening correction too."""
    mu, h = 7.3456, 1e-4 * temperature
    number, band, _ = (
        (a - b) * temperature / (2 * h)
        for a, b in zip(
            *(fermi_weights(GRID, mu, temperature + s * h, correction=correction) for s in (1, -1)), strict=True
        )
    )
    wanted = number_slopes(GRID, mu, temperature, correction=correction), number, band - mu * number
    for w, exact in zip(moment_weights(GRID, mu, temperature, correction=correction), wanted, strict=True):
        torch.testing.assert_close(w, exact, rtol=0, atol=1e-7 * float(exact.abs().max()))


TWO = EnergyGrid.of_parts([(-50.0, 0.2, 31), (-6.0, 0.1, 180)], "gaussian", 0.2)
"""Semicore states around −47 eV, valence states from −3 eV on, and 38 eV without any between them."""


def piecewise(dos: np.ndarray, e: np.ndarray) -> np.ndarray:
    """D(ε) linear between the samples of each part, zero one spacing outside of it and beyond."""
    total, at = np.zeros_like(e), 0
    for part in TWO.parts:
        values, d = part.values, dos[at : at + part.levels]
        ends = np.concatenate([[values[0] - part.spacing], values, [values[-1] + part.spacing]])
        total += np.interp(e, ends, np.concatenate([[0], d, [0]]), left=0, right=0)
        at += part.levels
    return total


@pytest.mark.parametrize("temperature", [298.0, 1e4, 1e5])
def test_integrals_over_parts_are_those_of_the_function_with_its_gap(temperature: float) -> None:
    """Electrons, E_b, −TS and ∂N/∂μ of a box and a Gaussian, as dense quadrature gives them."""
    e, mu, tau = TWO.values, 2.345, BOLTZMANN * temperature
    dos = np.where(np.abs(e + 47) < 1.5, 2.0, 0.0) + 3 * np.exp(-(((e - 2) / 2.5) ** 2)) * (e > -10)
    nodes, weight = np.polynomial.legendre.leggauss(12)
    edges = np.concatenate([np.arange(-50.2, 12.1, 0.02), mu + tau * np.linspace(-60, 60, 2401)])
    edges = np.unique(np.concatenate([np.round(edges[edges < 12.1], 9), np.round(e, 9), [12.0]]))
    half = np.diff(edges) / 2
    fine, w = ((edges[:-1] + half)[:, None] + half[:, None] * nodes).ravel(), (half[:, None] * weight).ravel()
    d, y = piecewise(dos, fine), (fine - mu) / tau
    f = 0.5 * (1 - np.tanh(y / 2))
    s = np.logaddexp(0, -np.abs(y)) + np.abs(y) * 0.5 * (1 - np.tanh(np.abs(y) / 2))
    wanted = [(w * d * g).sum() for g in (f, fine * f, -tau * s, f * (1 - f) / tau)]
    number, band, entropy = fermi_weights(TWO, mu, temperature, correction=False)
    moments = moment_weights(TWO, mu, temperature, correction=False)
    slopes = number_slopes(TWO, mu, temperature, correction=False)
    found = [float(weights @ torch.from_numpy(dos)) for weights in (number, band, entropy, moments[0])]
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-10)
    assert float(slopes @ torch.from_numpy(dos)) == pytest.approx(wanted[3], rel=1e-9)


@pytest.mark.parametrize("correction", [False, True])
def test_the_weights_of_a_part_are_those_of_an_axis_of_its_own_to_the_bit(correction: bool) -> None:
    mu, halves = 2.345, TWO.parts
    for weights in (fermi_weights, moment_weights):
        both = weights(TWO, mu, 1000.0, correction=correction)
        own = [weights(part, mu, 1000.0, correction=correction) for part in halves]
        for found, *parts in zip(both, *own, strict=True):
            assert torch.equal(found, torch.cat(parts))


@pytest.mark.parametrize("temperature", [1000.0, 1e4])
@pytest.mark.parametrize("mu", [-3.1, 0.4, 4.3])
def test_overlapping_parts_integrate_as_one_axis_does(temperature: float, mu: float) -> None:
    """A band of levels that runs through the overlap, with μ below, in and above it; corrected, the sum over levels."""
    levels = torch.linspace(-5.0, 7.0, 97, dtype=torch.float64)[None]
    parts = EnergyGrid.of_parts([(-8.0, 0.2, 47), (0.0, 0.1, 100)], "gaussian", 0.2)
    one = EnergyGrid(-8.0, 0.1, 180, "gaussian", 0.2)
    weight = torch.tensor([2.0], dtype=torch.float64)
    exact = occupation_sums(levels, weight, mu, BOLTZMANN * temperature)
    found, wanted = (
        [float(w @ broadened_dos(levels, weight, grid)) for w in fermi_weights(grid, mu, temperature, correction=True)]
        for grid in (parts, one)
    )
    np.testing.assert_allclose(found, wanted, rtol=0, atol=6e-3)  # of some hundred eV
    np.testing.assert_allclose(found, exact, rtol=0, atol=2e-2)
