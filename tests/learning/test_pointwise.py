"""A model at points: the network between its scalers, in batches that cannot be seen, and the way back."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from maladist.errors import ModelError
from maladist.learning.parts import Restrict
from maladist.learning.scaling import Scaler
from tests.learning.common import LEVELS, SPEC, made, points, with_channel


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


def test_descriptors_of_another_shape_are_refused() -> None:
    for shape in [(5, SPEC.n_features + 3), (SPEC.n_features,)]:
        with pytest.raises(ModelError, match="descriptors"):
            made().ldos(torch.zeros(shape))


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


def test_gradients_flow_through_the_density_channel() -> None:
    model = with_channel().to(dtype=torch.float64)
    x = points(4, dtype=torch.float64).requires_grad_()
    _, density = model.fields(x, grad=True)
    assert density is not None
    density.sum().backward()
    assert x.grad is not None and bool((x.grad != 0).any())


def test_the_way_back_is_the_derivative_of_all_that_the_model_gives() -> None:
    """Two functions of the LDOS that share one of the density: by central differences of 1e-5, good to 1e-9."""
    model = with_channel().to(dtype=torch.float64)
    x, generator = points(5, dtype=torch.float64), torch.Generator().manual_seed(1)
    of_ldos = torch.randn(2, 5, LEVELS, generator=generator, dtype=torch.float64)
    of_density = torch.randn(5, generator=generator, dtype=torch.float64)
    direction = torch.randn(x.shape, generator=generator, dtype=torch.float64)

    def value(at: torch.Tensor) -> torch.Tensor:
        ldos, density = model.fields(at)
        assert density is not None
        return (of_ldos * ldos).sum((1, 2)) + (of_density * density).sum()

    found = model.pullback(x, of_ldos, of_density)
    wanted = (value(x + 1e-5 * direction) - value(x - 1e-5 * direction)) / 2e-5
    assert found.shape == (2, *x.shape) and not found.requires_grad
    torch.testing.assert_close((found * direction).sum((1, 2)), wanted, rtol=1e-7, atol=1e-9)


def test_a_novelty_that_the_model_cannot_tell_is_refused() -> None:
    with pytest.raises(ModelError, match="where it has been trained"):
        made().novelty(points(3))
