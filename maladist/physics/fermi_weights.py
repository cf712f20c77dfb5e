r"""Weights that integrate a sampled function of the energy against the Fermi function, in closed form.

Samples D(ε_i) on an equidistant grid stand for the piecewise linear function through them, D(ε) = Σ_i D_i Λ((ε−ε_i)/Δ)
with the hat Λ (so the first and last sample fall to zero one spacing outside). An axis in parts is integrated part by
part: its gaps, where all hats are zero, add nothing, and where two overlap each counts with its share
(`EnergyGrid.shares`). An integral with g(ε) is then a dot
product Σ_i w_i D_i with w_i = ∫ g Λ_i, and integrating by parts twice, a second difference (Ellis et al., Phys. Rev. B
104, 035120 (2021), Eqs. 32-33, in another form):

    w_i = [G(ε_{i+1}) − 2 G(ε_i) + G(ε_{i−1})]/Δ,   G″ = g.

With τ = k_BT, e = ε − μ, x = e/τ, f = 1/(1+e^x) and A_s(x) = −Li_s(−e^−x), whose derivative is −A_{s−1}, A_0 = f:

    g = f                               G = τ² A_2
    g = e f                             G = τ³ (x A_2 + 2 A_3)
    g = −f ln f − (1−f) ln(1−f)         G = τ² (x A_2 + 3 A_3)
    g = −f′                             G = τ A_1
    g = −e f′                           G = τ² (x A_1 + 2 A_2)
    g = −e² f′                          G = τ³ (x² A_1 + 4 x A_2 + 6 A_3)

For x < 0 the A_s are polynomials plus A_s(|x|). The second difference of the polynomials is taken exactly; what is left
is of the order of τ² or τ³, so nothing cancels where τ < Δ, however large |x| is. Where τ ≥ Δ the second differences
would lose digits (8 of 16 at 10⁶ K), but g is smooth on the scale of Δ and a short Gauss quadrature is exact.
All of it is torch in float64, on any device, and differentiable with respect to μ.

The broadening correction integrates g − c g″ in place of g, that is, takes G − c g in place of G.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Literal, NamedTuple

import torch
from numpy.polynomial.legendre import leggauss
from torch import Tensor

from maladist.energy_grid import EnergyGrid
from maladist.errors import GridError, InputError
from maladist.units import BOLTZMANN


class FermiWeights(NamedTuple):
    """Weights of the samples of D(ε) or d(ε, r), each (..., levels) float64.

    Attributes
    ----------
    number
        Weights of the number of electrons, eV: number·D is that number, number·d the density.
    band
        Weights of the band energy, eV²: band·D is E_b, eV.
    entropy
        Weights of the entropy, eV²: entropy·D is −TS, eV (negative).
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
        Energies of the samples.
    mu
        Fermi level, eV; a tensor may have any shape, to which the axis of the levels is added, and may need a gradient.
    temperature
        Temperature of the electrons, K.
    correction
        Whether to correct for broadening and interpolation, see :func:`maladist.physics.fermi.use_correction`.
    device
        Device that the weights are made on; that of ``mu`` where None.

    Returns
    -------
    FermiWeights
        The weights, exact to 1e-14 of the largest, at any temperature.

    Raises
    ------
    InputError
        The temperature is not positive and finite.
    GridError
        The correction is wanted and the broadening kernel is unknown.
    """
    mu = torch.as_tensor(mu, dtype=torch.float64, device=device)[..., None]
    number, band, entropy = _by_parts((_NUMBER, _BAND, _ENTROPY), energy_grid, mu, temperature, correction)
    return FermiWeights(number, band + mu * number, entropy)


def number_weights(
    energy_grid: EnergyGrid,
    mu: float | Tensor,
    temperature: float,
    *,
    correction: bool,
    device: torch.device | str | None = None,
) -> Tensor:
    """Only the weights of the number of electrons of :func:`fermi_weights`, (..., levels) float64, eV."""
    mu = torch.as_tensor(mu, dtype=torch.float64, device=device)[..., None]
    return _by_parts((_NUMBER,), energy_grid, mu, temperature, correction)[0]


def moment_weights(energy_grid: EnergyGrid, mu: float, temperature: float, *, correction: bool) -> Tensor:
    """Weights of the moments M_p = ∫ (ε − μ)^p (−∂f/∂ε) D(ε) dε, p = 0, 1, 2; arguments of `fermi_weights`.

    Returns
    -------
    Tensor
        (3, levels) float64, eV^p: what they give of D(ε) is in eV^(p−1), and M_0 is ∂N/∂μ at fixed T.
    """
    at = torch.tensor([mu], dtype=torch.float64)
    return torch.stack(_by_parts(_MOMENTS, energy_grid, at, temperature, correction))


def number_slopes(energy_grid: EnergyGrid, mu: float, temperature: float, *, correction: bool) -> Tensor:
    """Change of the number weights with the Fermi level, ∂w/∂μ, (levels,) float64; arguments of `fermi_weights`."""

    # The derivative of (v·∂w/∂μ) by v: forward differentiation by two backward ones, in place of one for each level.
    at = torch.tensor(mu, dtype=torch.float64, requires_grad=True)
    v = torch.zeros(energy_grid.levels, dtype=torch.float64, requires_grad=True)
    with torch.enable_grad():
        weights = number_weights(energy_grid, at, temperature, correction=correction)
        (along,) = torch.autograd.grad(weights @ v, at, create_graph=True)
        return torch.autograd.grad(along, v)[0]


def thermal_energy(temperature: float) -> float:
    """Return k_BT in eV; refuse a temperature that is not positive and finite."""
    if not (math.isfinite(temperature) and temperature > 0):
        raise InputError("temperature", f"{temperature} K", "a positive temperature in K")
    return BOLTZMANN * temperature


def correction_coefficient(energy_grid: EnergyGrid) -> float:
    """Half the variance of the kernel and of the hat Λ, c = (s² + Δ²/6)/2, eV², of an axis of one part."""
    if energy_grid.variance is None:
        remedy = "Give the kernel and its width, or switch the broadening correction off."
        raise GridError("broadening_kernel", "unknown", "a known kernel for the broadening correction", remedy)
    return energy_grid.variance / 2 + energy_grid.spacing**2 / 12


def _by_parts(
    integrals: Sequence[_Integral], grid: EnergyGrid, mu: Tensor, temperature: float, correction: bool
) -> list[Tensor]:
    """Weights of each integral, (..., levels); μ is (..., 1)."""
    tau, found = thermal_energy(temperature), list[list[Tensor]]()
    for part in grid.parts:
        c = correction_coefficient(part) if correction else 0.0
        # One more at either end: a second difference at the first and the last level needs them.
        steps = torch.arange(-1, part.levels + 1, dtype=torch.float64, device=mu.device)
        e = part.origin + part.spacing * steps - mu
        found.append([_weights(integral, e, tau, part.spacing, c) for integral in integrals])
    every = [torch.cat(weights, dim=-1) for weights in zip(*found, strict=True)]
    # Of one part no shares are less than 1: its weights keep their bits.
    return [weights * torch.as_tensor(grid.shares, device=mu.device) for weights in every] if grid.further else every


class _Integral(NamedTuple):
    """One of the integrals.

    Attributes
    ----------
    integrand
        g(e, τ).
    smooth
        G(e, τ, y, A_2(y), A_3(y)), y = |x|, without its polynomial for e < 0 and without terms linear in e.
    power
        The polynomial is |e|^p/p! up to its sign, in the case of 0 there is none.
    """

    integrand: Callable[[Tensor, float], Tensor]
    smooth: Callable[[Tensor, float, Tensor, Tensor, Tensor], Tensor]
    power: Literal[0, 1, 2, 3]


def _occupation(e: Tensor, tau: float) -> Tensor:
    return torch.sigmoid(-e / tau)


def _minus_ts(e: Tensor, tau: float) -> Tensor:
    y = _magnitude(e / tau)
    return -tau * (torch.nn.functional.softplus(-y) + y * torch.sigmoid(-y))


def _smooth_number(e: Tensor, tau: float, _: Tensor, a2: Tensor, __: Tensor) -> Tensor:
    half = tau**2 * (a2 - math.pi**2 / 12)
    return torch.where(e >= 0, half, -half)


_NUMBER = _Integral(_occupation, _smooth_number, 2)
_BAND = _Integral(
    lambda e, tau: e * _occupation(e, tau),
    lambda _, tau, y, a2, a3: tau**3 * (y * (a2 + math.pi**2 / 12) + 2 * a3),
    3,
)
_ENTROPY = _Integral(_minus_ts, lambda _, tau, y, a2, a3: -(tau**3) * (y * (a2 + math.pi**2 / 6) + 3 * a3), 0)


def _slope(e: Tensor, tau: float) -> Tensor:
    half = torch.exp(-_magnitude(e / tau) / 2)  # −f′ = e^(−y)/(1 + e^(−y))²/τ; no overflow
    return (half / (1 + half * half)) ** 2 / tau


def _smooth_first(e: Tensor, tau: float, y: Tensor, a2: Tensor, _: Tensor) -> Tensor:
    half = tau**2 * (2 * a2 + y * _a1(y) - math.pi**2 / 6)
    return torch.where(e >= 0, half, -half)


_MOMENTS = (
    _Integral(_slope, lambda _, tau, y, __, ___: tau * _a1(y), 1),
    _Integral(lambda e, tau: e * _slope(e, tau), _smooth_first, 0),
    _Integral(
        lambda e, tau: e * e * _slope(e, tau),
        lambda _, tau, y, a2, a3: tau**3 * (y * y * _a1(y) + y * (4 * a2 + math.pi**2 / 6) + 6 * a3),
        0,
    ),
)


def _a1(y: Tensor) -> Tensor:
    """A_1(y) = ln(1 + e^(−y))."""
    return torch.nn.functional.softplus(-y)


def _weights(integral: _Integral, e: Tensor, tau: float, delta: float, c: float) -> Tensor:
    """∫ (g − c g″) Λ_i for the energies e, whose first and last only serve their neighbours."""
    correction = _second_difference(integral.integrand(e, tau)) * (c / delta)
    # Where τ ≥ Δ second differences of the closed form lose digits: see the module's head.
    if delta <= tau:
        return _by_quadrature(integral, e[..., 1:-1], tau, delta) - correction
    y = _magnitude(e / tau)
    plain = _second_difference(integral.smooth(e, tau, y, *_fermi_integrals(y)))
    if integral.power:
        plain = plain + _second_difference_of_power(e, delta, integral.power)
    return plain / delta - correction


def _by_quadrature(integral: _Integral, e: Tensor, tau: float, delta: float) -> Tensor:
    """∫ g Λ_i by eight Gauss points on either side: g is analytic within πτ ≥ πΔ of the real axis, so to 1e-16."""
    total = torch.zeros_like(e)
    # Symmetric about the level: the two halves of the hat share the points.
    for x, weight in zip(*leggauss(8), strict=True):
        t, w = (1 + float(x)) / 2, (1 - float(x)) / 4 * float(weight) * delta
        total = total + w * (integral.integrand(e + t * delta, tau) + integral.integrand(e - t * delta, tau))
    return total


def _magnitude(x: Tensor) -> Tensor:
    """|x| with the derivative 1 at 0, where a Fermi level often is and torch's own has 0."""
    return torch.where(x >= 0, x, -x)


def _second_difference(values: Tensor) -> Tensor:
    return (values[..., 2:] - values[..., 1:-1]) - (values[..., 1:-1] - values[..., :-2])


def _second_difference_of_power(e: Tensor, delta: float, power: Literal[1, 2, 3]) -> Tensor:
    """Second difference of −θ(−e) e, θ(−e) e²/2 or θ(−e) e³/6 without cancellation: exact except next to the step."""
    # Next to the step the polynomial changes its form: there, and only there, the plain difference is taken.
    direct = _second_difference((-e).clamp(min=0.0) ** power * {1: 1.0, 2: 0.5, 3: -1 / 6}[power])
    e = e[..., 1:-1]
    filled = {1: torch.zeros_like(e), 2: torch.full_like(e, delta**2), 3: e * delta**2}[power]
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
    # Never above 1, since y ≥ 0: nothing overflows.
    terms = torch.exp(-y[..., None] * k)
    return terms @ (c / k**2), terms @ (c / k**3)
