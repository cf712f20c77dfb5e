"""What the first pass over the blocks gives, and whether the projections it keeps hold what is needed later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from maladist.arrays import Array
from maladist.physics.fermi import FermiState, number_rows
from maladist.physics.forces import density_slopes
from maladist.prediction.block import Report
from maladist.prediction.setup import Setup
from maladist.prediction.tally import Tally

_WEIGHTS: Final = 1e-9
"""Of the largest weight: what is missed is then a billionth of the density."""

_SLOPES: Final = 1e-6
"""Of the largest slope. The span of a window holds slopes less well than weights: to 5e-10 at its ends (measured, 300
to 30,000 K). A basis that was made for weights alone misses far more than a millionth of them."""


@dataclass(frozen=True)
class Spectrum:
    """What the pass over the blocks gives.

    Attributes
    ----------
    tally
        Sum over the blocks: D(ε), and what else they add up to.
    states
        State of the electrons at each temperature, that of the double counting's density among them.
    reports
        Reports of the tasks, in the order of the blocks.
    """

    tally: Tally
    states: list[FermiState]
    reports: list[Report]

    def weights(self, setup: Setup) -> Array:
        """The weights of an LDOS in n(r) at each temperature, (temperatures, levels).

        With a density channel n(r, T) = n₀ + [w(T) − w(T₀)] · d: of the LDOS only the change from T₀ counts.
        """
        if not setup.model.has_ldos:
            return np.empty((1, 0))
        rows = number_rows(self.states)
        return rows - rows[setup.system.reference_index] if setup.model.has_density_channel else rows

    def slopes(self, setup: Setup) -> Array:
        """The weights of an LDOS in d_F, of which derivatives of A take ū, (1, levels); no row where nothing needs it.

        With a density channel ū is that of n₀, which does not move with μ.
        """
        energies = setup.model.energy_grid
        if not setup.derivatives or setup.model.has_density_channel:
            return np.empty((0, energies.levels))
        return density_slopes(self.states, energies, setup.system)[None]

    def basis(self, setup: Setup) -> Array:
        """Orthonormal basis of what weights and slopes span at this μ, (levels, modes)."""
        return np.asarray(np.linalg.qr(np.concatenate([number_rows(self.states), self.slopes(setup)]).T)[0])

    def lacks(self, basis: Array, setup: Setup) -> str | None:
        """Why n(r) or d_F cannot be had from projections on a basis; None where both can."""
        if not _in_span(self.weights(setup), basis, _WEIGHTS):
            return "the Fermi level lies outside the window of the first pass"
        # A run that began without forces may have made its basis for the weights at μ alone.
        if not _in_span(self.slopes(setup), basis, _SLOPES):
            return "forces need more of the LDOS than the first pass kept"
        return None


def _in_span(rows: Array, basis: Array, tolerance: float) -> bool:
    """Whether a basis spans rows, to a tolerance in relation to their largest element."""
    if not rows.size:  # nothing is wanted of the LDOS
        return True
    missed = np.abs((rows @ basis) @ basis.T - rows)
    return bool(missed.max() <= tolerance * np.abs(rows).max())
