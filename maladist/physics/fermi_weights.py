r"""Integrals of a sampled function of the energy against the Fermi function, in closed form, and the Fermi level.

Samples D(ε_i) on an equidistant grid stand for the piecewise linear function through them, D(ε) = Σ_i D_i Λ((ε−ε_i)/Δ)
with the hat Λ (so the first and last sample fall to zero one spacing outside). An integral with g(ε) is then a dot
product Σ_i w_i D_i with w_i = ∫ g Λ_i, and integrating by parts twice, a second difference (Ellis et al., Phys. Rev. B
104, 035120 (2021), Eqs. 32-33, in another form):

    w_i = [G(ε_{i+1}) − 2 G(ε_i) + G(ε_{i−1})]/Δ,   G″ = g.

With τ = k_BT, e = ε − μ, x = e/τ, f = 1/(1+e^x) and A_s(x) = −Li_s(−e^−x), whose derivative is −A_{s−1}, A_0 = f:

    g = f                               G = τ² A_2
    g = e f                             G = τ³ (x A_2 + 2 A_3)
    g = −f ln f − (1−f) ln(1−f)         G = τ² (x A_2 + 3 A_3)

For x < 0 the A_s are polynomials plus A_s(|x|). The second difference of the polynomials is taken exactly; what is left
is of the order of τ² or τ³, so nothing cancels at low temperature, however large |x| is, and at 10⁶ K only 8 digits of
16 are lost. All of it is torch in float64, on any device, and differentiable with respect to μ.

The broadening correction integrates g − c g″ in place of g, that is, takes G − c g in place of G.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from maladist.errors import GridError, InputError
from maladist.grid import EnergyGrid
from maladist.units import BOLTZMANN


class FermiWeights(NamedTuple):
    """Weights of the samples of D(ε) or d(ε, r), each (..., levels) float64.

    Attributes
    ----------
    number
        eV; number·D is the number of electrons, number·d the density.
    band
        eV²; band·D is the band energy, eV.
    entropy
        eV²; entropy·D is −TS, eV (negative).
    """

    number: Tensor
    band: Tensor
    entropy: Tensor


def fermi_weights(
    energy_grid: EnergyGrid,
    mu: float | Tensor,
    temperature: float,
    *,
    correction: bool,
    device: torch.device | str | None = None,
) -> FermiWeights:
    """Weights that integrate a DOS or LDOS to the number of electrons, the band energy and the entropy term.

    Parameters
    ----------
    energy_grid
        The samples' energies.
    mu
        Fermi level, eV; a tensor may have any shape, to which the axis of the levels is added, and may need a gradient.
    temperature
        K.
    correction
        Whether to correct for broadening and interpolation, see :func:`maladist.physics.fermi.use_correction`.
    device
        Where the weights are made; that of ``mu`` where None.

    Returns
    -------
    FermiWeights
        Accurate to 1e-12 up to 10⁴ K and to 1e-8 at 10⁶ K, for spacings of 0.1 eV or more.

    Raises
    ------
    InputError
        A temperature that is not positive and finite.
    GridError
        A correction where the broadening kernel is unknown.
    """
    tau = thermal_energy(temperature)
    delta = energy_grid.spacing
    mu, e = _energies(energy_grid, mu, device)
    c = correction_coefficient(energy_grid) if correction else 0.0
    x = e / tau
    y = _magnitude(x)
    a2, a3 = _fermi_integrals(y)

    number = _number(e, delta, tau, a2, c)
    smooth = tau**3 * (y * (a2 + math.pi**2 / 12) + 2 * a3)
    g = e * torch.sigmoid(-x)
    band = (_second_difference_of_power(e, delta, 3) + _second_difference(smooth - c * g)) / delta + mu * number
    smooth = tau**2 * (y * (a2 + math.pi**2 / 6) + 3 * a3)
    g = torch.nn.functional.softplus(-y) + y * torch.sigmoid(-y)
    entropy = -tau * _second_difference(smooth - c * g) / delta
    return FermiWeights(number, band, entropy)


def number_weights(
    energy_grid: EnergyGrid,
    mu: float | Tensor,
    temperature: float,
    *,
    correction: bool,
    device: torch.device | str | None = None,
) -> Tensor:
    """Only the weights of the number of electrons of :func:`fermi_weights`, (..., levels) float64, eV."""
    tau = thermal_energy(temperature)
    _, e = _energies(energy_grid, mu, device)
    c = correction_coefficient(energy_grid) if correction else 0.0
    return _number(e, energy_grid.spacing, tau, _fermi_integrals(_magnitude(e / tau))[0], c)


def thermal_energy(temperature: float) -> float:
    """Return k_BT in eV; refuse a temperature that is not positive and finite."""
    if not (math.isfinite(temperature) and temperature > 0):
        raise InputError("temperature", f"{temperature} K", "a positive temperature in K")
    return BOLTZMANN * temperature


def correction_coefficient(energy_grid: EnergyGrid) -> float:
    """Half the variance of the kernel and of the hat Λ, c = (s² + Δ²/6)/2, eV²."""
    if energy_grid.variance is None:
        remedy = "Give the kernel and its width, or switch the broadening correction off."
        raise GridError("broadening_kernel", "unknown", "a known kernel for the broadening correction", remedy)
    return energy_grid.variance / 2 + energy_grid.spacing**2 / 12


def _energies(grid: EnergyGrid, mu: float | Tensor, device: torch.device | str | None) -> tuple[Tensor, Tensor]:
    """μ as (..., 1), and ε − μ with one energy more at either end, (..., levels + 2)."""
    mu = torch.as_tensor(mu, dtype=torch.float64, device=device)[..., None]
    steps = torch.arange(-1, grid.levels + 1, dtype=torch.float64, device=mu.device)
    return mu, grid.origin + grid.spacing * steps - mu


def _number(e: Tensor, delta: float, tau: float, a2: Tensor, c: float) -> Tensor:
    smooth = tau**2 * torch.where(e >= 0, 1.0, -1.0) * (a2 - math.pi**2 / 12)
    g = torch.sigmoid(-e / tau)
    return (_second_difference_of_power(e, delta, 2) + _second_difference(smooth - c * g)) / delta


def _magnitude(x: Tensor) -> Tensor:
    """|x| with the derivative 1 at 0, where a Fermi level often is and torch's own has 0."""
    return torch.where(x >= 0, x, -x)


def _second_difference(values: Tensor) -> Tensor:
    return (values[..., 2:] - values[..., 1:-1]) - (values[..., 1:-1] - values[..., :-2])


def _second_difference_of_power(e: Tensor, delta: float, power: Literal[2, 3]) -> Tensor:
    """Second difference of θ(−e) e²/2 or θ(−e) e³/6 without cancellation: exact except next to the step."""
    direct = _second_difference((-e).clamp(min=0.0) ** power * (0.5 if power == 2 else -1 / 6))
    e = e[..., 1:-1]
    filled = torch.full_like(e, delta**2) if power == 2 else e * delta**2
    return torch.where(e <= -delta, filled, torch.where(e >= delta, torch.zeros_like(e), direct))


def _alternating_coefficients(n: int) -> list[float]:
    """Coefficients c_k with Σ_k (−1)^(k−1) a_k ≈ Σ_{k=1..n} c_k a_k to 2·5.8^−n for moments a_k of a positive measure.

    Algorithm 1 of Cohen, Rodriguez Villegas and Zagier, Experimental Mathematics 9, 3 (2000), in exact arithmetic.
    """
    previous, d = Fraction(1), Fraction(3)  # Chebyshev polynomials T_n(3) = ((3+√8)^n + (3−√8)^n)/2
    for _ in range(n - 1):
        previous, d = d, 6 * d - previous
    b, c, coefficients = Fraction(-1), -d, []
    for k in range(n):
        c = b - c
        coefficients.append(float(c / d))
        b *= Fraction((k + n) * (k - n)) / (Fraction(2 * k + 1, 2) * (k + 1))
    return coefficients


_COEFFICIENTS = _alternating_coefficients(24)


def _fermi_integrals(y: Tensor) -> tuple[Tensor, Tensor]:
    """A_2(y) and A_3(y) for y ≥ 0, A_s(y) = Σ_k (−1)^(k−1) e^(−ky)/k^s, to 1e-16 of A_s(0)."""
    k = torch.arange(1, len(_COEFFICIENTS) + 1, dtype=torch.float64, device=y.device)
    c = torch.tensor(_COEFFICIENTS, dtype=torch.float64, device=y.device)
    terms = torch.exp(-y[..., None] * k)
    return terms @ (c / k**2), terms @ (c / k**3)
