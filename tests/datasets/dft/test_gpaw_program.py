"""What a pseudopotential's functions become for GPAW, against closed forms; GPAW itself is not needed here."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.special import erf

from maladist.datasets.dft import gpaw_program as program

R = np.linspace(1e-4, 12.0, 6000)


def test_the_short_ranged_part_of_a_gaussians_own_potential_is_nothing() -> None:
    own = -3.0 * erf(R / (np.sqrt(2) * program.WIDTH)) / R
    assert np.abs(program.short_ranged(R, own, 3.0)).max() < 1e-12
    # Far out, that of a point charge is the Gaussian's.
    assert np.abs(program.short_ranged(R, -3.0 / R, 3.0)[R > 2.0]).max() < 1e-12


def test_a_nucleus_has_its_charge_and_the_energy_that_is_taken_off() -> None:
    rho, potential = program.nucleus(R, 3.0), 3.0 * erf(R / (np.sqrt(2) * program.WIDTH)) / R
    assert np.trapezoid(4 * np.pi * R**2 * rho, R) == pytest.approx(3.0, rel=1e-6)
    energy = np.trapezoid(4 * np.pi * R**2 * rho * potential, R) / 2
    assert program.self_energy(3.0) == pytest.approx(energy, rel=1e-6)


def test_the_zero_of_energy_is_that_of_point_charges() -> None:
    hole = (1 - erf(R / (np.sqrt(2) * program.WIDTH))) / R
    wanted = 7.0 * np.trapezoid(4 * np.pi * R**2 * hole, R) / 50.0
    assert program.energy_zero([3.0, 4.0], 50.0) == pytest.approx(wanted, rel=1e-4)


def test_an_even_function_on_logarithmic_radii_is_taken_to_equidistant_ones() -> None:
    radii = 2e-4 * np.exp(0.0125 * np.arange(900))
    made = program.equidistant(radii, np.exp(-(radii**2)), 1e-8)
    r = program.STEP * np.arange(len(made))
    assert 4.2 < r[-1] < 4.6  # exp(−r²) is 1e-8 at 4.29
    np.testing.assert_allclose(made, np.exp(-(r**2)), atol=2e-6)
    assert len(program.equidistant(radii, np.zeros_like(radii), 1e-8)) > 50  # a spline needs an interval


def test_projectors_couple_where_l_and_m_are_equal() -> None:
    d = program.coupling([0, 1, 1], np.array([[1.0, 9.0, 9.0], [9.0, 2.0, 0.5], [9.0, 0.5, 3.0]]))
    s, one, other, between = [[1.0]], 2 * np.eye(3), 3 * np.eye(3), 0.5 * np.eye(3)
    nothing = np.zeros((1, 3))
    np.testing.assert_array_equal(
        d, np.block([[np.array(s), nothing, nothing], [nothing.T, one, between], [nothing.T, between, other]])
    )


def test_projectors_go_by_turns() -> None:
    assert program.by_turns([0, 0, 1, 1, 2]) == [0, 2, 4, 1, 3]
    assert program.by_turns([]) == []


def test_it_needs_nothing_of_the_package_it_lies_in() -> None:
    """GPAW's Python has neither this package nor torch."""
    code = f"import runpy, sys; runpy.run_path({program.__file__!r}); print('maladist' in sys.modules)"
    ran = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
