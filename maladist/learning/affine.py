"""The product that a network is made of."""

from __future__ import annotations

from typing import Final

import torch
from torch.nn import functional

_ONE_DNN: Final = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def affine(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Rows x Wᵀ + b, (n, outputs), of rows (n, inputs), a weight (outputs, inputs) and a bias (outputs,).

    On a CPU, in float32 and where no gradient is recorded, oneDNN multiplies: on an AMD EPYC at 210 Gflop/s a core,
    where MKL, which torch takes by itself, makes 110. It is the operator that torch's own compiler calls, and knows no
    gradient; where a torch does not have it, torch's own product serves.
    """
    recorded = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad or bias.requires_grad)
    suits = x.dtype == torch.float32 and x.device.type == "cpu" and x.numel() > 0
    if recorded or not (_ONE_DNN and suits):
        return functional.linear(x, weight, bias)
    product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product
