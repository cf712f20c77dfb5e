"""Energies of the levels of an LDOS, in one part or several: frozen and self-validating."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from maladist.arrays import Array
from maladist.errors import GridError
from maladist.reprs import html_table

Kernel = Literal["gaussian", "fermi-derivative", "none", "unknown"]

MOST_LEVELS: Final = 10**6
"""Most energies of an LDOS."""

FARTHEST_ENERGY: Final = 1e6
"""Largest energy, eV: ten times that of the innermost electron of any element."""

OVERLAP: Final = 6.0
"""Least overlap of two parts, in the wider of their spacings; see `EnergyGrid.shares`."""


@dataclass(frozen=True)
class EnergyGrid:
    """Energies ε_i = origin + i·spacing of an LDOS, or several such parts, with the broadening of its samples.

    Parts lie apart, as those of semicore and valence states do, or overlap, as a fine one around the Fermi level and a
    coarse one below it. In gaps nothing is known, and every integral takes D(ε) for zero there; in an overlap both
    sample the same D(ε), and integrals go over from the one to the other (`shares`). `of_parts` makes them.

    Attributes
    ----------
    origin, spacing
        Energy of the first sample, and distance of two samples (of the first part), eV.
    levels
        Number of samples of all parts; 0 where there is no LDOS (`NO_ENERGIES`).
    kernel
        Kernel that the samples were broadened with: 'gaussian' exp(−x²)/(√π δ), 'fermi-derivative' 1/(2+2cosh x)/δ,
        both with x = (ε−ε_i)/δ, 'none' or 'unknown'.
    width
        Width δ of the kernel, eV; 0 where the kernel is 'none' or 'unknown'.
    further
        Origin, spacing (eV) and number of samples of each part above the first.

    Raises
    ------
    GridError
        Numbers that no axis has; parts that are not in order, or that neither lie apart by the sum of their spacings
        nor overlap by six of the wider, or three that overlap.
    """

    origin: float
    spacing: float
    levels: int
    kernel: Kernel = "unknown"
    width: float = 0.0
    further: tuple[tuple[float, float, int], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", _whole(self.levels))
        within = abs(self.origin) <= FARTHEST_ENERGY and 0 < self.spacing <= FARTHEST_ENERGY
        if not (within and (self.levels == 0 or 2 <= self.levels <= MOST_LEVELS)):
            came = f"origin {self.origin}, spacing {self.spacing}, {self.levels} levels"
            wanted = (
                f"an origin and a positive spacing of at most {FARTHEST_ENERGY:.0e} eV, and 2 to {MOST_LEVELS} levels"
            )
            raise GridError("energy grid", came, wanted)
        if self.kernel not in get_args(Kernel):
            raise GridError("broadening_kernel", repr(self.kernel), f"one of {', '.join(get_args(Kernel))}")
        if self.kernel in ("gaussian", "fermi-derivative") and not 0 < self.width <= FARTHEST_ENERGY:
            raise GridError("broadening_width_eV", f"{self.width}", f"a positive width in eV for kernel {self.kernel}")
        # A model's file has lists where this has tuples.
        object.__setattr__(self, "further", tuple((float(at), float(step), _whole(n)) for at, step, n in self.further))
        if self.further and min(self.levels - sum(n for *_, n in self.further), *(n for *_, n in self.further)) < 2:
            raise GridError("energy grid", f"parts {self.further} of {self.levels} levels", "2 levels or more in each")
        for below, above in pairwise(self.parts):
            _check_neighbours(below, above)
        for below, above in zip(self.parts, self.parts[2:], strict=False):
            if above.origin < below.values[-1]:
                came = f"three parts at {above.origin:g} eV"
                raise GridError("energies", came, "parts of which no more than two overlap")

    def __repr__(self) -> str:
        known = {"unknown": "broadening unknown", "none": "not broadened"}
        kernel = known.get(self.kernel, f"{self.kernel} broadening of {self.width:g} eV")
        return f"<EnergyGrid {self}, {kernel}>"

    def __str__(self) -> str:
        if not self.levels:
            return "no energies"
        if self.further:
            return " and ".join(map(str, self.parts))
        end = self.origin + self.spacing * (self.levels - 1)
        return f"{self.origin:g} to {end:g} eV: {self.levels} levels, {self.spacing:g} eV apart"

    def _repr_html_(self) -> str:
        rows = [
            ("from", ", ".join(f"{p.origin:g} eV" for p in self.parts)),
            ("to", ", ".join(f"{p.origin + p.spacing * (p.levels - 1):g} eV" for p in self.parts)),
            ("levels", ", ".join(f"{p.levels}" for p in self.parts)),
            ("spacing", ", ".join(f"{p.spacing:g} eV" for p in self.parts)),
            ("broadening", f"{self.kernel} {self.width:g} eV" if self.width else self.kernel),
        ]
        return html_table("Energy grid", rows)

    @classmethod
    def of_parts(
        cls, parts: Iterable[tuple[float, float, int]], kernel: Kernel = "unknown", width: float = 0.0
    ) -> EnergyGrid:
        """Energy grid of parts, the lowest first: origin and spacing in eV, and number of samples of each.

        Raises
        ------
        GridError
            No parts, a number of samples that is no whole number, or parts that are not in order or not apart.
        """
        found = [(float(origin), float(spacing), _whole(levels)) for origin, spacing, levels in parts]
        if not found:
            raise GridError("energy grid", "no parts", "one part or more")
        (origin, spacing, _), *further = found
        return cls(origin, spacing, sum(levels for *_, levels in found), kernel, width, tuple(further))

    @classmethod
    def from_values(
        cls, energies: npt.ArrayLike, kernel: Kernel = "unknown", width: float = 0.0, parts: Sequence[int] = ()
    ) -> EnergyGrid:
        """Energy grid from its samples, of which each part must be equidistant to 1e-6 of its spacing.

        ``parts`` are the numbers of samples in each; without them there is one part. Samples that are fewer than these
        are a selection, which must be all of one part: nothing else tells on which side of a gap they lie.
        """
        e = np.asarray(energies, dtype=float)
        if len(parts) > 1 and sum(parts) == e.size:
            found = [cls.from_values(some) for some in np.split(e, np.cumsum(parts)[:-1])]
            return cls.of_parts([(p.origin, p.spacing, p.levels) for p in found], kernel, width)
        # Two samples are equidistant whatever lies between them.
        if len(parts) > 1 and (e.size < 3 or e.size not in parts):
            came, wanted = f"{e.size} of the energies of parts of {parts}", "all energies, or all of one part"
            raise GridError("energy", came, wanted, "Choose energies after integrating, not before.")
        if e.ndim != 1 or len(e) < 2:
            raise GridError("energy", f"an array of shape {e.shape}", "a vector of at least two energies in eV")
        # From the ends: differences of neighbours carry the rounding of files.
        spacing = (e[-1] - e[0]) / (len(e) - 1)
        if not np.allclose(np.diff(e), spacing, rtol=0, atol=1e-6 * abs(spacing)):
            remedy = "Parts with gaps between them are told by the attribute energy_parts: how many samples each has."
            raise GridError("energy", "samples that are not equidistant", "an equidistant energy axis in eV", remedy)
        return cls(float(e[0]), float(spacing), len(e), kernel, width)

    @cached_property
    def values(self) -> Array:
        """The energies, (levels,) float64, eV."""
        if self.further:
            return np.concatenate([part.values for part in self.parts])
        return np.asarray(self.origin + self.spacing * np.arange(self.levels, dtype=np.float64))

    @cached_property
    def parts(self) -> tuple[EnergyGrid, ...]:
        """Each part as an axis of its own, the lowest first; the axis itself where there is one."""
        if not self.further:
            return (self,)
        first = self.levels - sum(levels for *_, levels in self.further)
        every = ((self.origin, self.spacing, first), *self.further)
        return tuple(EnergyGrid(origin, spacing, levels, self.kernel, self.width) for origin, spacing, levels in every)

    @property
    def windows(self) -> list[tuple[float, float, int]]:
        """Origin, spacing (eV) and number of samples of each part: what `of_parts` takes."""
        return [(part.origin, part.spacing, part.levels) for part in self.parts]

    @property
    def gaps(self) -> list[tuple[float, float]]:
        """Last energy below and first above each gap between parts, eV."""
        ends = [(float(below.values[-1]), above.origin) for below, above in pairwise(self.parts)]
        return [(end, begin) for end, begin in ends if end < begin]

    @cached_property
    def shares(self) -> Array:
        r"""Share of each sample in integrals, (levels,) float64: 1, but less where another part has the same energies.

        Over an overlap from a to b the upper part's share χ rises as t⁴ (35 − 84t + 70t² − 20t³), t = (ε−a)/(b−a),
        three of whose derivatives have no jump, and the lower part's falls by as much: ∫ g D = ∫ g (1−χ) D + ∫ g χ D.
        Both integrands end smoothly, so that their sums over samples are nearly as good as those without parts: of a
        Gaussian at spacings δ and δ/2, a level's weight is off by 3e-4 at most where six of the wider spacings overlap,
        by 1.3e-3 where four do, and by 3e-2 where the two samplings meet at one energy.
        """
        shares = [np.ones(part.levels) for part in self.parts]
        for i, (below, above) in enumerate(pairwise(self.parts)):
            a, b = above.origin, float(below.values[-1])
            if a < b:
                shares[i] *= 1 - _rise((below.values - a) / (b - a))
                shares[i + 1] *= _rise((above.values - a) / (b - a))
        return np.concatenate(shares)

    @property
    def coarsest(self) -> float:
        """Largest spacing of all parts, eV."""
        return max(part.spacing for part in self.parts)

    def weights(self, low: float = -np.inf, high: float = np.inf) -> Array:
        """Weights of the samples in ∫ dε between two energies, (levels,) float64, eV; nothing is counted in gaps.

        The samples stand for the piecewise linear function through them, which falls to zero one spacing outside of
        each part, as in all integrals here; between infinities the weight of a sample is the spacing of its part, times
        its share where parts overlap.
        """
        every = (part.spacing * (_hat_below(part, high) - _hat_below(part, low)) for part in self.parts)
        return self.shares * np.concatenate(list(every))

    def shifted(self, by: float) -> EnergyGrid:
        """The grid with so many eV added to all energies."""
        further = tuple((origin + by, spacing, levels) for origin, spacing, levels in self.further)
        return replace(self, origin=self.origin + by, further=further)

    @property
    def variance(self) -> float | None:
        """Variance s² of the broadening kernel in eV²; None where the kernel is unknown."""
        factor = {"gaussian": 0.5, "fermi-derivative": np.pi**2 / 3, "none": 0.0}.get(self.kernel)
        return None if factor is None else factor * self.width**2


def _check_neighbours(below: EnergyGrid, above: EnergyGrid) -> None:
    """Refuse parts that are not in order, or that neither lie apart nor overlap enough."""
    end, top = float(below.values[-1]), float(above.values[-1])
    apart, overlap = below.spacing + above.spacing, OVERLAP * max(below.spacing, above.spacing)
    between = above.origin - end
    # Nearer, the hats of the two would overlap: what lies between would be counted twice, or in part.
    if between >= apart * (1 - 1e-6) or (
        -between >= overlap * (1 - 1e-6) and below.origin < above.origin and end < top
    ):
        return
    came = f"a part from {below.origin:g} to {end:g} eV and one from {above.origin:g} to {top:g} eV"
    wanted = f"parts in order, {apart:g} eV or more apart, or overlapping by {overlap:g} eV or more"
    if below.origin < above.origin and top <= end:
        wanted = "parts of which each reaches beyond the one below, none inside of another"
    raise GridError("energies", came, wanted, "Let them overlap, leave a gap without states, or take one part.")


def _rise(t: Array) -> Array:
    t = np.clip(t, 0.0, 1.0)
    return t**4 * (35 - 84 * t + 70 * t**2 - 20 * t**3)


def _whole(levels: float) -> int:
    # Truncated, 5.7 levels would be five without a word.
    if not float(levels).is_integer():
        raise GridError("energy grid", f"{levels} levels", "a whole number of levels")
    return int(levels)


def _hat_below(energies: EnergyGrid, end: float) -> Array:
    """∫ Λ(x) dx up to an energy for each sample's hat, whose whole integral is 1."""
    x = np.clip((end - energies.values) / energies.spacing, -1, 1)
    return np.where(x < 0, (1 + x) ** 2 / 2, 1 - (1 - x) ** 2 / 2)


NO_ENERGIES: Final = EnergyGrid(0.0, 0.1, 0, "none")
"""The energies of a model of the density alone; origin and spacing mean nothing."""
