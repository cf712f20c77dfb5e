r"""Losses of a batch of portions, each of P points of one snapshot: the LDOS' error and what the energies feel of it.

With the scaled LDOS y of the network and y⁰ of the data at a point, ρ = d − d⁰ their difference in 1/(eV Å³), and the
weights w_N and w_B of :func:`maladist.physics.fermi_weights` at the DFT's Fermi level μ and temperature, each point has
two residuals, those of the integrals of f·d and (ε − μ) f·d, times the volume per atom:

    q_N(r) = Ω/n_atoms · w_N · ρ(r)              electrons per atom
    q_B(r) = Ω/n_atoms · (w_B − μ w_N) · ρ(r)    eV per atom

Their means over a cell are the errors of N and, to first order and with the number of electrons fixed, of E_b, per
atom. Errors that average out over the cell do no harm to A, those of the cell's mean do; so both are to be had:

    ldos          ⟨ |y − y⁰|² ⟩, or its absolute value, or Huber's function
    channel       the same of the density channel's output, where the network has one
    density, band            ⟨ q_N² ⟩, ⟨ q_B² ⟩
    mean_density, mean_band  ⟨ q_N ⟩², ⟨ q_B ⟩²
    mean_total               ⟨ q_A ⟩²
    forces                   mean square error of the force components, of one of the batch's snapshots

with ⟨⟩ over the portion's points; the loss is their weighted sum, averaged over the portions. The mean of P points
differs from the cell's by ⟨q²⟩/P or so: portions want to be large where the mean is to count.

The last is the error of the total free energy itself, with all that cancels between its terms. A is linear in small
errors: with w_S the weights of −TS, u(r) of :mod:`maladist.physics.double_counting` and δn the error of the density
that the double counting is taken at (the channel's, or w_N · ρ where there is none),

    q_A(r) = Ω/n_atoms · [(w_B + w_S − μ w_N) · ρ(r) + u(r) δn(r)]               eV per atom

The weights. An error of one unit of the scaled LDOS at all occupied levels of all points is tens of eV per atom, so a
weight of 0.001 of the means already pulls about as hard as the LDOS' own error does. Much larger ones make the problem
so stiff that Adam crawls. Mean |ΔE_b| and |ΔA| of held-out snapshots, meV/atom (60 snapshots of Be8 with 512 points
each, 120 epochs, one seed): 25 and 26 without them, 23 and 21 at 0.001, 15 and 13 at 0.004, 50 and 49 at 0.03.

Each portion's averages are means over points, so those of parts of a snapshot merge: a validation of whole
snapshots takes them chunk by chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from maladist.choices import CorrectionMode
from maladist.configuration import Section
from maladist.energy_grid import EnergyGrid
from maladist.learning.outputs import Outputs
from maladist.physics.fermi import fermi_weights

TERMS: Final = ("ldos", "channel", "density", "band", "mean_density", "mean_band", "mean_total")
"""Terms of the loss by the keys of their weights."""
FORCES: Final = "forces"
"""Key and name of the term that is no average over points; see :mod:`maladist.training.forces`."""
_SQUARED: Final = 3  # the last ones are squares of averages, the others averages

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class LossConfig(Section):
    """Weights of the terms of the loss; formulas in the module's head.

    Attributes
    ----------
    kind
        Error of the scaled LDOS: 'mse', 'mae' or 'huber'.
    huber_delta
        Error at which 'huber' turns from square to linear, in the scaled LDOS' unit.
    ldos
        Weight of the scaled LDOS' error.
    channel
        Weight of the scaled density's error, where there is a density channel.
    density, band
        Weights of the squared errors of f·d and (ε − μ) f·d at each point, times volume per atom: electrons² and eV²
        per atom².
    mean_density, mean_band
        Weights of the squares of the same errors averaged over a snapshot's points first: what the energies feel.
    mean_total
        Weight of the square of the total free energy's error, eV² per atom². It needs the DFT's density and
        pseudopotentials.
    forces
        Weight of the mean square error of the force components, eV²/Å²; formulas in :mod:`maladist.training.forces`. It
        needs the DFT's forces, density and pseudopotentials.
    broadening_correction
        Correction for the broadening, in the integrals' weights and in the validation's energies.
    """

    kind: Literal["mse", "mae", "huber"] = "mse"
    huber_delta: float = Field(default=1.0, gt=0)
    ldos: Weight = 1.0
    channel: Weight = 1.0
    density: Weight = 0.0
    band: Weight = 0.0
    mean_density: Weight = 0.0
    mean_band: Weight = 0.0
    mean_total: Weight = 0.0
    forces: Weight = 0.0
    broadening_correction: CorrectionMode = "auto"

    @property
    def integrals(self) -> bool:
        """Whether any term needs the Fermi-weighted integrals."""
        return max(self.density, self.band, self.mean_density, self.mean_band, self.mean_total) > 0

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
        Volume per atom, Å³.
    fermi_energy
        Fermi level μ of the DFT, eV.
    temperature
        Temperature of the electrons, K.
    """

    volume_per_atom: float
    fermi_energy: float
    temperature: float

    def weights(self, energies: EnergyGrid, *, correction: bool) -> Tensor:
        """Weights of q_N, q_B and the LDOS' part of q_A, (levels, 3) float64."""
        w = fermi_weights(energies, self.fermi_energy, self.temperature, correction=correction)
        band = w.band - self.fermi_energy * w.number
        return self.volume_per_atom * torch.stack([w.number, band, band + w.entropy], dim=-1)


class LDOSLoss:
    """The loss of a configuration, for the snapshots of a training.

    Parameters
    ----------
    config
        Kind and weights of the terms.
    sensitivities
        What the energies of every snapshot feel, by its number; None where no term needs them.
    energies, outputs
        Energy grid, and scaling of LDOS and density.
    correction
        Whether the integrals are corrected for the broadening.
    device
        Device that the batches will be on.
    """

    def __init__(
        self,
        config: LossConfig,
        sensitivities: Sequence[Sensitivity | None],
        energies: EnergyGrid,
        outputs: Outputs,
        *,
        correction: bool,
        device: torch.device | str = "cpu",
    ) -> None:
        self.config, self.levels, self.outputs = config, energies.levels, outputs.to(device)
        self.terms = torch.tensor([getattr(config, name) for name in TERMS], device=device)
        self.weights: Tensor | None = None
        # Where no term needs them, a snapshot may tell none.
        felt = [s for s in sensitivities if s is not None]
        if config.integrals and felt:
            # The scaler is affine: its linear part, put into the weights, takes errors of the
            # scaled LDOS straight to energies.
            linear = outputs.ldos.of_differences.inverse(torch.eye(energies.levels).double())
            known = torch.stack([s.weights(energies, correction=correction) for s in felt])
            self.weights = (linear @ known).float().to(device)
            self.volumes = torch.tensor([s.volume_per_atom for s in felt], device=device)

    def averages(self, y: Tensor, targets: Tensor, snapshots: Tensor) -> Tensor:
        """Averages of each portion over its points.

        Parameters
        ----------
        y
            Outputs of the network, (portions, points, levels) or one more for the density, scaled.
        targets
            Their data, not scaled: LDOS in 1/(eV Å³), density in 1/Å³ where y has it, and in a last column u in eV
            where ``mean_total`` has a weight.
        snapshots
            Number of each portion's snapshot, (portions,) int64.

        Returns
        -------
        Tensor
            The averages, (portions, terms), in the order of ``TERMS``: the errors of LDOS and channel, ⟨q_N²⟩, ⟨q_B²⟩,
            ⟨q_N⟩, ⟨q_B⟩, ⟨q_A⟩; 0 for what has no weight.
        """
        return self.averages_of_scaled(y, self.outputs.transform(targets, self.levels), snapshots, targets[..., -1])

    def averages_of_scaled(self, y: Tensor, target: Tensor, snapshots: Tensor, potential: Tensor) -> Tensor:
        """The same with targets that are scaled as y is, and u in eV by itself, which ``mean_total`` alone looks at."""
        # float32 under autocast too: squares of bfloat16 would have two digits.
        out = y.new_zeros(len(y), len(TERMS), dtype=torch.float32)
        if self.levels:
            out[:, 0] = _error(self.config, y[..., : self.levels], target[..., : self.levels]).mean(dim=(1, 2))
        if self.outputs.extra:
            out[:, 1] = _error(self.config, y[..., self.levels], target[..., self.levels]).mean(dim=1)
        if self.weights is not None:
            ldos_error = (y[..., : self.levels] - target[..., : self.levels]).float()
            q = torch.bmm(ldos_error, self.weights[snapshots])
            out[:, 2:4] = (q[..., :2] ** 2).mean(dim=1)
            out[:, 4:6] = q[..., :2].mean(dim=1)
            if self.config.mean_total:
                electrons = q[..., 0]
                if self.outputs.density is not None:
                    density_error = (y[..., self.levels] - target[..., self.levels]).float()
                    scale = self.outputs.density.scale.to(density_error) * self.volumes[snapshots][:, None]
                    electrons = density_error * scale
                out[:, 6] = (q[..., 2] + potential * electrons).mean(dim=1)
        return out

    def terms_of(self, averages: Tensor) -> Tensor:
        """Weighted terms, in the order of ``TERMS``, from the averages of portions or of whole snapshots.

        The loss is their sum.
        """
        plain, squared = averages[:, :-_SQUARED], averages[:, -_SQUARED:] ** 2
        return (torch.cat([plain, squared], dim=1) * self.terms.to(averages)).mean(dim=0)

    def __call__(self, y: Tensor, targets: Tensor, snapshots: Tensor) -> Tensor:
        """The loss of a batch; parameters are those of ``averages``."""
        return self.terms_of(self.averages(y, targets, snapshots)).sum()


def _error(config: LossConfig, y: Tensor, target: Tensor) -> Tensor:
    if config.kind == "mse":
        return functional.mse_loss(y, target, reduction="none")
    if config.kind == "mae":
        return functional.l1_loss(y, target, reduction="none")
    return functional.huber_loss(y, target, reduction="none", delta=config.huber_delta)
