"""What can be told of cells without their descriptors, and in what one departs from those of a training.

Before anything is computed: its volume an atom, its smallest distance of each pair of elements, its electronic
temperature, against the training's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any, Final

from maladist.neighbors import nearest_distances
from maladist.physics.system import System

REACH: Final = 4.0
"""Å: pairs of atoms are looked at that are nearer."""

_VOLUME: Final = 0.02  # of the volume: 170 cells strained by 2 % leave 0.6 % of the range to their like
_DISTANCE: Final = 0.1  # of the smallest distance: it falls with the number of atoms, by 2 % from 2,000 to 10,000
_WARM: Final = 6000.0  # K, of √|T² − T₀²|: at 8 atoms and 6,000 K be-1000K's |ΔA| is 1.5 meV/atom above that at 1,000


@dataclass(frozen=True)
class CellRange:
    """What can be told of cells without their descriptors: of one, or the range of several; a monoid under ``+``.

    Attributes
    ----------
    volume
        Smallest and largest volume an atom, Å³.
    distances
        Smallest distance by pair of elements, 'Al-Be', Å; pairs that never come nearer than REACH are absent.
    temperatures
        Lowest and highest electronic temperature, K; None where no cell tells.
    """

    volume: tuple[float, float]
    distances: Mapping[str, float] = field(default_factory=dict)
    temperatures: tuple[float, float] | None = None

    @classmethod
    def of(cls, system: System) -> CellRange:
        """That of one cell."""
        volume, t = system.grid.volume / system.n_atoms, system.temperatures
        near = nearest_distances(system.grid.cell_array, system.positions, system.numbers, REACH)
        return cls((volume, volume), near, (min(t), max(t)) if t else None)

    @classmethod
    def of_all(cls, systems: Sequence[System]) -> CellRange:
        """That of one cell or more."""
        return reduce(add, map(cls.of, systems))

    def __add__(self, other: CellRange) -> CellRange:
        low, high = zip(self.volume, other.volume, strict=True)
        pairs = sorted({*self.distances, *other.distances})
        inf = math.inf
        distances = {p: min(self.distances.get(p, inf), other.distances.get(p, inf)) for p in pairs}
        known = [t for t in (self.temperatures, other.temperatures) if t is not None]
        warm = (min(t[0] for t in known), max(t[1] for t in known)) if known else None
        return CellRange((min(low), max(high)), distances, warm)

    def __str__(self) -> str:
        pairs = [f"{pair} {distance:.3g} Å apart or more" for pair, distance in self.distances.items()]
        warm = [] if self.temperatures is None else [f"{_range(*self.temperatures)} K"]
        return ", ".join([f"{_range(*self.volume)} Å³ an atom", *pairs, *warm])

    def departures(self, cell: CellRange) -> list[str]:
        """In what another cell lies outside of these, in words; empty where it does not."""
        said = []
        (low, high), (smallest, largest) = self.volume, cell.volume
        if smallest < low * (1 - _VOLUME) or largest > high * (1 + _VOLUME):
            said.append(f"{smallest:.4g} Å³ an atom, trained on {_range(low, high)}")
        for pair, distance in cell.distances.items():
            known = self.distances.get(pair)
            if known is None:
                said.append(f"{pair} {distance:.3g} Å apart, in the training none below {REACH:g}")
            elif distance < known * (1 - _DISTANCE):
                said.append(f"{pair} {distance:.3g} Å apart, in the training {known:.3g} or more")
        if self.temperatures is not None and cell.temperatures is not None:
            (cold, hot), (coldest, hottest) = self.temperatures, cell.temperatures
            for t in sorted({coldest, hottest}):
                if max(t**2 - hot**2, cold**2 - t**2) > _WARM**2:
                    said.append(f"{t:g} K, trained at {_range(cold, hot)} K")
        return said

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; see `from_dict`."""
        warm = None if self.temperatures is None else list(self.temperatures)
        return {"volume": list(self.volume), "distances": dict(self.distances), "temperatures": warm}

    @classmethod
    def from_dict(cls, known: Mapping[str, Any]) -> CellRange:
        """Inverse of `to_dict`."""
        warm, (low, high) = known["temperatures"], known["volume"]
        distances = {pair: float(distance) for pair, distance in known["distances"].items()}
        return cls((float(low), float(high)), distances, None if warm is None else (float(warm[0]), float(warm[1])))


def _range(low: float, high: float) -> str:
    return f"{low:.4g}" if math.isclose(low, high, rel_tol=1e-6) else f"{low:.4g} to {high:.4g}"
