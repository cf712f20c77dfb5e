"""Units: constants that are not independent of one another, and ASE's."""

from __future__ import annotations

import ase.units
import pytest

from maladist import units


def test_the_constants_are_those_of_ase() -> None:
    """ASE 3.23 has CODATA 2014, which differs in the ninth digit."""
    assert pytest.approx(ase.units.kB, rel=1e-6) == units.BOLTZMANN
    assert pytest.approx(ase.units.Bohr, rel=1e-8) == units.BOHR
    assert pytest.approx(ase.units.Ry, rel=1e-7) == units.RYDBERG
    assert units.HARTREE == 2 * units.RYDBERG


def test_the_hydrogen_atom_holds_them_together() -> None:
    """e²/a₀ = 1 Ha, ħ²/2m a₀² = 1 Ry."""
    assert pytest.approx(units.HARTREE, rel=1e-9) == units.COULOMB / units.BOHR
    assert pytest.approx(units.RYDBERG, rel=1e-15) == units.RYDBERG_BOHR2 / units.BOHR**2
    assert pytest.approx(1.0, rel=1e-15) == units.LDOS_QE * units.RYDBERG * units.BOHR**3
