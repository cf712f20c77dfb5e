"""V_H + V_loc: ions of Gaussian charge in closed form, and elements without a local potential."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import erf

from maladist.elements import Element
from maladist.errors import PseudopotentialError
from maladist.grid import Grid
from maladist.io.qe.upf import read_pseudopotentials
from maladist.physics.electrostatic import electrostatic_potential, local_form_factor, local_potential_of
from maladist.physics.hartree import hartree_potential
from maladist.physics.reciprocal import ReciprocalSlab, to_real
from maladist.physics.system import System
from maladist.units import COULOMB, RYDBERG_BOHR2

GRID = Grid([[3.0, 0.2, 0.0], [-1.1, 2.7, 0.3], [0.4, 0.9, 4.1]], (24, 20, 30))
WIDTH = 0.5  # Å


def smeared(valence: float = 2.0, width: float = WIDTH) -> Element:
    """An ion whose charge is a Gaussian exp(−r²/w²): v(r) = −Ze² erf(r/w)/r, on a logarithmic mesh."""
    r = 1e-5 * np.exp(0.01 * np.arange(1401))
    potential = -valence * COULOMB * erf(r / width) / r
    return Element("Be", valence, "made up", local_radii=r, local_rab=0.01 * r, local_potential=potential)


def system(element: Element, positions: np.ndarray) -> System:
    numbers = np.full(len(positions), 4, np.int16)
    return System(GRID, positions, numbers, {"Be": element}, density_cutoff=RYDBERG_BOHR2 * 15.0**2)


def test_electrons_on_top_of_smeared_ions_leave_a_constant() -> None:
    """Their charges cancel; what is left is G = 0 of V_loc, Σ 4π ∫ r² (v + Ze²/r) dr = Σ πZe²w² over the volume."""
    positions = np.array([[0.3, 0.2, 1.0], [1.7, 2.0, 3.1]])
    cell = system(smeared(), positions)
    near = GRID.points().reshape(-1, 1, 3) - positions
    images = np.array(np.meshgrid(*[range(-2, 3)] * 3)).reshape(3, -1).T @ GRID.cell_array
    squared = ((near[:, :, None] - images) ** 2).sum(-1)
    density = (2.0 * np.exp(-squared / WIDTH**2) / (np.pi * WIDTH**2) ** 1.5).sum((1, 2)).reshape(GRID.shape)
    found = electrostatic_potential(torch.from_numpy(density), cell)
    constant = 2 * np.pi * 2.0 * COULOMB * WIDTH**2 / GRID.volume
    np.testing.assert_allclose(found, constant, rtol=0, atol=1e-5)  # eV, of tens
    alone = hartree_potential(torch.from_numpy(density), GRID)
    assert float(alone.max() - alone.min()) > 3


def test_the_tail_does_not_depend_on_how_it_is_smoothed() -> None:
    """The smoothed tail is taken out of the sum and put back in closed form: any Gaussian charge has its transform."""
    element, g = smeared(3.0, 0.7), np.linspace(0.4, 12, 30)
    from maladist.physics.electrostatic import _SMOOTH

    tail = 4 * np.pi * 3.0 * COULOMB / g**2
    found = local_form_factor(element, g) - tail * np.exp(-(g**2) * _SMOOTH**2 / 4)
    np.testing.assert_allclose(found, -tail * np.exp(-(g**2) * 0.7**2 / 4), rtol=0, atol=1e-5)


def test_slabs_of_y_are_parts_of_the_whole(own_data: Path) -> None:
    elements = read_pseudopotentials(own_data / "pseudopotentials")
    cell = replace(system(smeared(), np.array([[0.3, 0.2, 1.0], [1.7, 2.0, 3.1]])), elements=elements)
    whole = local_potential_of(cell, ReciprocalSlab.whole(GRID))
    parts = [local_potential_of(cell, ReciprocalSlab.of_y(GRID, a, b)) for a, b in ((0, 7), (7, 20))]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=0, atol=1e-11)
    assert to_real(whole, GRID).min() < -20


def test_an_element_without_its_local_potential_says_what_to_do() -> None:
    with pytest.raises(PseudopotentialError, match=r"no local potential \(PP_LOCAL\) for Be.*folder of the UPF files"):
        local_form_factor(Element("Be", 2.0, "old"), [1.0])
