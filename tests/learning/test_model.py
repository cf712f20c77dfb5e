"""The model is its parts put together, keeps its bits when saved, and refuses parts that do not fit."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from maladist.descriptors import BispectrumSpec
from maladist.elements import Element
from maladist.errors import ModelError
from maladist.grid import EnergyGrid
from maladist.learning.model import LDOSModel
from maladist.learning.network import FeedForward
from maladist.learning.parts import Restrict
from maladist.learning.scaling import Moments, Scaler

SPEC = BispectrumSpec(twojmax=2, cutoff=3.0)
LEVELS = 4


def points(n: int, seed: int = 2, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    x = torch.randn(n, SPEC.n_features, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (5 * x + 20).to(dtype)


def made(**changes: Any) -> LDOSModel:
    torch.manual_seed(3)
    radii = np.linspace(0, 2, 9)
    core = {"core_radii": radii, "core_rab": np.gradient(radii), "core_density": np.exp(-radii)}
    parts: dict[str, Any] = {
        "network": FeedForward((SPEC.n_features, 16, 16, LEVELS), "SiLU", residual=True, dropout=0.1),
        "input_scaler": Scaler.fit(Moments.of(points(50)), "standard", feature_wise=True),
        "output_scaler": Scaler(
            "minmax", False, torch.tensor([-0.1], dtype=torch.float64), torch.tensor([0.3], dtype=torch.float64)
        ),
        "descriptor": SPEC,
        "energy_grid": EnergyGrid(-5.0, 0.1, LEVELS, "gaussian", 0.2),
        "elements": {"Be": Element("Be", 2.0, "Be.upf", "ab" * 32, **core), "H": Element("H")},
        "xc": "pbe",
        "temperature": 1000.0,
        "spacing": (0.15, 0.15, 0.14),
        "density_cutoff": 400.0,
        "electrons_per_atom": 1.5,
        "provenance": {"source": "test", "errors": [0.1, 0.2], 3: None},
    }
    return LDOSModel(**(parts | changes))


def test_ldos_is_the_network_between_the_scalers() -> None:
    model = made().to(dtype=torch.float64)
    x = points(9, dtype=torch.float64)
    scaled = (x - model.input_scaler.shift) / model.input_scaler.scale
    expected = model.network.eval()(scaled) * 0.3 - 0.1
    torch.testing.assert_close(model.ldos(x), expected.detach(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("restrict", ["none", "zero_out_negative", "absolute_values"])
def test_restriction_of_negative_values_is_the_one_asked_for(restrict: Restrict) -> None:
    free = made().ldos(points(100))
    assert (free < 0).any()
    expected = {"none": free, "zero_out_negative": free.clamp(min=0), "absolute_values": free.abs()}[restrict]
    assert torch.equal(made(restrict=restrict).ldos(points(100)), expected)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 4e-15)])
def test_the_split_into_batches_changes_no_more_than_rounding(dtype: torch.dtype, tolerance: float) -> None:
    """Matrix products sum in another order at a batch's edge: a few ulp of the largest value."""
    model, x = made().to(dtype=dtype), points(1001, dtype=dtype)
    whole = model.ldos(x, batch=1001)
    for batch in (1, 7, 64, 1000):
        assert float((model.ldos(x, batch=batch) - whole).abs().max()) <= tolerance * float(whole.abs().max())


def test_the_same_batches_give_the_same_bits() -> None:
    model, x = made(), points(1001)
    assert torch.equal(model.ldos(x, batch=300), model.ldos(x, batch=300))
    parts = [made().ldos(part) for part in x.split(300)]
    assert torch.equal(model.ldos(x, batch=300), torch.cat(parts))


def test_dropout_is_off_whatever_training_left_behind() -> None:
    model, x = made(), points(20)
    expected = model.ldos(x)
    model.network.train()
    assert torch.equal(model.ldos(x), expected)


def test_no_graph_is_kept_unless_asked_for() -> None:
    model, x = made(), points(20).requires_grad_()
    out = model.ldos(x)
    assert not out.requires_grad
    out.requires_grad_()  # but the caller may differentiate with respect to it
    with_graph = model.ldos(x, grad=True, batch=6)
    torch.testing.assert_close(with_graph, model.ldos(x, batch=6), rtol=2e-6, atol=2e-6)  # by another library
    with_graph.sum().backward()
    assert x.grad is not None and bool((x.grad != 0).any())


def test_gradient_with_respect_to_the_descriptors_is_right() -> None:
    model = made().to(dtype=torch.float64)
    x = points(3, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: model.ldos(v, grad=True), x)


def test_no_points_give_no_ldos() -> None:
    assert made().ldos(points(0)).shape == (0, LEVELS)
    assert made().ldos(points(0), grad=True).shape == (0, LEVELS)


def test_moving_makes_a_copy(device: str) -> None:
    model = made()
    moved = model.to(device, torch.float64)
    assert (moved.dtype, moved.device.type) == (torch.float64, device)
    assert model.dtype == torch.float32
    torch.testing.assert_close(moved.ldos(points(30)).cpu(), model.ldos(points(30)).double(), rtol=0, atol=1e-5)


def test_bytes_and_back_is_the_same_model_bit_for_bit() -> None:
    model = made()
    again = LDOSModel.from_bytes(model.to_bytes())
    assert torch.equal(again.ldos(points(500)), model.ldos(points(500)))
    assert again.to_bytes() == model.to_bytes()
    for name in ("descriptor", "energy_grid", "xc", "temperature", "spacing", "density_cutoff", "restrict"):
        assert getattr(again, name) == getattr(model, name)
    assert again.provenance == {"source": "test", "errors": [0.1, 0.2], "3": None}
    be, h = again.elements["Be"], again.elements["H"]
    assert (be.symbol, be.valence, be.pseudopotential, be.sha256) == ("Be", 2.0, "Be.upf", "ab" * 32)
    for name in ("core_radii", "core_rab", "core_density"):
        np.testing.assert_array_equal(getattr(be, name), getattr(model.elements["Be"], name))
        assert getattr(h, name) is None
    assert h.valence is None and not h.has_pseudopotential


def test_content_hash_is_of_the_content_only() -> None:
    model = made()
    assert {made().content_hash for _ in range(10)} == {model.content_hash}
    assert LDOSModel.from_bytes(model.to_bytes()).content_hash == model.content_hash
    assert model.to(dtype=torch.float64).to(dtype=torch.float32).content_hash == model.content_hash
    assert made(temperature=1001.0).content_hash != model.content_hash
    with torch.no_grad():
        model.network.linear[0].bias[0] += 1e-3
    assert model.content_hash != made().content_hash


def test_descriptors_of_another_shape_are_refused() -> None:
    for shape in [(5, SPEC.n_features + 3), (SPEC.n_features,)]:
        with pytest.raises(ModelError, match="descriptors"):
            made().ldos(torch.zeros(shape))


@pytest.mark.parametrize("value", [object(), math.nan, {1, 2}])
def test_a_provenance_that_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(ModelError, match="JSON"):
        made(provenance={"x": value}).to_bytes()


def test_pseudopotentials_replace_what_is_known_if_the_valence_agrees() -> None:
    given = {
        "H": Element("H", 1.0, "H.upf"),
        "Be": Element("Be", 2.0, "other.upf"),
        "Fe": Element("Fe", 16.0, "Fe.upf"),
    }
    model = made().with_pseudopotentials(given)
    assert {s: e.pseudopotential for s, e in model.elements.items()} == {"Be": "other.upf", "H": "H.upf"}
    assert made().with_pseudopotentials({"H": given["H"]}).elements["Be"].pseudopotential == "Be.upf"
    with pytest.raises(ModelError, match="4 valence electrons for Be"):
        made().with_pseudopotentials({"Be": replace(given["Be"], valence=4.0)})


def test_the_functional_is_taken_from_pseudopotentials_that_agree_where_it_is_unknown() -> None:
    given = {"H": Element("H", 1.0, "H.upf", xc="pz"), "Be": Element("Be", 2.0, "Be.upf", xc="pz")}
    assert made(xc=None).with_pseudopotentials(given).xc == "pz"
    assert made().with_pseudopotentials(given).xc == "pbe"
    assert made(xc=None).with_pseudopotentials(given | {"H": Element("H", 1.0, "H.upf", xc="pbe")}).xc is None
    assert LDOSModel.from_bytes(made(elements=given).to_bytes()).elements["H"].xc == "pz"


def test_a_model_that_names_no_elements_takes_those_given() -> None:
    assert set(made(elements={}).with_pseudopotentials({"H": Element("H", 1.0, "H.upf")}).elements) == {"H"}


def test_a_model_says_what_it_is_in_one_line() -> None:
    assert str(made()) == "LDOS model of Be H: bispectrum, network 5-16-16-4, -5 to -4.7 eV, trained at 1000 K"


def test_placed_model_has_the_energies_of_the_cell_and_survives_saving(tmp_path):
    model = replace(made(), energy_zero={"Be": 70.0, "H": 8.0})
    again = LDOSModel.from_bytes(model.to_bytes())
    assert again.energy_zero == {"Be": 70.0, "H": 8.0}
    assert again.content_hash == model.content_hash != made().content_hash
    placed = again.placed(["Be", "Be"], 16.0)
    assert placed.energy_grid.origin == pytest.approx(model.energy_grid.origin + 8.75, abs=1e-12)
    assert placed.placed(["Be"], 8.0) is placed  # once is enough


def with_channel(**changes: Any) -> LDOSModel:
    """The same with a density channel: one output more, scaled by 0.1 ± 0.02 1/Å³."""
    torch.manual_seed(3)
    scaler = Scaler(
        "standard", False, torch.tensor([0.1], dtype=torch.float64), torch.tensor([0.02], dtype=torch.float64)
    )
    network = FeedForward((SPEC.n_features, 16, 16, LEVELS + 1), "SiLU")
    return made(network=network, density_scaler=scaler, **changes)


def test_the_density_channel_is_the_last_output_between_its_own_scaler() -> None:
    model = with_channel().to(dtype=torch.float64)
    x = points(9, dtype=torch.float64)
    outputs = model.network.eval()((x - model.input_scaler.shift) / model.input_scaler.scale).detach()
    ldos, density = model.fields(x)
    assert density is not None and model.has_density_channel
    torch.testing.assert_close(ldos, outputs[:, :-1] * 0.3 - 0.1, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(density, outputs[:, -1] * 0.02 + 0.1, rtol=1e-12, atol=1e-14)
    assert torch.equal(model.ldos(x), ldos)


def test_what_is_done_to_a_negative_ldos_is_not_done_to_the_density() -> None:
    far = Scaler(
        "standard", False, torch.tensor([-5.0], dtype=torch.float64), torch.tensor([0.02], dtype=torch.float64)
    )
    model = replace(with_channel(restrict="zero_out_negative"), density_scaler=far)
    ldos, density = model.fields(points(20))
    assert density is not None
    assert (ldos >= 0).all() and (density < 0).all()


def test_a_model_without_a_channel_gives_no_density() -> None:
    assert made().fields(points(3))[1] is None


def test_a_density_channel_survives_saving_and_moving() -> None:
    model, x = with_channel(), points(20)
    again = LDOSModel.from_bytes(model.to_bytes())
    assert again.content_hash == model.content_hash
    for one, other in zip(model.fields(x), again.to(dtype=torch.float32).fields(x), strict=True):
        assert one is not None and other is not None and torch.equal(one, other)


def test_gradients_flow_through_the_density_channel() -> None:
    model = with_channel().to(dtype=torch.float64)
    x = points(4, dtype=torch.float64).requires_grad_()
    _, density = model.fields(x, grad=True)
    assert density is not None
    density.sum().backward()
    assert x.grad is not None and bool((x.grad != 0).any())
