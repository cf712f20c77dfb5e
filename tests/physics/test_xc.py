from __future__ import annotations

import numpy as np
import pytest
import torch
from pyscf.dft import libxc

from maladist.grid import Grid
from maladist.physics.functionals import integrate
from maladist.physics.reciprocal import ReciprocalSlab, largest_cutoff, to_real, to_reciprocal
from maladist.physics.xc import gradient_of, potential_sources, xc_energy, xc_potential, xc_terms
from maladist.units import BOHR, HARTREE, RYDBERG_BOHR2

GRID = Grid([[3.0, 0.2, 0.0], [-1.1, 2.7, 0.3], [0.4, 0.9, 4.1]], (18, 15, 20))
CUTOFF = 0.8 * largest_cutoff(GRID)
WAVES = [((1, 0, 0), 0.11), ((0, 1, -1), 0.05), ((1, 1, 2), 0.04)]


def made_up() -> tuple[torch.Tensor, torch.Tensor]:
    """A density of a few cosines and its gradient, exactly: (shape) 1/Å³ and (shape, 3) 1/Å⁴."""
    r = GRID.points()
    n, gradient = np.full(len(r), 0.3), np.zeros((len(r), 3))
    for m, a in WAVES:
        g = np.array(m) @ GRID.reciprocal
        n += a * np.cos(r @ g)
        gradient -= a * np.sin(r @ g)[:, None] * g
    return torch.from_numpy(n).reshape(GRID.shape), torch.from_numpy(gradient).reshape(*GRID.shape, 3)


def core_like() -> torch.Tensor:
    phase = torch.from_numpy(GRID.points() @ (GRID.reciprocal[0] - GRID.reciprocal[2])).reshape(GRID.shape)
    return 0.2 * (1 + torch.cos(phase)) ** 2


def test_the_gradient_is_that_of_the_cosines(device: str) -> None:
    n, gradient = made_up()
    slab = ReciprocalSlab.whole(GRID)
    sphere = slab.sphere(CUTOFF, device)
    for axis in range(3):
        component = to_real(gradient_of(to_reciprocal(n.to(device)), slab, axis, sphere), GRID)
        torch.testing.assert_close(component.cpu(), gradient[..., axis], rtol=0, atol=1e-14)


def test_the_gradient_has_nothing_outside_the_sphere() -> None:
    """A sphere that holds the longest of the three waves only leaves its gradient only."""
    n, _ = made_up()
    slab = ReciprocalSlab.whole(GRID)
    g = GRID.reciprocal[0]
    sphere = slab.sphere(1.01 * RYDBERG_BOHR2 * float(g @ g))
    component = to_real(gradient_of(to_reciprocal(n), slab, 0, sphere), GRID)
    wanted = -0.11 * g[0] * np.sin(GRID.points() @ g).reshape(GRID.shape)
    torch.testing.assert_close(component, torch.from_numpy(wanted), rtol=0, atol=1e-14)


@pytest.mark.parametrize(("name", "code"), [("pbe", "PBE"), ("pw92", "LDA,PW_MOD"), ("pz", "LDA,PZ")])
def test_energy_and_integral_of_a_made_up_density_are_libxcs(name: str, code: str) -> None:
    n, gradient = made_up()
    rho = n.numpy().ravel() * BOHR**3
    columns = gradient.numpy().reshape(-1, 3).T * BOHR**4
    each, v = libxc.eval_xc(code, np.array([rho, *columns]) if name == "pbe" else rho)[:2]
    potential = v[0] * rho
    if name == "pbe":
        potential = potential + 2 * v[1] * (columns**2).sum(0)
    unit = HARTREE / BOHR**3 * GRID.voxel_volume
    energy, integral = xc_terms(n, None, GRID, name, CUTOFF).tolist()  # type: ignore[arg-type]
    assert energy == pytest.approx(float((each * rho).sum()) * unit, rel=1e-12)
    assert integral == pytest.approx(float(potential.sum()) * unit, rel=1e-12)


@pytest.mark.parametrize("name", ["pbe", "pw92", "pz"])
def test_the_lean_terms_are_those_of_automatic_differentiation(name: str) -> None:
    """∫ v_xc[n + n_core] n without a potential is that with the potential by autograd through the transforms."""
    n, _ = made_up()
    core = core_like()
    energy, integral = xc_terms(n, to_reciprocal(core), GRID, name, CUTOFF).tolist()  # type: ignore[arg-type]
    assert energy == pytest.approx(float(xc_energy(n + core, GRID, name, CUTOFF)), rel=1e-13)  # type: ignore[arg-type]
    v = xc_potential(n + core, GRID, name, CUTOFF)  # type: ignore[arg-type]
    assert integral == pytest.approx(float((v * n).sum()) * GRID.voxel_volume, rel=1e-12)


def test_the_potential_is_the_derivative_of_the_energy() -> None:
    n, _ = made_up()
    direction = core_like()
    h = 1e-5
    up, down = (float(xc_energy(n + s * h * direction, GRID, "pbe", CUTOFF)) for s in (1, -1))
    by_potential = float((xc_potential(n, GRID, "pbe", CUTOFF) * direction).sum()) * GRID.voxel_volume
    assert by_potential == pytest.approx((up - down) / (2 * h), rel=1e-8)


def test_blocks_and_slabs_give_what_the_whole_cell_gives() -> None:
    """What a distributed run does: coefficients and gradients by slabs of G, points by slabs of x."""
    n, core = made_up()[0], core_like()
    rho_g, n_g = to_reciprocal(n + core), to_reciprocal(n)
    sigma, overlap = torch.zeros_like(n), torch.zeros_like(n)
    for axis in range(3):
        parts = {"rho": [], "n": []}
        for a, b in [(0, 4), (4, 15)]:
            slab = ReciprocalSlab(GRID, (0, a, 0), (18, b, 11))
            for key, field_g in (("rho", rho_g), ("n", n_g)):
                parts[key].append(gradient_of(field_g[:, a:b], slab, axis, slab.sphere(CUTOFF)))
        of_rho, of_n = (to_real(torch.cat(parts[key], dim=1), GRID) for key in ("rho", "n"))
        sigma, overlap = sigma + of_rho**2, overlap + of_rho * of_n
    sums = [integrate("pbe", (n + core)[x], n[x], sigma[x], overlap[x]) for x in (slice(0, 7), slice(7, 18))]
    together = (sums[0] + sums[1]) * GRID.voxel_volume
    assert together.tolist() == pytest.approx(xc_terms(n, to_reciprocal(core), GRID, "pbe", CUTOFF).tolist(), rel=1e-13)


def test_a_density_that_dips_below_zero_has_finite_terms() -> None:
    n = made_up()[0] - 0.4
    assert bool((n < 0).any())
    assert bool(torch.isfinite(xc_terms(n, None, GRID, "pbe", CUTOFF)).all())
    assert bool(torch.isfinite(xc_potential(n, GRID, "pbe", CUTOFF)).all())


def test_in_a_vacuum_the_potential_is_the_uniform_gas_and_of_a_ripples_size() -> None:
    """Where n is faint no gradient counts; where it is negative, its size does: both as Quantum ESPRESSO has it."""
    n = torch.full(GRID.shape, 0.1, dtype=torch.float64)
    n[3:6] = 3e-6  # 1/Å³: 4e-7 bohr⁻³
    n[4, 2, 3] *= -1
    gradient = torch.full((3, *GRID.shape), 0.01, dtype=torch.float64)
    scalar, flux = potential_sources("pbe", n, gradient)
    faint = torch.zeros(GRID.shape, dtype=torch.bool)
    faint[3:6] = True
    uniform = potential_sources("pw92", n).scalar
    torch.testing.assert_close(scalar[faint], uniform[faint], rtol=1e-12, atol=0)
    assert uniform[4, 2, 3] == uniform[4, 2, 4] < 0
    assert flux is not None
    assert bool((flux[:, faint] == 0).all()) and bool((flux[:, ~faint] != 0).all())
