"""What a model is made of, held against one another: networks, scalers and what they were trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from maladist.choices import Functional
from maladist.descriptors import Spec
from maladist.elements import Element
from maladist.energy_grid import EnergyGrid
from maladist.errors import ModelError
from maladist.learning.domain import Domain
from maladist.learning.ensemble import EnsembleNetwork
from maladist.learning.network import FeedForward
from maladist.learning.scaling import Scaler
from maladist.learning.uncertainty import Uncertainty
from maladist.physics.isolated import Isolated

Restrict = Literal["none", "zero_out_negative", "absolute_values"]


@dataclass(frozen=True, eq=False)
class ModelParts:
    """The parts of a model; `LDOSModel` is what they do together.

    Attributes
    ----------
    network
        Scaled descriptors to scaled LDOS; one, or the mean of several.
    input_scaler, output_scaler
        Between descriptors, LDOS and what the network sees of them.
    descriptor
        Specification of the descriptors.
    energy_grid
        Energies of the LDOS, eV, with the broadening that the training data carried.
    elements
        Symbol to what is known of the element; the model knows these elements only. Empty where it does not say.
    xc
        Exchange-correlation functional of the training data: 'pbe', 'pw92', 'pz', or None where unknown.
    temperature
        Electronic temperature of the training data, K; None where unknown.
    spacing
        Grid spacing of the training data along a, b and c, Å; None where unknown.
    density_cutoff
        Kinetic energy of the sphere of plane waves of the density (ecutrho), eV; None where unknown.
    assume_isolated
        '2D' where the training data are slabs whose Coulomb interaction is cut off along c, see
        :mod:`maladist.physics.isolated`, and so are the cells that it predicts; None for crystals.
    restrict
        What is done with a negative LDOS: 'none', 'zero_out_negative' or 'absolute_values'.
    electrons_per_atom
        Mean over the training data, used where an element's valence is unknown.
    energy_zero
        c by element, eV Å³: ``energy_grid`` is that of a cell whose Σ c/Ω is zero, :meth:`placed` that of a real one;
        see :mod:`maladist.physics.energy_zero`. Empty where the energies are those of every cell.
    density_scaler
        Between the density n₀, 1/Å³, and the network's last output, where that is a density channel; else None.
    domain
        Where the model has been trained: cells and descriptors; None where it does not say.
    uncertainty
        How far its predictions may be from the DFT, calibrated; None where it has not been.
    provenance
        Where the model comes from; anything that JSON can hold.

    Raises
    ------
    ModelError
        The parts do not fit one another, or a value is out of range.
    """

    network: FeedForward | EnsembleNetwork
    input_scaler: Scaler
    output_scaler: Scaler
    descriptor: Spec
    energy_grid: EnergyGrid
    elements: Mapping[str, Element]
    xc: Functional | None = None
    temperature: float | None = None
    spacing: tuple[float, float, float] | None = None
    density_cutoff: float | None = None
    restrict: Restrict = "none"
    electrons_per_atom: float | None = None
    energy_zero: Mapping[str, float] = field(default_factory=dict)
    density_scaler: Scaler | None = None
    domain: Domain | None = None
    uncertainty: Uncertainty | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    assume_isolated: Isolated | None = None

    def __post_init__(self) -> None:
        self._check_fit()
        _one_of("restrict", self.restrict, get_args(Restrict))
        _one_of("xc", self.xc, (*get_args(Functional), None))
        _one_of("assume_isolated", self.assume_isolated, (*get_args(Isolated), None))
        if self.assume_isolated is not None and self.energy_zero:
            # The levels of a slab are those of its atoms' potentials; nothing is averaged to zero over its cell.
            raise ModelError("energy_zero", f"one with assume_isolated = '{self.assume_isolated}'", "none")
        _positive("temperature", self.temperature)
        _positive("density_cutoff", self.density_cutoff)
        _positive("electrons_per_atom", self.electrons_per_atom)
        if self.spacing is not None:
            if len(self.spacing) != 3:
                raise ModelError("spacing", f"{self.spacing!r:.80}", "three lengths in Å")
            for length in self.spacing:
                _positive("spacing", length)

    def _check_fit(self) -> None:
        if not self.has_ldos and self.density_scaler is None:
            raise ModelError("model", "neither energies of an LDOS nor a density channel", "one of them")
        features, levels = self.descriptor.n_features, self.energy_grid.levels
        # What does not fit would fail in the middle of a run, or worse, broadcast.
        outputs = (levels, "levels of the energy grid")
        if self.density_scaler is not None:
            outputs = (levels + 1, "levels of the energy grid and a density")
        pairs = [
            ("network", self.network.n_inputs, features, "features of the descriptor"),
            ("network", self.network.n_outputs, *outputs),
            ("input scaler", self.input_scaler.n_features, features, "features of the descriptor"),
            ("output scaler", self.output_scaler.n_features, levels, "levels of the energy grid"),
            ("domain", self.domain and self.domain.n_features, features, "features of the descriptor"),
        ]
        for part, came, wanted, of in pairs:
            if came is not None and came != wanted:
                raise ModelError("model", f"a {part} for {came} where there are {wanted} {of}", "parts that fit")
        if self.uncertainty is not None and self.domain is None:
            raise ModelError("uncertainty", "a calibration without a domain", "one of a model that knows its training")
        wrong = [symbol for symbol, element in self.elements.items() if element.symbol != symbol]
        if wrong:
            raise ModelError("elements", ", ".join(wrong), "elements under their own symbols")
        unfit = [symbol for symbol, c in self.energy_zero.items() if not math.isfinite(c)]
        if unfit or (self.energy_zero and set(self.elements) - set(self.energy_zero)):
            raise ModelError(
                "energy_zero",
                f"{dict(self.energy_zero)!r:.80}",
                "a finite number for every element of the model, or none at all",
            )

    @property
    def has_density_channel(self) -> bool:
        """Whether the network also gives the self-consistent density n₀ of its training's DFT."""
        return self.density_scaler is not None

    @property
    def has_ldos(self) -> bool:
        """Whether the network gives the LDOS; where not, it is a model of the density alone."""
        return self.energy_grid.levels > 0

    def need_ldos(self, what: str) -> None:
        """Refuse to give what a model of the density alone does not have.

        Parameters
        ----------
        what
            Name of the quantity or option.

        Raises
        ------
        ModelError
            There is no LDOS.
        """
        if not self.has_ldos:
            raise ModelError("model", f"one of the density alone, which has no {what}", "a model with an LDOS")


def _one_of(name: str, value: object, allowed: Sequence[object]) -> None:
    if value not in allowed:
        raise ModelError(name, f"{value!r:.60}", f"one of {', '.join(map(str, allowed))}")


def _positive(name: str, value: float | None) -> None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise ModelError(name, f"{value!r:.60}", "a positive number, or none where unknown")
