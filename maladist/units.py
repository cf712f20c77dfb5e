"""Physical constants in internal units (Å, eV, K) and the conversions that file formats need.

CODATA 2018, the values that Quantum ESPRESSO 6.7 and ASE's default agree on to the digits that matter here.
"""

from __future__ import annotations

from typing import Final

BOLTZMANN: Final = 8.617333262e-5
"""k_B in eV/K."""

COULOMB: Final = 14.399645478425668
"""e²/(4πε0) in eV Å."""

BOHR: Final = 0.529177210903
"""Å."""

RYDBERG: Final = 13.605693122994
"""eV."""

HARTREE: Final = 2.0 * RYDBERG
"""eV."""

RYDBERG_BOHR2: Final = RYDBERG * BOHR**2
"""ħ²/2m in eV Å²: a wave vector of 1/Å has this kinetic energy."""

LDOS_QE: Final = 1.0 / (RYDBERG * BOHR**3)
"""1/(Ry bohr³), the unit of Quantum ESPRESSO's LDOS cubes, in 1/(eV Å³)."""
