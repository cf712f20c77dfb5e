"""Pulay's stress: from the slope at a fixed number of plane waves to that of energies at a fixed cutoff."""

from __future__ import annotations

import numpy as np
import pytest

from maladist.datasets.dft.pulay import at_fixed_cutoff


def energy(volume: float, cutoff: float) -> float:
    """A made-up A(Ω, E_c), eV: an equation of state, and what plane waves beyond the cutoff would be worth."""
    return 0.002 * (volume - 60.0) ** 2 + 0.5 * volume**0.3 * np.exp(-cutoff / 80.0)


def test_the_slope_at_a_fixed_cutoff_follows_from_that_at_a_fixed_number() -> None:
    volume, cutoff, step, h = 64.0, 340.0, 0.04, 1e-4

    def strained(strain: float, fixed_number: bool) -> float:
        e_c = cutoff * (1 + strain) ** -2 if fixed_number else cutoff
        return energy(volume * (1 + strain) ** 3, e_c)

    def stress(fixed_number: bool) -> float:
        """A third of dA/dε over Ω, ε of all lengths."""
        return (strained(h, fixed_number) - strained(-h, fixed_number)) / (2 * h) / (3 * volume)

    raw = np.array([stress(True)] * 3 + [0.3, 0.2, 0.1])
    low, high = (energy(volume, cutoff * (1 + sign * step)) for sign in (-1, 1))
    corrected = at_fixed_cutoff(raw, low, high, step, volume)
    pulay = stress(True) - stress(False)
    assert pulay > 1e-3  # above: A gains less where the sphere of plane waves shrinks with the cell's growth
    # The difference of 4 % for a slope: (0.04·340/80)²/6 of Pulay's part.
    np.testing.assert_allclose(corrected[:3], stress(False), atol=0.006 * pulay)
    assert corrected[3:].tolist() == raw[3:].tolist()
    assert at_fixed_cutoff(raw, low, low, step, volume) == pytest.approx(raw)  # converged: none
