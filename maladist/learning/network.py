"""The feed-forward network: plain layers, or residual ones, built from a JSON-able configuration.

A layer computes activation(W x + b). With ``residual`` a layer whose input and output are equally wide adds its input:
x + activation(W x + b). Dropout acts on the hidden layers' output, while training only.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import torch
from torch import nn

from maladist.errors import ModelError
from maladist.learning.affine import affine

ACTIVATIONS: Final = (
    *("CELU", "ELU", "GELU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "Identity", "LeakyReLU"),
    *("LogSigmoid", "LogSoftmax", "Mish", "PReLU", "RReLU", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softmax"),
    *("Softmin", "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink"),
)
"""Names of torch.nn's activation functions that keep the number of features; each with torch's default parameters."""

_LARGEST: Final = 1e10  # of a weight: the output of a damaged one overflows
_OVER_FEATURES = ("LogSoftmax", "Softmax", "Softmin")


def activation(name: str | None) -> nn.Module:
    """Activation function of a name in ``ACTIVATIONS``; None is the identity.

    Raises
    ------
    ModelError
        The name is not one of them.
    """
    if name is None:
        return nn.Identity()
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ModelError("activation", f"{name!r:.60}", f"one of {', '.join(ACTIVATIONS)}, or none")
    # torch would guess the dimension, and warn of it.
    made = getattr(nn, name)(dim=-1) if name in _OVER_FEATURES else getattr(nn, name)()
    assert isinstance(made, nn.Module)
    return made


class FeedForward(nn.Module):
    """A fully connected network from descriptors to the LDOS, both scaled.

    Parameters
    ----------
    layer_sizes
        Widths of the layers, input and output included: (features, hidden ..., levels).
    activations
        Names of torch's activation functions after each layer, None for a linear layer. A list shorter than the layers
        leaves the rest linear. A single name stands after every layer but the last.
    dropout
        Probability of dropping a hidden value while training, 0 ≤ p < 1.
    residual
        Whether to add a layer's input to its output where both are equally wide.

    Raises
    ------
    ModelError
        The sizes are not two or more positive integers, there are more activations than layers, an unknown one, or a
        dropout outside [0, 1).
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        activations: Sequence[str | None] | str = "SiLU",
        *,
        dropout: float = 0.0,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.layer_sizes = _checked_sizes(layer_sizes)
        layers = len(self.layer_sizes) - 1
        names = [activations] * (layers - 1) if isinstance(activations, str) else list(activations)
        if len(names) > layers:
            raise ModelError("activations", f"{len(names)} for {layers} layers", "at most one a layer")
        if not 0 <= dropout < 1:
            raise ModelError("dropout", f"{dropout}", "a probability, 0 ≤ p < 1")
        self.activation_names: tuple[str | None, ...] = (*names, *[None] * (layers - len(names)))
        self.residual = bool(residual)
        self.linear = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(self.layer_sizes))
        self.activation = nn.ModuleList(map(activation, self.activation_names))
        self.dropout = nn.Dropout(dropout)

    @property
    def n_inputs(self) -> int:
        """Number of features."""
        return self.layer_sizes[0]

    @property
    def n_outputs(self) -> int:
        """Number of energy levels."""
        return self.layer_sizes[-1]

    @property
    def dtype(self) -> torch.dtype:
        """Floating point type of the weights."""
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(self.parameters()).device

    @property
    def evaluated(self) -> list[FeedForward]:
        """The networks that a value takes: this one."""
        return [self]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map scaled descriptors (n, features) to the scaled LDOS (n, levels)."""
        return self._through(x, len(self.linear))

    def hidden(self, x: torch.Tensor) -> torch.Tensor:
        """Map scaled descriptors to what the last layer sees, (n, width); to its outputs where it is not linear."""
        return self._through(x, len(self.linear) - int(self._ends_linear))

    def head(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Matrix W (width, levels) and offsets b (levels,), float64, with which the outputs are hidden W + b."""
        last = self._last
        matrix = self._matrix(last.weight.detach().double())
        return matrix, last.bias.detach().double() if self._ends_linear else torch.zeros_like(matrix[0])

    def last(self, dtype: torch.dtype) -> torch.Tensor:
        """W of `head` in this type, with its graph."""
        return self._matrix(self._last.weight.to(dtype))

    def _matrix(self, weight: torch.Tensor) -> torch.Tensor:
        """W of `head`, from the weight of the last layer."""
        unit = torch.eye(self.n_outputs, dtype=weight.dtype, device=weight.device)
        if not self._ends_linear:
            return unit
        return weight.T + unit if self._adds(*weight.T.shape) else weight.T

    @property
    def _last(self) -> nn.Linear:
        last = self.linear[-1]
        assert isinstance(last, nn.Linear)
        return last

    @property
    def _ends_linear(self) -> bool:
        return isinstance(self.activation[-1], nn.Identity)

    def _adds(self, n_in: int, n_out: int) -> bool:
        """Whether a layer of these widths adds its input to its output."""
        return self.residual and n_in == n_out

    def _through(self, x: torch.Tensor, layers: int) -> torch.Tensor:
        """The first layers."""
        for i, (linear, act) in enumerate(zip(self.linear[:layers], self.activation[:layers], strict=True)):
            assert isinstance(linear, nn.Linear)
            y = act(affine(x, linear.weight, linear.bias))
            if i < len(self.linear) - 1:
                # Not of the last layer: a dropped level would be an LDOS of zero.
                y = self.dropout(y)
            x = x + y if self._adds(x.shape[-1], y.shape[-1]) else y
        return x

    def config(self) -> dict[str, Any]:
        """Everything but the weights, JSON-able: ``FeedForward(**config)`` makes an equal network."""
        return {
            "layer_sizes": list(self.layer_sizes),
            "activations": list(self.activation_names),
            "dropout": self.dropout.p,
            "residual": self.residual,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], weights: dict[str, torch.Tensor]) -> FeedForward:
        """Rebuild a network from ``config()`` and its state dict.

        Nothing is allocated but the weights given, so a configuration that lies about its sizes costs no memory.

        Raises
        ------
        ModelError
            Weights that do not fit the configuration or are not finite.
        """
        with torch.device("meta"):
            network = cls(**config)
        try:
            network.load_state_dict(weights, strict=True, assign=True)
        except RuntimeError as error:
            lines = [line.strip() for line in str(error).splitlines()[1:]] or [str(error)]
            raise ModelError("network", lines[0], f"weights for layers {network.layer_sizes}") from None
        for name, weight in network.named_parameters():
            if not (weight.is_floating_point() and bool((weight.abs() <= _LARGEST).all())):
                came = f"weights {name} that are not finite, or beyond {_LARGEST:.0e}"
                raise ModelError("network", came, "finite weights", "Train it again.")
        if len({weight.dtype for weight in network.parameters()}) != 1:
            raise ModelError("network", "weights of several types", "one floating point type")
        return network


def _checked_sizes(layer_sizes: Sequence[int]) -> tuple[int, ...]:
    sizes = tuple(layer_sizes)
    if len(sizes) < 2 or any(not isinstance(n, int) or isinstance(n, bool) or n < 1 for n in sizes):
        raise ModelError("layer_sizes", f"{sizes!r:.80}", "two or more positive integers")
    return sizes
