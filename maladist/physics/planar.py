"""Averages of a field over planes, and the vacuum level and work function that follow from those of a potential.

The macroscopic average is that of the planar average over a period of the crystal (Baldereschi, Baroni and Resta, Phys.
Rev. Lett. 61, 734 (1988)); W = V(vacuum) − E_F.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from maladist.arrays import Array
from maladist.errors import InputError
from maladist.physics.isolated import Isolated
from maladist.physics.surface import Surface

FLAT: Final = 0.05
"""eV by which the planar average may vary in the middle of a vacuum."""

_MIDDLE: Final = 0.2
"""Share of the vacuum about its middle in which the potential must be flat."""


def macroscopic_average(planar: Array, length: float, period: float) -> Array:
    """Mean of a planar average over a period about each point.

    Its Fourier series times sin(Gp/2)/(Gp/2), which is the exact mean of the field's own series.

    Parameters
    ----------
    planar
        Planar average along one axis, (n,).
    length
        Length of the cell along the normal of the planes, Å.
    period
        Period p, Å: the distance after which the crystal repeats.

    Raises
    ------
    InputError
        The period is not positive, or is longer than the cell.
    """
    if not 0 < period <= length:
        raise InputError("period", f"{period} Å", f"a length up to {length:g} Å, that of the cell")
    turns = np.arange(len(planar) // 2 + 1) * period / length
    return np.asarray(np.fft.irfft(np.fft.rfft(planar) * np.sinc(turns), len(planar)))


def vacuum_level(planar: Array, surface: Surface, isolated: Isolated | None = None) -> float:
    """Mean of the planar average of the potential in the middle of the vacuum, eV.

    Parameters
    ----------
    planar
        Planar average of V_H + V_loc along the surface's normal, (n,), eV.
    surface
        The slab's surface.
    isolated
        '2D' where the Coulomb interaction is cut off along c. The potential is then that of the slab up to c/2 from its
        other face, and in the middle of the whole vacuum it is none.

    Raises
    ------
    InputError
        The potential is not flat there: the vacuum is too thin, or the two sides of the slab differ, whose dipole
        makes a field.
    """
    n = len(planar)
    step = surface.length / n
    width = surface.vacuum if isolated is None else surface.vacuum - surface.length / 2
    middle = surface.coordinate(width / 2) / step
    half = max(1, int(_MIDDLE / 2 * width / step))
    within = planar[np.arange(round(middle) - half, round(middle) + half + 1) % n]
    if np.ptp(within) > FLAT:
        came = f"a potential that varies by {np.ptp(within):.3f} eV over {2 * half * step:.2f} Å in its middle"
        remedy = "Take a wider vacuum."
        if isolated is None:
            remedy += " A slab whose two sides differ has a dipole, whose field is not corrected for."
        raise InputError("vacuum", came, f"one that is flat to {FLAT} eV", remedy)
    return float(within.mean())
