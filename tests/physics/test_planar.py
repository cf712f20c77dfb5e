"""Averages over a period, and the level of a vacuum: closed forms, and what is not flat."""

from __future__ import annotations

import numpy as np
import pytest

from maladist.errors import InputError
from maladist.physics.planar import macroscopic_average, vacuum_level
from maladist.physics.surface import Surface

Z = np.arange(120) / 120 * 12.0


def test_a_wave_of_the_period_vanishes_and_a_longer_one_is_damped() -> None:
    planar = 3 + np.cos(2 * np.pi * Z / 2) + np.cos(2 * np.pi * Z / 12)
    found = macroscopic_average(planar, 12.0, 2.0)
    # The mean of cos(kz) over a period p is cos(kz) sin(kp/2)/(kp/2).
    np.testing.assert_allclose(found, 3 + np.sinc(2 / 12) * np.cos(2 * np.pi * Z / 12), atol=1e-12)
    for period in (0.0, 13.0):
        with pytest.raises(InputError, match="up to 12 Å"):
            macroscopic_average(planar, 12.0, period)


@pytest.mark.parametrize("side", ["top", "bottom"])
def test_the_vacuum_level_is_the_mean_where_the_potential_is_flat(side: str) -> None:
    surface = Surface(2, side, 12.0, {"top": 3.0, "bottom": 11.0}[side], 8.0)  # type: ignore[arg-type]
    planar = np.where(np.abs(Z - 7) < 2, 5.25, -10.0)  # the vacuum's middle is at 7 Å
    assert vacuum_level(planar, surface) == pytest.approx(5.25)
    with pytest.raises(InputError, match=r"varies by 0\.160 eV over 1\.60 Å.*flat to 0\.05 eV.*dipole"):
        vacuum_level(planar + 0.1 * Z, surface)


@pytest.mark.parametrize("side", ["top", "bottom"])
def test_of_a_slab_that_is_cut_off_it_is_taken_where_the_whole_slab_is_seen(side: str) -> None:
    """Atoms from 6 to 9 Å of 24: of the vacuum what is less than 12 Å from the other face sees the whole slab."""
    z = np.arange(240) * 0.1
    planar = np.select([z < 7.5, z < 18, z < 21], [-1.0, 1.0, 50.0], -1.0)
    surface = Surface(2, side, 24.0, {"top": 9.0, "bottom": 6.0}[side], 21.0)  # type: ignore[arg-type]
    assert vacuum_level(planar, surface, "2D") == {"top": 1.0, "bottom": -1.0}[side]
