r"""Losses of a batch of portions, each of P points of one snapshot: the LDOS' error and what the energies feel of it.

With the scaled LDOS y of the network and y⁰ of the data at a point, ρ = d − d⁰ their difference in 1/(eV Å³), and the
weights w_N and w_B of :func:`maladist.physics.fermi_weights` at the DFT's Fermi level μ and temperature, each point has
two residuals, those of the integrals of f·d and (ε − μ) f·d, times the volume per atom:

    q_N(r) = Ω/n_atoms · w_N · ρ(r)              electrons per atom
    q_B(r) = Ω/n_atoms · (w_B − μ w_N) · ρ(r)    eV per atom

Their means over a cell are the errors of N and, to first order and with the number of electrons fixed, of E_b, per
atom. Errors that average out over the cell do no harm to A, those of the cell's mean do; so both are to be had:

    ldos          ⟨ |y − y⁰|² ⟩, or its absolute value, or Huber's function
    density, band            ⟨ q_N² ⟩, ⟨ q_B² ⟩
    mean_density, mean_band  ⟨ q_N ⟩², ⟨ q_B ⟩²

with ⟨⟩ over the portion's points; the loss is their weighted sum, averaged over the portions. The mean of P points
differs from the cell's by ⟨q²⟩/P or so: portions want to be large where the mean is to count.

The weights. An error of one unit of the scaled LDOS at all occupied levels of all points is tens of eV per atom, so a
weight of 0.001 of the means already pulls about as hard as the LDOS' own error does. Much larger ones make the problem
so stiff that Adam crawls. Mean |ΔE_b| and |ΔA| of held-out snapshots, meV/atom (60 snapshots of Be8 with 512 points
each, 120 epochs, one seed): 25 and 26 without them, 23 and 21 at 0.001, 15 and 13 at 0.004, 50 and 49 at 0.03.

Each portion's five averages are means over points, so those of parts of a snapshot merge: a validation of whole
snapshots takes them chunk by chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from maladist.configuration import Section
from maladist.grid import EnergyGrid
from maladist.learning.scaling import Scaler
from maladist.physics.fermi import CorrectionMode, fermi_weights

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class LossConfig(Section):
    """Weights of the terms of the loss; formulas in the module's head.

    Attributes
    ----------
    kind
        'mse', 'mae' or 'huber' of the scaled LDOS.
    huber_delta
        Where 'huber' turns from square to linear, in the scaled LDOS' unit.
    ldos
        Of the scaled LDOS' error.
    density, band
        Of the squared errors of f·d and (ε − μ) f·d at each point, times volume per atom: electrons² and eV² per atom².
    mean_density, mean_band
        Of the squares of the same errors averaged over a snapshot's points first: what the energies feel.
    correction
        Of the broadening, in the integrals' weights and in the validation's energies.
    """

    kind: Literal["mse", "mae", "huber"] = "mse"
    huber_delta: float = Field(default=1.0, gt=0)
    ldos: Weight = 1.0
    density: Weight = 0.0
    band: Weight = 0.0
    mean_density: Weight = 0.0
    mean_band: Weight = 0.0
    correction: CorrectionMode = "auto"

    @property
    def integrals(self) -> bool:
        """Whether any term needs the Fermi-weighted integrals."""
        return max(self.density, self.band, self.mean_density, self.mean_band) > 0

    @model_validator(mode="after")
    def _something(self) -> LossConfig:
        if self.ldos == 0 and not self.integrals:
            raise ValueError("at least one weight above zero")
        return self


@dataclass(frozen=True)
class Sensitivity:
    """What turns an error of the LDOS into errors of N and E_b per atom.

    Attributes
    ----------
    volume_per_atom
        Å³.
    fermi_energy
        μ of the DFT, eV.
    temperature
        K.
    """

    volume_per_atom: float
    fermi_energy: float
    temperature: float

    def weights(self, energies: EnergyGrid, *, correction: bool) -> Tensor:
        """Weights of q_N and q_B, (levels, 2) float64."""
        w = fermi_weights(energies, self.fermi_energy, self.temperature, correction=correction)
        return self.volume_per_atom * torch.stack([w.number, w.band - self.fermi_energy * w.number], dim=-1)


class LDOSLoss:
    """The loss of a configuration, for the snapshots of a training.

    Parameters
    ----------
    config
        Kind and weights.
    sensitivities
        Of every snapshot, by its number; None where no term needs them.
    energies, outputs
        Energy grid and scaling of the LDOS.
    correction
        Of the broadening.
    device
        Where the batches will be.
    """

    def __init__(
        self,
        config: LossConfig,
        sensitivities: Sequence[Sensitivity | None],
        energies: EnergyGrid,
        outputs: Scaler,
        *,
        correction: bool,
        device: torch.device | str = "cpu",
    ) -> None:
        self.config = config
        self.terms = torch.tensor([config.ldos, config.density, config.band, config.mean_density, config.mean_band])
        self.terms = self.terms.to(device)
        self.weights: Tensor | None = None
        known = [s.weights(energies, correction=correction) for s in sensitivities if s is not None]
        if config.integrals and known:
            linear = outputs.inverse(torch.eye(energies.levels).double()) - outputs.inverse(
                torch.zeros(1, energies.levels).double()
            )
            self.weights = (linear @ torch.stack(known)).float().to(device)

    def averages(self, y: Tensor, target: Tensor, snapshots: Tensor) -> Tensor:
        """Averages of each portion over its points.

        Parameters
        ----------
        y, target
            Scaled LDOS of network and data, (portions, points, levels).
        snapshots
            Number of each portion's snapshot, (portions,) int64.

        Returns
        -------
        Tensor
            (portions, 5): the LDOS' error, ⟨q_N²⟩, ⟨q_B²⟩, ⟨q_N⟩, ⟨q_B⟩; the last four 0 where no term needs them.
        """
        ldos = _error(self.config, y, target).mean(dim=(1, 2))
        if self.weights is None:
            return torch.cat([ldos[:, None], ldos.new_zeros(len(ldos), 4)], dim=1)
        q = torch.bmm((y - target).float(), self.weights[snapshots])
        return torch.cat([ldos[:, None], (q**2).mean(dim=1), q.mean(dim=1)], dim=1)

    def terms_of(self, averages: Tensor) -> Tensor:
        """Weighted terms, (5,), from the averages of portions or of whole snapshots; the loss is their sum."""
        return (torch.cat([averages[:, :3], averages[:, 3:] ** 2], dim=1) * self.terms.to(averages)).mean(dim=0)

    def __call__(self, y: Tensor, target: Tensor, snapshots: Tensor) -> Tensor:
        """The loss of a batch; parameters are those of ``averages``."""
        return self.terms_of(self.averages(y, target, snapshots)).sum()


def _error(config: LossConfig, y: Tensor, target: Tensor) -> Tensor:
    if config.kind == "mse":
        return functional.mse_loss(y, target, reduction="none")
    if config.kind == "mae":
        return functional.l1_loss(y, target, reduction="none")
    return functional.huber_loss(y, target, reduction="none", delta=config.huber_delta)
