"""Networks whose mean is one network: trained by different seeds, they disagree most where they know least.

One network that has learnt to give that mean (:mod:`maladist.training.distil`) may stand for it, for a k-th of its
cost; the members then serve their spread alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from maladist.errors import ModelError
from maladist.learning.network import FeedForward


class EnsembleNetwork(nn.Module):
    """The mean of k networks, as one network.

    All see the same scaled descriptors and give the same scaled LDOS: members trained on the same data share the
    scalers, which are affine, so the mean of scaled LDOS is that of the LDOS. What a model does with a negative LDOS
    is done to the mean.

    Parameters
    ----------
    members
        Two or more networks of equal inputs and outputs; their hidden layers may differ.
    student
        Network that gives the members' mean in their place; None where it is taken of them.

    Raises
    ------
    ModelError
        There are fewer than two members, or they do not fit one another, or the student does not fit them.
    """

    def __init__(self, members: Sequence[FeedForward], student: FeedForward | None = None) -> None:
        super().__init__()
        if len(members) < 2:
            raise ModelError("members", f"{len(members)} networks", "two or more")
        first = members[0]
        for other in [*members[1:], *([] if student is None else [student])]:
            for what in ("n_inputs", "n_outputs", "dtype"):
                a, b = getattr(first, what), getattr(other, what)
                if a != b:
                    raise ModelError("members", f"networks with {what} {a} and {b}", "networks alike in that")
        self.members = nn.ModuleList(members)
        self.student = student

    @property
    def networks(self) -> list[FeedForward]:
        """The members."""
        return [member for member in self.members if isinstance(member, FeedForward)]

    @property
    def evaluated(self) -> list[FeedForward]:
        """The networks that a value takes: the student, or all members."""
        return self.networks if self.student is None else [self.student]

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Widths of the layers of the first network that is evaluated."""
        return self.evaluated[0].layer_sizes

    @property
    def n_inputs(self) -> int:
        """Number of features."""
        return self.networks[0].n_inputs

    @property
    def n_outputs(self) -> int:
        """Number of energy levels."""
        return self.networks[0].n_outputs

    @property
    def dtype(self) -> torch.dtype:
        """Floating point type of the weights."""
        return self.networks[0].dtype

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.networks[0].device

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map scaled descriptors (n, features) to the mean of the members' scaled LDOS (n, levels)."""
        first, *others = self.evaluated
        # One after the other and added up: the memory of one network's output, not of k.
        total: torch.Tensor = first(x)
        for network in others:
            total = total + network(x)
        return total / len(self.evaluated)

    def hidden(self, x: torch.Tensor) -> torch.Tensor:
        """Map scaled descriptors to what the last layers see, side by side, (n, Σ widths)."""
        return torch.cat([network.hidden(x) for network in self.evaluated], dim=1)

    def head(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Matrix W (Σ widths, levels) and offsets b (levels,), float64: one product gives the mean, hidden W + b."""
        matrices, offsets = zip(*(network.head() for network in self.evaluated), strict=True)
        return torch.cat(matrices) / len(matrices), torch.stack(offsets).mean(0)

    def config(self) -> dict[str, Any]:
        """Everything but the weights, JSON-able; see `network_from_config`."""
        student = {} if self.student is None else {"student": self.student.config()}
        return {"members": [network.config() for network in self.networks], **student}


def network_from_config(config: dict[str, Any], weights: dict[str, torch.Tensor]) -> FeedForward | EnsembleNetwork:
    """Rebuild a network, or an ensemble of them, from ``config()`` and its state dict.

    Raises
    ------
    ModelError
        The weights do not fit the configuration or are not finite.
    """
    if "members" not in config:
        return FeedForward.from_config(config, weights)
    prefixed = {f"members.{i}.": one for i, one in enumerate(config["members"])}
    if "student" in config:
        prefixed["student."] = config["student"]
    networks = []
    for prefix, one in prefixed.items():
        its = {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}
        networks.append(FeedForward.from_config(one, its))
    known = sum(len(network.state_dict()) for network in networks)
    # Weights that no network takes would be lost without a word.
    if known != len(weights):
        raise ModelError("network", f"{len(weights)} weights", f"the {known} of {len(networks)} networks")
    k = len(config["members"])
    return EnsembleNetwork(networks[:k], *networks[k:])
