"""The product of the layers is right in every way that it is computed."""

from __future__ import annotations

import pytest
import torch

from maladist.learning import affine as module
from maladist.learning.affine import affine


def operands(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(33, 24, dtype=dtype), torch.randn(7, 24, dtype=dtype), torch.randn(7, dtype=dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-14)])
def test_it_is_the_product_in_full_precision(dtype: torch.dtype, tolerance: float) -> None:
    """Also of parts of a wider array; not by TF32 or bfloat16, which oneDNN knows too."""
    x, weight, bias = operands(dtype)
    exact = x.double() @ weight.double().T + bias.double()
    wide = torch.cat([x, x], dim=1)
    apart = torch.stack([bias, 0 * bias], dim=1)[:, 0]
    for rows, w, b in ((x, weight, bias), (wide[:, :24], weight, apart), (x, weight.T.contiguous().T, bias)):
        found = affine(rows, w, b)
        assert found.dtype == dtype
        torch.testing.assert_close(found.double(), exact, rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("trained", [False, True])
def test_gradients_are_right_whoever_multiplies(trained: bool) -> None:
    x, weight, bias = (t.requires_grad_(trained or i == 0) for i, t in enumerate(operands(torch.float32)))
    of_product = torch.randn(33, 7)
    affine(x, weight, bias).backward(of_product)
    assert x.grad is not None
    torch.testing.assert_close(x.grad, of_product @ weight.detach(), rtol=2e-6, atol=2e-5)
    if trained:
        assert weight.grad is not None and bias.grad is not None
        torch.testing.assert_close(weight.grad, of_product.T @ x.detach(), rtol=2e-6, atol=2e-5)


@pytest.mark.skipif(not module._ONE_DNN, reason="torch's own product has one")
def test_a_second_derivative_is_refused_and_not_zero() -> None:
    x, weight, bias = operands(torch.float32)
    x.requires_grad_()
    (first,) = torch.autograd.grad(affine(x, weight, bias).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_no_points_are_no_error() -> None:
    x, weight, bias = operands(torch.float32)
    assert affine(x[:0], weight, bias).shape == (0, 7)


def test_without_one_dnn_torch_multiplies(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight, bias = operands(torch.float32)
    by_one_dnn = affine(x, weight, bias)
    monkeypatch.setattr(module, "_ONE_DNN", False)
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", None, raising=False)
    torch.testing.assert_close(affine(x, weight, bias), by_one_dnn, rtol=2e-6, atol=2e-5)
