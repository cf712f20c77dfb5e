from __future__ import annotations

import numpy as np
import pytest
import torch
from pyscf.dft import libxc

from maladist.errors import InputError
from maladist.physics.functionals import VANISHING, derivatives, energy_density, integrate
from maladist.units import BOHR, HARTREE

LIBXC = {"pbe": "PBE", "pw92": "LDA,PW_MOD", "pz": "LDA,PZ"}
NAMES = sorted(LIBXC)


def random_points(n: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """ρ and |∇ρ| in atomic units, from nearly empty to the core of an atom, slowly and fast varying."""
    rng = np.random.default_rng(0)
    rho = 10 ** rng.uniform(-6, 1.5, n)
    gradient = rho ** (4 / 3) * 10 ** rng.uniform(-3, 1.5, n)
    gradient[:100] = 0
    return rho, gradient


def internal(rho: np.ndarray, gradient: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(rho / BOHR**3), torch.from_numpy(gradient**2 / BOHR**8)


@pytest.mark.parametrize("name", NAMES)
def test_energy_and_derivatives_are_libxcs(name: str) -> None:
    rho, gradient = random_points()
    zero = np.zeros_like(rho)
    each, v = libxc.eval_xc(LIBXC[name], np.array([rho, gradient, zero, zero]) if name == "pbe" else rho)[:2]
    ours = derivatives(name, *internal(rho, gradient))  # type: ignore[arg-type]
    np.testing.assert_allclose(ours.energy.numpy() * BOHR**3 / HARTREE, each * rho, rtol=1e-12)
    np.testing.assert_allclose(ours.by_density.numpy() / HARTREE, v[0], rtol=1e-12)
    if name == "pbe":
        assert ours.by_sigma is not None
        scaled = ours.by_sigma.numpy() / HARTREE / BOHR**5 * rho ** (4 / 3)  # exchange's ∂e/∂σ goes as ρ^(−4/3)
        np.testing.assert_allclose(scaled, v[1] * rho ** (4 / 3), rtol=1e-10, atol=1e-14)
    else:
        assert ours.by_sigma is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sigma", [0.0, 1e-30, 1e-10, 1.0, 1e6])
def test_nothing_is_infinite_or_jumps_where_the_density_vanishes(name: str, sigma: float) -> None:
    values = [0.0, -1.0, -1e-30, 1e-30, 0.99 * VANISHING, 1.01 * VANISHING, 1e-9, 1e-7, 1e3, 1e6]
    rho = torch.tensor(values, dtype=torch.float64)
    d = derivatives(name, rho / BOHR**3, torch.full_like(rho, sigma / BOHR**8))  # type: ignore[arg-type]
    assert all(bool(torch.isfinite(part).all()) for part in d if part is not None)
    assert not d.energy[:5].any()
    assert not d.by_density[:5].any()
    assert -2e-11 < float(d.energy[5]) < 0  # eV/Å³: what jumps there


@pytest.mark.parametrize("name", NAMES)
def test_second_derivatives_exist_for_forces(name: str) -> None:
    rho, gradient = random_points(5)
    assert torch.autograd.gradgradcheck(
        lambda n, s: energy_density(name, n, s),  # type: ignore[arg-type]
        [t[-2:].clamp(0.1, 1.0).requires_grad_() for t in internal(rho, gradient)],
    )


def test_integrals_are_sums_of_the_points_whatever_the_batch() -> None:
    rho, sigma = internal(*random_points(300))
    rho, sigma = rho.repeat(700), sigma.repeat(700)  # more than a batch
    d = derivatives("pbe", rho, sigma)
    assert d.by_sigma is not None
    valence, overlap = 0.7 * rho, 0.6 * sigma
    wanted = torch.stack([d.energy.sum(), (d.by_density * valence + 2 * d.by_sigma * overlap).sum()])
    torch.testing.assert_close(integrate("pbe", rho, valence, sigma, overlap), wanted, rtol=1e-12, atol=0)


def test_an_unknown_functional_is_refused() -> None:
    with pytest.raises(InputError, match="xc: 'b3lyp'"):
        energy_density("b3lyp", torch.ones(1))  # type: ignore[arg-type]


def test_pbe_without_a_gradient_is_refused() -> None:
    with pytest.raises(InputError, match="sigma"):
        energy_density("pbe", torch.ones(1))
