"""The product of the layers is right in every way that it is computed."""

from __future__ import annotations

import pytest
import torch

from maladist.learning import affine as module
from maladist.learning.affine import affine


def operands(dtype: torch.dtype, n: int = 33) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(n, 24, dtype=dtype), torch.randn(7, 24, dtype=dtype), torch.randn(7, dtype=dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-14)])
def test_it_is_the_product_in_full_precision(dtype: torch.dtype, tolerance: float) -> None:
    """Also of columns of a wider array; not by TF32 or bfloat16, which oneDNN knows too."""
    x, weight, bias = operands(dtype)
    exact = x.double() @ weight.double().T + bias.double()
    wide = torch.cat([x, x], dim=1)
    for rows, w in ((x, weight), (wide[:, :24], weight), (x, weight.T.contiguous().T)):
        found = affine(rows, w, bias)
        assert found.dtype == dtype
        torch.testing.assert_close(found.double(), exact, rtol=tolerance, atol=10 * tolerance)


def test_a_gradient_that_is_recorded_is_right_and_no_points_are_no_error() -> None:
    x, weight, bias = operands(torch.float32)
    x.requires_grad_()
    affine(x, weight, bias).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, weight.sum(0).expand_as(x))
    with torch.no_grad():
        assert affine(x[:0], weight, bias).shape == (0, 7)


def test_without_one_dnn_torch_multiplies(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight, bias = operands(torch.float32)
    by_one_dnn = affine(x, weight, bias)
    monkeypatch.setattr(module, "_ONE_DNN", False)
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", None)
    torch.testing.assert_close(affine(x, weight, bias), by_one_dnn, rtol=2e-6, atol=2e-5)
