"""The model: all that is needed to go from descriptors to the LDOS, and from there to energies, in one object and file.

    d(ε, r) = restrict(unscale(network(scale(B(r)))))
    n₀(r)   = unscale(last output of the network), where the model has a density channel

Without levels (`has_ldos` false) it is a model of the density alone: n, E_H, E_xc and ∫ v_xc n at the temperature of
the data, no D(ε), μ, E_b, −TS or A.

The density channel is the self-consistent density of the training's DFT at the model's temperature. The energies of an
LDOS belong to the potential that this density made, so it is where the double counting −E_H + E_xc − ∫ v_xc n is to be
taken: an error of n enters A to first order there, and f(ε) applied to a broadened LDOS does not give n well.

**What is bitwise the same.** The same descriptors in the same batches give the same bits on one machine, before and
after saving. Split into other batches they agree to rounding: matrix products sum in another order at the edges of a
batch. Of the largest value that is 4e-7 in float32 and 2e-15 in float64 (measured for 91-200-200-158, batches of 1 to
20 thousand).
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from maladist.elements import Element
from maladist.errors import InputError, ModelError
from maladist.learning.about import HELD_OUT, layers_of, model_rows
from maladist.learning.ensemble import EnsembleNetwork
from maladist.learning.network import FeedForward
from maladist.learning.packing import pack, unpack
from maladist.learning.pointwise import PointwiseModel
from maladist.learning.serialisation import SCALERS, metadata_of, parts_of, scalers_of, tensors_of
from maladist.physics.energy_zero import zero_of_energy
from maladist.reprs import html_table


class LDOSModel(PointwiseModel):
    """A trained map from descriptors to the local density of states, made of the parts of `ModelParts`."""

    def __str__(self) -> str:
        grid, symbols = self.energy_grid, " ".join(sorted(self.elements)) or "elements unknown"
        layers = layers_of(self.network)
        energies = str(grid) if not self.has_ldos else f"{grid.origin:g} to {grid.values[-1]:g} eV"
        energies += " from the cell's zero of energy" if self.energy_zero else ""
        energies += ", density channel" if self.has_density_channel and self.has_ldos else ""
        kind = "LDOS" if self.has_ldos else "Density"
        at = "" if self.temperature is None else f", trained at {self.temperature:g} K"
        return f"{kind} model of {symbols}: {self.descriptor.family}, network {layers}, {energies}{at}"

    def __repr__(self) -> str:
        return f"<{self}>"

    def _repr_html_(self) -> str:
        return html_table(str(self), model_rows(self, self.content_hash))

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> LDOSModel:
        """Copy of the model on a device and with a floating point type; this one is left as it is."""
        device = self.device if device is None else device
        # torch moves modules in place: the caller's model must not change its device.
        # The descriptors' scale is part of the model, and stays float64: only the network changes its type.
        network = copy.deepcopy(self.network).to(device=device, dtype=dtype or self.dtype)
        scalers: dict[str, Any] = {name: scaler.to(device) for name, scaler in scalers_of(self).items()}
        domain = None if self.domain is None else self.domain.to(device)
        return replace(self, network=network, domain=domain, **scalers)

    def members(self) -> list[LDOSModel]:
        """The models whose mean this one is, before negative values are dealt with; this one where it is no mean."""
        if not isinstance(self.network, EnsembleNetwork):
            return [self]
        # The errors that were calibrated are those of the mean.
        return [replace(self, network=network, uncertainty=None) for network in self.network.networks]

    @classmethod
    def mean_of(cls, models: Sequence[LDOSModel]) -> LDOSModel:
        """The mean of models that were trained alike but for the seed, as one model.

        Everything but the network is taken from the first, its provenance too.

        Raises
        ------
        ModelError
            Fewer than two models, or models of other descriptors, scalers or energies.
        """
        if len(models) < 2:
            raise ModelError("models", f"{len(models)}", "two or more")
        first, mine = models[0], tensors_of(models[0])
        for other in models[1:]:
            for what in ("descriptor", "energy_grid", "energy_zero", "restrict", "assume_isolated"):
                if getattr(first, what) != getattr(other, what):
                    raise ModelError("models", f"models of another {what}", "models that differ by the seed only")
            theirs = tensors_of(other)
            # Networks can be averaged only where they see and give the same scaled numbers.
            if any(
                n.startswith(SCALERS) and not torch.equal(t, theirs.get(n, t.new_empty(0))) for n, t in mine.items()
            ):
                raise ModelError("models", "models of other scalers", "models trained on the same samples")
        networks = [n for m in models for n in (one.network for one in m.members()) if isinstance(n, FeedForward)]
        return replace(first, network=EnsembleNetwork(copy.deepcopy(networks)).eval(), uncertainty=None)

    def stood_for_by(self, student: FeedForward) -> LDOSModel:
        """Copy of an ensemble where one network stands for the members' mean; it has no calibrated σ.

        Raises
        ------
        ModelError
            The model is no ensemble, or the student has other inputs or outputs than its members.
        """
        if not isinstance(self.network, EnsembleNetwork):
            raise ModelError("model", "one network", "an ensemble", "Train one with members: 3.")
        network = EnsembleNetwork(copy.deepcopy(self.network.networks), student).eval()
        # Errors that were measured are those of the members' mean.
        provenance = {k: v for k, v in self.provenance.items() if k != HELD_OUT}
        return replace(self, network=network, uncertainty=None, provenance=provenance)

    def placed(self, symbols: Sequence[str], volume: float) -> LDOSModel:
        """The model for one cell: with the energies that a DFT code gives them there.

        Parameters
        ----------
        symbols
            Chemical symbol of every atom.
        volume
            Volume of the cell, Å³.
        """
        if not self.energy_zero:
            return self
        grid, zero = self.energy_grid, zero_of_energy(self.energy_zero, symbols, volume)
        # The levels move with the cell; the placed model has no zero left that could be added twice.
        return replace(self, energy_grid=grid.shifted(zero), energy_zero={})

    def with_pseudopotentials(self, pseudopotentials: Mapping[str, Element]) -> LDOSModel:
        """Copy of the model that takes valence and core charge of its elements from pseudopotentials.

        Elements that the model does not know are ignored, unless it knows none; elements without a pseudopotential
        stay as they are. The functional is taken over too where the model's is unknown and theirs is one.

        Raises
        ------
        ModelError
            A pseudopotential with another valence than the model was trained with.
        """
        elements = dict(self.elements or pseudopotentials)
        for symbol, element in elements.items():
            new = elements[symbol] = pseudopotentials.get(symbol, element)
            if element.valence is None or new.valence is None:
                continue
            if not math.isclose(element.valence, new.valence, abs_tol=1e-3):
                came = f"{new.pseudopotential} with {new.valence:g} valence electrons for {symbol}"
                wanted = f"{element.valence:g}, with which the model was trained"
                raise ModelError("pseudopotentials", came, wanted, "Give the pseudopotential of the training data.")
        functionals = {element.xc for element in elements.values()}
        xc = functionals.pop() if self.xc is None and len(functionals) == 1 else self.xc
        return replace(self, elements=elements, xc=xc)

    def to_bytes(self) -> bytes:
        """Serialise: safetensors with JSON metadata, no pickles; equal models give equal bytes.

        Raises
        ------
        ModelError
            A provenance that JSON cannot hold.
        """
        return pack(metadata_of(self), tensors_of(self))

    @classmethod
    def from_bytes(cls, content: bytes) -> LDOSModel:
        """Read what ``to_bytes`` wrote.

        Raises
        ------
        ModelError
            Bytes that are truncated, damaged, of another kind or version, or parts that do not fit one another.
        """
        metadata, tensors = unpack(content)
        try:
            return cls(**parts_of(metadata, tensors))
        except ModelError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            came = str(error) if isinstance(error, InputError) else f"metadata that cannot be read ({error!r:.120})"
            raise ModelError("model", came, "a valid model file") from None

    @property
    def content_hash(self) -> str:
        """SHA-256 of the serialised model, hexadecimal: the same on any device, and after saving and loading.

        What its card says of errors on held-out cells does not count: a model that is evaluated stays the same model.
        """
        provenance = {k: v for k, v in self.provenance.items() if k != HELD_OUT}
        return hashlib.sha256(replace(self, provenance=provenance).to_bytes()).hexdigest()
