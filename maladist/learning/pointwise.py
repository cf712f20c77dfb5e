"""A model as a function of the descriptors of points: LDOS, density channel, novelty, and the way back.

    d(ε, r) = restrict(unscale(network(scale(B(r)))))

in two steps: `hidden` is all but the last layer, `Head` the last layer with all that comes after it.
"""

from __future__ import annotations

from typing import Final

import torch

from maladist.errors import ModelError
from maladist.learning.head import Head
from maladist.learning.parts import ModelParts

_BATCH: Final = {"cpu": 2048}  # larger ones leave a core's cache
_BATCH_OTHER: Final = 65536


class PointwiseModel(ModelParts):
    """What a model gives at points."""

    @property
    def dtype(self) -> torch.dtype:
        """Floating point type that the LDOS is predicted in."""
        return self.network.dtype

    @property
    def device(self) -> torch.device:
        """Device that the LDOS is predicted on."""
        return self.network.device

    @property
    def batch(self) -> int:
        """Number of points in a batch that suits the device."""
        return _BATCH.get(self.device.type, _BATCH_OTHER)

    def ldos(self, descriptors: torch.Tensor, *, batch: int | None = None, grad: bool = False) -> torch.Tensor:
        """Local density of states at points from their descriptors: the first of :meth:`fields`.

        Raises
        ------
        ModelError
            A model of the density alone.
        """
        self.need_ldos("LDOS")
        return self.fields(descriptors, batch=batch, grad=grad)[0]

    def novelty(self, descriptors: torch.Tensor) -> torch.Tensor:
        """Distance of points from the model's training, (n,), above 1 outside of it: see `maladist.learning.domain`.

        Raises
        ------
        ModelError
            A model that does not know its domain.
        """
        with torch.no_grad():
            x = descriptors.to(self.device, self.dtype)
            return self._novelty(x, self.input_scaler.transform(x))

    def _novelty(self, descriptors: torch.Tensor, scaled: torch.Tensor) -> torch.Tensor:
        if self.domain is None:
            raise ModelError("model", "it does not know where it has been trained", "a model with a domain")
        # Where the input scaler whitens, its result serves the domain too.
        whitening = self.domain.whitening
        return self.domain.novelty(scaled if whitening is None else whitening.transform(descriptors))

    def hidden(self, descriptors: torch.Tensor, novelty: torch.Tensor | None = None) -> torch.Tensor:
        """What the networks' last layers see of points, (n, width): see `maladist.learning.head`.

        Parameters
        ----------
        descriptors
            Descriptors of a batch of points, (n, n_features), of any floating point type and device.
        novelty
            (n,), is filled with what :meth:`novelty` gives: it is had on the way, nearly for nothing.
        """
        # Dropout off, and the same function for all batches.
        if self.network.training:
            self.network.eval()
        # Here and not for all at once: of a whole block only a batch is on the device.
        descriptors = descriptors.to(self.device, self.dtype)
        scaled = self.input_scaler.transform(descriptors)
        if novelty is not None:
            # Into the caller's memory: a second output would double what comes back from a device.
            novelty.copy_(self._novelty(descriptors, scaled))
        return self.network.hidden(scaled)

    def fields(
        self, descriptors: torch.Tensor, *, batch: int | None = None, grad: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Local density of states and, from a model with a density channel, the density n₀ at points.

        Parameters
        ----------
        descriptors
            Descriptors, (n, n_features), of any floating point type and device.
        batch
            Number of points in a batch; None takes what suits the device. It bounds the memory beside input and output.
        grad
            Whether to keep the graph for autograd by the descriptors; else nothing is recorded. The last layer is a
            constant of it: weights are trained through ``network``.

        Returns
        -------
        ldos
            (n, levels) in 1/(eV Å³), of the model's dtype, on its device; of no levels where there is no LDOS.
        density
            (n,) in 1/Å³, not yet scaled to the number of electrons; None where the model has no density channel.

        Raises
        ------
        ModelError
            Descriptors of another shape.
        """
        features = self.network.n_inputs
        if descriptors.ndim != 2 or descriptors.shape[1] != features:
            raise ModelError("descriptors", f"an array of shape {tuple(descriptors.shape)}", f"(points, {features})")
        batch, head = batch or self.batch, Head.of(self).to(self.dtype)
        if grad:
            out = torch.cat([head(self.hidden(part)) for part in descriptors.split(batch)])
        else:
            # Made outside of inference mode, so that the caller may differentiate with respect to the LDOS.
            out = torch.empty((len(descriptors), self.network.n_outputs), dtype=self.dtype, device=self.device)
            with torch.inference_mode():
                for start in range(0, len(descriptors), batch):
                    rows = slice(start, start + batch)
                    out[rows] = head(self.hidden(descriptors[rows]))
        levels = self.energy_grid.levels
        return out[:, :levels], out[:, levels] if self.has_density_channel else None

    def pullback(
        self, descriptors: torch.Tensor, of_ldos: torch.Tensor, of_density: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Cotangents of descriptors from those of what they give: the chain rule backwards through :meth:`fields`.

        Parameters
        ----------
        descriptors
            (n, n_features), any floating point type and device.
        of_ldos
            (k, n, levels), for k functions of the LDOS.
        of_density
            (n,) of the density channel, the same for all of them; where the model has one.

        Returns
        -------
        torch.Tensor
            (k, n, n_features), of the model's dtype, on its device.
        """
        x = descriptors.detach().to(self.device, self.dtype).requires_grad_()
        with torch.enable_grad():
            given = [field for field in self.fields(x, grad=True) if field is not None]
        channel = [] if of_density is None else [of_density.to(given[0])]
        gradients = [
            torch.autograd.grad(given, x, [one.to(given[0]), *channel], retain_graph=i + 1 < len(of_ldos))[0]
            for i, one in enumerate(of_ldos)
        ]
        return torch.stack(gradients)
