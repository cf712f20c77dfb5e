"""All that a network gives at a point: the levels of the LDOS, then the density where there is a channel for it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from maladist.learning.scaling import Scaler


@dataclass(frozen=True, eq=False)
class Outputs:
    """Scaling of a network's outputs, in their order.

    Attributes
    ----------
    ldos
        Scaler of the levels, 1/(eV Å³).
    density
        Scaler of the density channel, 1/Å³; None where there is none.
    """

    ldos: Scaler
    density: Scaler | None = None

    @property
    def extra(self) -> int:
        """Number of outputs after the levels."""
        return 0 if self.density is None else 1

    def transform(self, values: torch.Tensor, levels: int) -> torch.Tensor:
        """Scale rows (..., columns) of levels and density; columns beyond these are left out."""
        ldos = self.ldos.transform(values[..., :levels])
        if self.density is None:
            return ldos
        return torch.cat([ldos, self.density.transform(values[..., levels : levels + 1])], dim=-1)

    def to(self, device: torch.device | str) -> Outputs:
        """The same with its tensors on a device."""
        return Outputs(self.ldos.to(device), None if self.density is None else self.density.to(device))
