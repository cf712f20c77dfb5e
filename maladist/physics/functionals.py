"""Exchange-correlation energies per volume as pointwise functions of ρ and σ = |∇ρ|², unpolarised.

Sources: Perdew and Zunger, Phys. Rev. B 23, 5048 (1981), Appendix C; Perdew and Wang, Phys. Rev. B 45, 13244 (1992),
Eq. 10 with A = 0.0310907; Perdew, Burke and Ernzerhof, Phys. Rev. Lett. 77, 3865 (1996).
Inside, Hartree atomic units; outside, Å and eV.

Densities at or below 1e-10 bohr⁻³, negative ones included, have no energy and no potential: the ripples of a Fourier
series or of a network there stay without effect, and nothing is ever divided by zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple, get_args

import torch
from torch import Tensor

from maladist.choices import Functional
from maladist.errors import InputError
from maladist.units import BOHR, HARTREE

VANISHING: Final = 1e-10
"""Density (bohr⁻³) at and below which a point has no exchange-correlation energy."""

_BATCH = 1 << 17


class Derivatives(NamedTuple):
    """Energy per volume and its derivatives with respect to ρ and σ; the last is None without gradients."""

    energy: Tensor
    by_density: Tensor
    by_sigma: Tensor | None


def needs_gradient(functional: Functional) -> bool:
    """Whether a functional needs σ."""
    return _entry(functional)[1]


def energy_density(functional: Functional, density: Tensor, sigma: Tensor | None = None) -> Tensor:
    """Exchange-correlation energy per volume, point by point.

    Parameters
    ----------
    functional
        'pbe', 'pw92' or 'pz'.
    density
        Density ρ, float64, any shape, 1/Å³.
    sigma
        Squared gradient |∇ρ|², the same shape, 1/Å⁸; needed by 'pbe', not looked at by the others.

    Returns
    -------
    Tensor
        Energy per volume, of the same shape, eV/Å³; differentiable in both.

    Raises
    ------
    InputError
        The functional is unknown, or there is no gradient where one is needed.
    """
    function, gradient = _entry(functional)
    if gradient and sigma is None:
        raise InputError("sigma", "None", f"|∇ρ|² for {functional}")
    rho = density * BOHR**3
    # In atomic units, in which the limit is given.
    there = rho > VANISHING
    # 1 in place of what vanishes: neither the value nor the gradient of what is thrown away may be NaN.
    rho = torch.where(there, rho, 1.0)
    s = torch.where(there, sigma * BOHR**8, 0.0) if gradient and sigma is not None else rho
    return torch.where(there, function(rho, s), 0.0) * (HARTREE / BOHR**3)


def derivatives(functional: Functional, density: Tensor, sigma: Tensor | None = None) -> Derivatives:
    """Energy per volume and its pointwise derivatives; takes and gives plain tensors without a graph."""
    fields = [density, *([sigma] if needs_gradient(functional) and sigma is not None else [])]
    # A batch at a time: autograd keeps some sixty arrays of what it differentiates.
    parts = [_derivatives(functional, *b) for b in zip(*(f.reshape(-1).split(_BATCH) for f in fields), strict=True)]
    energy, *gradients = (torch.cat(column).reshape(density.shape) for column in zip(*parts, strict=True))
    return Derivatives(energy, gradients[0], gradients[1] if len(gradients) > 1 else None)


def _derivatives(functional: Functional, *fields: Tensor) -> list[Tensor]:
    """Members of `Derivatives` for a batch of points."""
    variables = [f.detach().requires_grad_() for f in fields]
    with torch.enable_grad():
        energy = energy_density(functional, *variables)
        return [energy.detach(), *torch.autograd.grad(energy.sum(), variables)]


def integrate(
    functional: Functional, density: Tensor, valence: Tensor, sigma: Tensor | None = None, overlap: Tensor | None = None
) -> Tensor:
    """Sums over points of e_xc(ρ, σ) and of v_xc n, a batch of points at a time.

    Σ v_xc n = d/dλ E_xc[ρ + λn] at λ = 0 = Σ (∂e/∂ρ) n + 2 (∂e/∂σ) ∇ρ·∇n needs no divergence, and so no transform more.

    Parameters
    ----------
    functional
        'pbe', 'pw92' or 'pz'.
    density
        Density ρ = n + n_core, any shape, 1/Å³.
    valence
        Valence density n, the same shape, 1/Å³.
    sigma, overlap
        Products |∇ρ|² and ∇ρ·∇n, the same shape, 1/Å⁸; only for functionals that need them.

    Returns
    -------
    Tensor
        The two sums, (2,) float64, eV/Å³: to be multiplied by the volume of a point. Sums of parts of a grid add up.
    """
    fields = [density, valence, *([sigma, overlap] if sigma is not None and overlap is not None else [])]
    total = torch.zeros(2, dtype=torch.float64, device=density.device)
    # A batch at a time: autograd keeps some ten arrays of what it differentiates.
    for rho, n, *gradients in zip(*(f.detach().reshape(-1).split(_BATCH) for f in fields), strict=True):
        energy, by_density, by_sigma = derivatives(functional, rho, gradients[0] if gradients else None)
        potential = by_density * n
        if by_sigma is not None:
            potential = potential + 2 * by_sigma * gradients[1]
        total += torch.stack([energy.sum(), potential.sum()])
    return total


class Response(NamedTuple):
    """Pointwise derivatives of e(ρ, σ), and of t(ρ, σ) = e_ρ n + 2 e_σ ∇ρ·∇n, the integrand of ∫ v_xc n.

    Attributes
    ----------
    energy, potential
        e and t.
    e_density, e_sigma
        e_ρ and e_σ; the latter None without gradients.
    t_density, t_sigma
        t_ρ and t_σ at fixed n and ∇ρ·∇n; the latter None without gradients.
    """

    energy: Tensor
    potential: Tensor
    e_density: Tensor
    t_density: Tensor
    e_sigma: Tensor | None = None
    t_sigma: Tensor | None = None


def response(
    functional: Functional, density: Tensor, valence: Tensor, sigma: Tensor | None = None, overlap: Tensor | None = None
) -> Response:
    """What the derivatives of E_xc and ∫ v_xc n are made of, point by point; parameters are those of `integrate`."""
    fields = [density, valence, *([sigma, overlap] if sigma is not None and overlap is not None else [])]
    parts = [_response(functional, *b) for b in zip(*(f.reshape(-1).split(_BATCH) for f in fields), strict=True)]
    columns = zip(*parts, strict=True)
    return Response(*(torch.cat(column).reshape(density.shape) for column in columns))


def _response(functional: Functional, *fields: Tensor) -> list[Tensor]:
    """Members of `Response` for a batch of points."""
    density, n, *gradients = fields
    variables = [x.detach().requires_grad_() for x in (density, *gradients[:1])]
    with torch.enable_grad():
        energy = energy_density(functional, *variables)
        first = torch.autograd.grad(energy.sum(), variables, create_graph=True)
        potential = first[0] * n
        if gradients:
            potential = potential + 2 * first[1] * gradients[1]
        second = torch.autograd.grad(potential.sum(), variables)
    pairs = [x.detach() for pair in zip(first, second, strict=True) for x in pair]
    return [energy.detach(), potential.detach(), *pairs]


def _entry(functional: str) -> tuple[Callable[[Tensor, Tensor], Tensor], bool]:
    if functional not in _FUNCTIONALS:
        raise InputError("xc", repr(functional), f"one of {', '.join(get_args(Functional))}")
    return _FUNCTIONALS[functional]


def _slater(rho: Tensor) -> Tensor:
    """Exchange energy per electron of the uniform gas."""
    return -0.75 * (3 / math.pi) ** (1 / 3) * rho ** (1 / 3)


def _wigner_seitz(rho: Tensor) -> Tensor:
    return (3 / (4 * math.pi) / rho) ** (1 / 3)


def _correlation_pw92(rho: Tensor) -> Tensor:
    """Correlation energy per electron of the uniform gas: −2A(1+α₁r)·ln(1+1/(2A(β₁√r+β₂r+β₃r^{3/2}+β₄r²)))."""
    a, alpha = 0.0310907, 0.21370
    r = _wigner_seitz(rho)
    root = r.sqrt()
    # By Horner's scheme in √r_s: one square root for all four powers.
    polynomial = root * (7.5957 + root * (3.5876 + root * (1.6382 + root * 0.49294)))
    return -2 * a * (1 + alpha * r) * torch.log1p(1 / (2 * a * polynomial))


def _correlation_pz(rho: Tensor) -> Tensor:
    r = _wigner_seitz(rho)
    log = r.log()
    high = 0.0311 * log - 0.048 + 0.0020 * r * log - 0.0116 * r
    low = -0.1423 / (1 + 1.0529 * r.sqrt() + 0.3334 * r)
    # The two branches meet at r_s = 1 up to the digits of the fit.
    return torch.where(r < 1, high, low)


def _pz(rho: Tensor, _: Tensor) -> Tensor:
    return rho * (_slater(rho) + _correlation_pz(rho))


def _pw92(rho: Tensor, _: Tensor) -> Tensor:
    return rho * (_slater(rho) + _correlation_pw92(rho))


def _pbe(rho: Tensor, sigma: Tensor) -> Tensor:
    kappa, mu = 0.804, 0.2195149727645171
    beta, gamma = 0.06672455060314922, (1 - math.log(2)) / math.pi**2
    # The reduced gradient squared: s² itself, since s is the root of a number that may be 0.
    s2 = sigma * rho ** (-8 / 3) / (4 * (3 * math.pi**2) ** (2 / 3))
    exchange = _slater(rho) * (1 + kappa - kappa / (1 + mu * s2 / kappa))
    t2 = sigma * rho ** (-7 / 3) * math.pi / (16 * (3 * math.pi**2) ** (1 / 3))
    uniform = _correlation_pw92(rho)
    a_t2 = (beta / gamma) / torch.expm1(-uniform / gamma) * t2
    h = gamma * torch.log1p((beta / gamma) * t2 * (1 + a_t2) / (1 + a_t2 + a_t2**2))
    return rho * (exchange + uniform + h)


_FUNCTIONALS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], bool]] = {
    "pbe": (_pbe, True),
    "pw92": (_pw92, False),
    "pz": (_pz, False),
}
