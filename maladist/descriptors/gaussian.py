"""placeholder"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from collections.abc import Mapping

from maladist.descriptors.spec import Kernel, Spec, positive


@dataclass(frozen=True)
class GaussianSpec(Spec):
    """Gaussians."""

    family: ClassVar[str] = "gaussian"
    cutoff: float
    sigma: float

    def __post_init__(self) -> None:
        positive("cutoff", self.cutoff)

    @property
    def n_features(self) -> int:
        """1."""
        return 1

    def kernels(self) -> Mapping[str, Kernel]:
        """torch."""
        return {}
