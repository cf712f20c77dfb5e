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
import warnings
from fractions import Fraction
from typing import Literal, NamedTuple, get_args

import torch
from scipy.optimize import brentq
from torch import Tensor

from maladist.errors import AccuracyWarning, EnergyWindowError, GridError, InputError
from maladist.grid import EnergyGrid
from maladist.units import BOLTZMANN

CorrectionMode = Literal["auto", "on", "off"]

LARGEST_BROADENING = 0.3
"""Largest standard deviation of a broadening, eV, at which the correction is taken without being asked for."""


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
        Whether to correct for broadening and interpolation, see :func:`use_correction`.
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
    tau = _thermal_energy(temperature)
    delta = energy_grid.spacing
    mu, e = _energies(energy_grid, mu, device)
    c = _correction_coefficient(energy_grid) if correction else 0.0
    x = e / tau
    y = x.abs()
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
    tau = _thermal_energy(temperature)
    _, e = _energies(energy_grid, mu, device)
    c = _correction_coefficient(energy_grid) if correction else 0.0
    return _number(e, energy_grid.spacing, tau, _fermi_integrals((e / tau).abs())[0], c)


def use_correction(mode: CorrectionMode, energy_grid: EnergyGrid) -> tuple[bool, str]:
    """Decide whether to correct for the broadening that the samples carry.

    Parameters
    ----------
    mode
        'on', 'off', or 'auto': where the kernel is known and both it and the spacing are narrow. The correction is
        the first term of an expansion, nonsense for a broadening of electronvolts.
    energy_grid
        The samples' energies and broadening.

    Returns
    -------
    tuple
        The decision, and its reason in words.

    Raises
    ------
    InputError
        An unknown mode.
    GridError
        'on' where the kernel is unknown.
    """
    if mode not in get_args(CorrectionMode):
        raise InputError("broadening-correction", repr(mode), "auto, on or off")
    if mode == "off":
        return False, "switched off"
    if mode == "on":
        _correction_coefficient(energy_grid)
        return True, "switched on"
    if energy_grid.variance is None:
        return False, "the broadening kernel is unknown"
    kernel, hat = math.sqrt(energy_grid.variance), energy_grid.spacing / math.sqrt(6)
    if max(kernel, hat) > LARGEST_BROADENING:
        return False, f"a broadening of {max(kernel, hat):.2g} eV is wider than {LARGEST_BROADENING} eV"
    return True, f"a {energy_grid.kernel} broadening of {kernel:.2g} eV is known and narrow"


def fermi_level(
    dos: Tensor, energy_grid: EnergyGrid, n_electrons: float, temperature: float, *, correction: bool
) -> float:
    """Fermi level at which a DOS holds the given number of electrons.

    The uncorrected N(μ) is monotone. In a gap at low temperature it is flat; the middle of the flat part is taken. The
    corrected N(μ) need not be monotone: its root nearest to the uncorrected one is taken, or the uncorrected one, with
    an AccuracyWarning, where none is within 10 k_BT + δ.

    Parameters
    ----------
    dos
        D(ε_i), (levels,), 1/eV.
    energy_grid
        Its energies.
    n_electrons
        Number of electrons.
    temperature
        K.
    correction
        Whether the weights are corrected for broadening.

    Returns
    -------
    float
        μ, eV.

    Raises
    ------
    EnergyWindowError
        The DOS cannot hold the electrons below the highest energy.
    """
    d = dos.detach().to("cpu", torch.float64)
    if d.shape != (energy_grid.levels,) or not bool(torch.isfinite(d).all()):
        raise InputError("dos", f"shape {tuple(d.shape)}", f"{energy_grid.levels} finite values, one for each energy")
    plain = _monotone_root(d, energy_grid, n_electrons, temperature)
    if not correction:
        return plain
    reach = 10 * BOLTZMANN * temperature + energy_grid.width
    root = _nearest_root(d, energy_grid, n_electrons, temperature, plain, reach)
    if root is None:
        warnings.warn(
            f"Fermi level: the corrected number of electrons does not reach {n_electrons:g} within {reach:.3g} eV of "
            f"{plain:.4f} eV; the uncorrected Fermi level is used.",
            AccuracyWarning,
            stacklevel=2,
        )
        return plain
    return root


def window_modes(
    energy_grid: EnergyGrid, temperatures: list[float], mu_low: float, mu_high: float, *, correction: bool
) -> Tensor:
    """Orthonormal basis of the span of the number weights as μ runs over a window, at all the given temperatures.

    With B this basis, a point needs to keep only B^T d (r numbers) for its density at any μ of the window:
    n = w(μ)·d = (B^T w)·(B^T d), to 1e-10 of the length of w times that of d.

    Parameters
    ----------
    energy_grid
        The samples' energies.
    temperatures
        K.
    mu_low, mu_high
        Ends of the window, eV.
    correction
        As in :func:`fermi_weights`.

    Returns
    -------
    Tensor
        B, (levels, r) float64.

    Raises
    ------
    InputError
        A window whose ends are in the wrong order.
    """
    if not mu_low <= mu_high:
        raise InputError("Fermi level's window", f"{mu_low} to {mu_high} eV", "a lower end below the upper end")
    # Every weight is analytic in μ with its nearest singularity at a distance π τ from the real axis: samples τ/4
    # apart have the whole span. Their triangular factor has their singular values, and stays small.
    triangle = torch.zeros((0, energy_grid.levels), dtype=torch.float64)
    for temperature in temperatures:
        n = max(33, math.ceil((mu_high - mu_low) / (0.25 * _thermal_energy(temperature))) + 1)
        for mus in torch.linspace(mu_low, mu_high, n, dtype=torch.float64).split(512):
            rows = number_weights(energy_grid, mus, temperature, correction=correction)
            triangle = torch.linalg.qr(torch.cat([triangle, rows]), mode="r").R
    _, singular, vectors = torch.linalg.svd(triangle, full_matrices=False)
    return vectors[singular > 1e-13 * singular[0]].T.contiguous()


def _thermal_energy(temperature: float) -> float:
    if not (math.isfinite(temperature) and temperature > 0):
        raise InputError("temperature", f"{temperature} K", "a positive temperature in K")
    return BOLTZMANN * temperature


def _correction_coefficient(energy_grid: EnergyGrid) -> float:
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
    smooth = tau**2 * torch.sign(e) * (a2 - math.pi**2 / 12)
    g = torch.sigmoid(-e / tau)
    return (_second_difference_of_power(e, delta, 2) + _second_difference(smooth - c * g)) / delta


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


_FLAT = 1e-12  # relative difference of electrons within which N(μ) counts as flat


def _monotone_root(d: Tensor, grid: EnergyGrid, n_electrons: float, temperature: float) -> float:
    """Root of the uncorrected N(μ): the middle of where it is flat."""

    def excess(mu: float, wanted: float) -> float:
        return float(number_weights(grid, mu, temperature, correction=False) @ d) - wanted

    low, high = grid.origin - 60 * _thermal_energy(temperature), float(grid.values[-1])
    few, many = n_electrons * (1 - _FLAT), n_electrons * (1 + _FLAT)
    if not (n_electrons > 0 and excess(low, few) < 0 <= excess(high, few)):
        came = (
            f"{grid.values[0]:.3f} to {high:.3f} eV, which hold {excess(high, 0):.6g} electrons at {temperature:g} K "
            f"with the Fermi level at the upper end"
        )
        remedy = "Use an LDOS whose energies reach beyond the Fermi level, or check the number of electrons."
        raise EnergyWindowError("energy grid", came, f"a window that brackets {n_electrons:g} electrons", remedy)
    first = brentq(excess, low, high, args=(few,), xtol=1e-13, rtol=1e-15)
    last = brentq(excess, low, high, args=(many,), xtol=1e-13, rtol=1e-15) if excess(high, many) > 0 else high
    return float(first + last) / 2


def _nearest_root(
    d: Tensor, grid: EnergyGrid, n_electrons: float, temperature: float, start: float, reach: float
) -> float | None:
    """Root of the corrected N(μ) nearest to ``start`` within ``reach``, by scanning outwards in steps of τ/4."""

    def excess(mu: float | Tensor) -> Tensor:
        return number_weights(grid, mu, temperature, correction=True) @ d - n_electrons

    def refined(a: float, b: float) -> float:
        return float(brentq(lambda mu: float(excess(mu)), a, b, xtol=1e-13, rtol=1e-15))

    if abs(float(excess(start))) <= _FLAT * n_electrons:
        return start
    n = math.ceil(reach / (0.25 * _thermal_energy(temperature)))
    distances = torch.linspace(0, reach, n + 1, dtype=torch.float64)
    for first in range(0, n, 256):
        roots = []
        for mu in (start - distances[first : first + 257], start + distances[first : first + 257]):
            values = excess(mu)
            crossings = torch.nonzero(values[:-1] * values[1:] <= 0).flatten().tolist()
            if crossings:
                roots.append(refined(*mu[crossings[0] : crossings[0] + 2].tolist()))
        if roots:
            return min(roots, key=lambda root: abs(root - start))
    return None
