"""The last layer taken after the sums gives what the sums of its outputs are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from maladist.learning.ensemble import EnsembleNetwork
from maladist.learning.head import Head, Reduction
from maladist.learning.model import LDOSModel
from maladist.learning.network import FeedForward
from maladist.learning.parts import Restrict
from maladist.learning.scaling import Moments, Scaler
from maladist.testing import tiny_model

FEATURES, LEVELS = 14, 41
NETWORKS: dict[str, list[dict[str, Any]]] = {
    "two hidden layers": [{"layer_sizes": [FEATURES, 9, 7, LEVELS + 1]}],
    "one layer": [{"layer_sizes": [FEATURES, LEVELS + 1]}],
    "residual, the last layer too": [{"layer_sizes": [FEATURES, LEVELS + 1, LEVELS + 1], "residual": True}],
    "a last layer that is not linear": [{"layer_sizes": [FEATURES, 9, LEVELS + 1], "activations": ["SiLU", "ReLU"]}],
    "members of all kinds": [
        {"layer_sizes": [FEATURES, 9, LEVELS + 1]},
        {"layer_sizes": [FEATURES, 5, 5, LEVELS + 1], "residual": True},
        {"layer_sizes": [FEATURES, 6, LEVELS + 1], "activations": ["SiLU", "Softplus"]},
    ],
}


def features(n: int) -> torch.Tensor:
    return 60 * torch.rand(n, FEATURES, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def made(kind: str, restrict: Restrict = "none", **changes: Any) -> LDOSModel:
    """A model with a density channel, whose LDOS is scaled level by level or whitened."""
    torch.manual_seed(1)
    data = torch.randn(200, LEVELS, dtype=torch.float64) @ torch.randn(LEVELS, LEVELS, dtype=torch.float64)
    scaler = Scaler.fit(Moments.of(data + 0.3, cross=True), "whiten", feature_wise=True)
    members = [FeedForward(**one) for one in NETWORKS[kind]]
    network = members[0] if len(members) == 1 else EnsembleNetwork(members)
    parts = {"network": network, "output_scaler": scaler, "restrict": restrict}
    channel = Scaler("standard", False, torch.tensor([0.1]).double(), torch.tensor([0.02]).double())
    return replace(tiny_model(), density_scaler=channel, **(parts | changes)).to(dtype=torch.float64)


def plain(model: LDOSModel, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """LDOS and density channel, layer by layer."""
    with torch.no_grad():
        outputs = model.network.eval()(model.input_scaler.transform(x))
    ldos = model.output_scaler.inverse(outputs[:, :LEVELS])
    restricted = {"none": ldos, "zero_out_negative": ldos.clamp(min=0), "absolute_values": ldos.abs()}
    assert model.density_scaler is not None
    return restricted[model.restrict], model.density_scaler.inverse(outputs[:, LEVELS:])[:, 0]


@pytest.mark.parametrize("kind", NETWORKS)
def test_hidden_layers_and_head_are_the_network_between_its_scalers(kind: str) -> None:
    model, x = made(kind), features(50)
    with torch.no_grad():
        found = Head.of(model)(model.hidden(x))
    ldos, density = plain(model, x)
    torch.testing.assert_close(found, torch.cat([ldos, density[:, None]], 1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("restrict", ["none", "zero_out_negative", "absolute_values"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_sums_and_projections_are_those_of_the_ldos(kind: str, restrict: Restrict) -> None:
    model, x = made(kind, restrict), features(50)
    basis = torch.linalg.qr(torch.randn(LEVELS, 5, dtype=torch.float64))[0]
    reduction = Reduction(model, basis)
    with torch.no_grad():
        kept = torch.cat([reduction.add(model.hidden(part)) for part in x.split(20)])
    ldos, density = plain(model, x)
    assert bool((ldos < 0).any()) == (restrict == "none")  # else the three were the same
    torch.testing.assert_close(reduction.sum, ldos.sum(0), rtol=1e-12, atol=1e-11)
    torch.testing.assert_close(kept, torch.cat([ldos @ basis, density[:, None]], 1), rtol=1e-12, atol=1e-12)


def test_without_functions_and_without_a_channel_only_the_sum_is_left() -> None:
    model = tiny_model()
    reduction = Reduction(model, torch.empty(LEVELS, 0, dtype=torch.float64))
    assert reduction.sum.shape == (LEVELS,) and not reduction.sum.any()
    assert reduction.add(model.hidden(features(7)).detach()).shape == (7, 0)


def test_in_float32_the_sum_is_right_to_the_rounding_of_a_point() -> None:
    """Rounding of points is random: their sum is nearer than a point is, and in float32 it would not be."""
    wide = made("two hidden layers")
    model, x = wide.to(dtype=torch.float32), features(20_000)
    reduction = Reduction(model, torch.eye(LEVELS, dtype=torch.float64))
    with torch.no_grad():
        kept = torch.cat([reduction.add(model.hidden(part)) for part in x.split(1000)])
    ldos, _ = plain(wide, x)
    largest = float(ldos.abs().max())
    assert float((kept[:, :LEVELS] - ldos).abs().max()) < 1e-5 * largest
    assert float((reduction.sum - ldos.sum(0)).abs().max()) < 1e-6 * largest * len(x)
