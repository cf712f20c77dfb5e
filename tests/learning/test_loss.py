"""The loss is what its formulas say, and its averages are the errors of N and E_b per atom."""

from __future__ import annotations

import pytest
import torch

from maladist import EnergyGrid
from maladist.learning.loss import TERMS, LDOSLoss, LossConfig, Sensitivity
from maladist.learning.outputs import Outputs
from maladist.learning.scaling import Moments, Scaler
from maladist.physics.fermi import fermi_level, fermi_weights

GRID = EnergyGrid(-4.0, 0.25, 60, "gaussian", 0.3)
FELT = (Sensitivity(8.0, 3.0, 1000.0), Sensitivity(9.0, 2.5, 1500.0))


def ldos(*shape: int, seed: int = 0) -> torch.Tensor:
    """A smooth positive LDOS of made-up points, float64, 1/(eV Å³)."""
    generator = torch.Generator().manual_seed(seed)
    e = torch.as_tensor(GRID.values)
    height = 0.01 + 0.03 * torch.rand(*shape, 1, generator=generator, dtype=torch.float64)
    return height * torch.sqrt(torch.clamp(e + 3.5, min=0)) + 0.002 * torch.rand(
        *shape, 60, generator=generator, dtype=torch.float64
    )


def loss(outputs: Outputs | None = None, correction: bool = True, **weights: object) -> LDOSLoss:
    return LDOSLoss(LossConfig(**weights), FELT, GRID, outputs or Outputs(Scaler()), correction=correction)


@pytest.mark.parametrize(
    ("kind", "formula"),
    [
        ("mse", lambda d: d**2),
        ("mae", lambda d: d.abs()),
        ("huber", lambda d: torch.where(d.abs() < 0.1, d**2 / 2, 0.1 * (d.abs() - 0.05))),
    ],
)
def test_the_ldos_term_is_the_mean_over_points_and_levels(kind: str, formula) -> None:  # type: ignore[no-untyped-def]
    y, target = torch.randn(2, 5, 60), torch.randn(2, 5, 60)
    found = loss(kind=kind, huber_delta=0.1, ldos=3.0)(y, target, torch.tensor([0, 1]))
    torch.testing.assert_close(found, 3.0 * formula(y - target).mean())


def test_terms_are_those_of_the_weighted_integrals() -> None:
    y, target, at = ldos(2, 7), ldos(2, 7, seed=1), torch.tensor([1, 0])
    weights = {"ldos": 0.5, "density": 2.0, "band": 3.0, "mean_density": 5.0, "mean_band": 7.0}
    found = loss(**weights)
    terms = found.terms_of(found.averages(y, target, at))
    wanted = torch.zeros(len(TERMS), dtype=torch.float64)
    for portion, snapshot in enumerate(at.tolist()):
        s = FELT[snapshot]
        w = fermi_weights(GRID, s.fermi_energy, s.temperature, correction=True)
        rho = y[portion] - target[portion]
        n, b = s.volume_per_atom * rho @ w.number, s.volume_per_atom * rho @ (w.band - s.fermi_energy * w.number)
        none = torch.zeros(()).double()
        values = torch.stack([(rho**2).mean(), none, (n**2).mean(), (b**2).mean(), n.mean() ** 2, b.mean() ** 2, none])
        wanted += values / 2 * torch.tensor([0.5, 0.0, 2.0, 3.0, 5.0, 7.0, 0.0]).double()
    # The residuals are taken in float32.
    torch.testing.assert_close(terms.double(), wanted, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("kind", ["none", "standard", "minmax", "whiten"])
def test_residuals_are_in_electrons_and_ev_whatever_the_scaling(kind: str) -> None:
    data, other = ldos(300), ldos(300, seed=1)
    outputs = Scaler.fit(Moments.of(data, cross=True), kind, feature_wise=True)  # type: ignore[arg-type]
    plain, scaled = loss(mean_band=1.0), loss(Outputs(outputs), mean_band=1.0)
    at = torch.tensor([0])
    want = plain.averages(other[None], data[None], at)[0, 1:]
    # Those that 'whiten' drops, 1e-9 of the variance, are missing from what comes back.
    got = scaled.averages(outputs.transform(other)[None], data[None], at)[0, 1:]
    torch.testing.assert_close(got, want, rtol=2e-4, atol=1e-6)


def test_the_mean_residual_is_the_error_of_the_band_energy_to_first_order() -> None:
    """With N fixed: δE_b = ∫(ε − μ) f δD, the entropy's share apart, which is (δμ)² and τ² here."""
    dos = ldos(50).sum(0)
    volume, temperature = 8.0 * 2, 300.0
    electrons = 0.5 * float(dos.sum()) * GRID.spacing
    mu = fermi_level(dos, GRID, electrons, temperature, correction=False)
    error = 1e-4 * (ldos(1, seed=5)[0] - ldos(1, seed=6)[0])
    felt = Sensitivity(volume / 2, mu, temperature)
    found = LDOSLoss(LossConfig(mean_band=1.0), [felt], GRID, Outputs(Scaler()), correction=False)
    q = found.averages(error[None, None], torch.zeros(1, 1, 60), torch.tensor([0]))[0, TERMS.index("mean_band")]

    def band(d: torch.Tensor) -> float:
        at = fermi_level(d, GRID, electrons, temperature, correction=False)
        return float(fermi_weights(GRID, at, temperature, correction=False).band @ d)

    moved = band(dos + volume * error) - band(dos)
    assert float(q) == pytest.approx(moved / 2, rel=0.03)


def test_averages_of_parts_merge_to_those_of_the_whole() -> None:
    y, target, at = ldos(1, 90), ldos(1, 90, seed=1), torch.tensor([1])
    found = loss(density=1.0, mean_band=1.0)
    parts = [found.averages(y[:, a:b], target[:, a:b], at) * (b - a) / 90 for a, b in ((0, 20), (20, 21), (21, 90))]
    torch.testing.assert_close(sum(parts), found.averages(y, target, at), rtol=1e-5, atol=1e-7)


def test_errors_that_average_out_over_a_portion_cost_nothing_in_the_means() -> None:
    target = ldos(1, 2)
    error = 0.01 * torch.ones(60, dtype=torch.float64)
    y = target + torch.stack([error, -error])
    terms = loss(density=1.0, mean_density=1.0, mean_band=1.0)
    found = terms.terms_of(terms.averages(y, target, torch.tensor([0])))
    assert float(found[TERMS.index("density")]) > 1e-3  # they are seen at each point
    assert float(found[TERMS.index("mean_density") :].abs().max()) < 1e-12


def test_the_gradient_is_that_of_the_formula() -> None:
    y, target = ldos(2, 3).requires_grad_(), ldos(2, 3, seed=1)
    found = loss(density=0.3, band=0.2, mean_density=1.0, mean_band=2.0)(y, target, torch.tensor([0, 1]))
    (gradient,) = torch.autograd.grad(found, y)
    direction = torch.randn(y.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    step = 1e-2
    with torch.no_grad():
        at = [
            float(
                loss(density=0.3, band=0.2, mean_density=1.0, mean_band=2.0)(y + k * direction, target, torch.arange(2))
            )
            for k in (step, -step)
        ]
    # A quadratic form: the symmetric difference is exact, up to float32.
    assert float((gradient * direction).sum()) == pytest.approx((at[0] - at[1]) / (2 * step), rel=1e-3)


CHANNEL = Scaler("standard", False, torch.tensor([0.2], dtype=torch.float64), torch.tensor([0.05], dtype=torch.float64))


def test_the_channel_term_is_the_scaled_error_of_the_density() -> None:
    data = torch.cat([ldos(2, 5), 0.2 + 0.05 * torch.rand(2, 5, 1).double()], dim=-1)
    y = torch.cat([data[..., :60], torch.rand(2, 5, 1).double()], dim=-1)
    found = loss(Outputs(Scaler(), CHANNEL), channel=2.0)
    scaled = (data[..., 60] - 0.2) / 0.05
    torch.testing.assert_close(
        found(y, data, torch.arange(2)), (2.0 * (y[..., 60] - scaled) ** 2).mean().float(), rtol=1e-5, atol=1e-7
    )


def rows(d: torch.Tensor, density: torch.Tensor | None, u: torch.Tensor) -> torch.Tensor:
    """Targets: LDOS, density where there is a channel, potential of the double counting."""
    return torch.cat([d, *([] if density is None else [density[..., None]]), u[..., None]], dim=-1)[None]


def test_the_total_term_takes_the_double_counting_at_the_channels_density() -> None:
    felt, w = FELT[0], fermi_weights(GRID, FELT[0].fermi_energy, FELT[0].temperature, correction=True)
    d, other, u = ldos(7), ldos(7, seed=1), torch.linspace(-3, 4, 7).double()
    n, n_other = 0.2 + 0.01 * torch.rand(7).double(), 0.2 + 0.01 * torch.rand(7).double()
    y = torch.cat([other, (n_other[:, None] - 0.2) / 0.05], dim=-1)[None]
    found = loss(Outputs(Scaler(), CHANNEL), mean_total=1.0).averages(y, rows(d, n, u), torch.tensor([0]))
    band = (other - d) @ (w.band + w.entropy - felt.fermi_energy * w.number)
    expected = felt.volume_per_atom * (band + u * (n_other - n)).mean()
    assert float(found[0, -1]) == pytest.approx(float(expected), rel=1e-5)


def test_the_total_term_without_a_channel_takes_the_density_of_the_ldos() -> None:
    felt, w = FELT[1], fermi_weights(GRID, FELT[1].fermi_energy, FELT[1].temperature, correction=True)
    d, other, u = ldos(7), ldos(7, seed=1), torch.linspace(-3, 4, 7).double()
    found = loss(mean_total=1.0).averages(other[None], rows(d, None, u), torch.tensor([1]))
    rho = other - d
    band = rho @ (w.band + w.entropy - felt.fermi_energy * w.number)
    expected = felt.volume_per_atom * (band + u * (rho @ w.number)).mean()
    assert float(found[0, -1]) == pytest.approx(float(expected), rel=1e-5)
