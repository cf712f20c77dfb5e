"""Derivatives of A by themselves: their signs and order, what they are refused for, and the work of a volume."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from maladist.arrays import Array
from maladist.energy_grid import EnergyGrid
from maladist.errors import PhysicsError
from maladist.grid import Grid
from maladist.physics.double_counting import potentials
from maladist.physics.ewald import ewald_derivatives
from maladist.physics.fermi import FermiState, fermi_states, number_weights
from maladist.physics.forces import (
    Cotangents,
    Derivatives,
    check_known,
    check_slope,
    check_stationary,
    density_slopes,
    explicit_terms,
    reference_state,
    volume_term,
)
from maladist.physics.system import System
from maladist.testing import be_atoms, be_element

ENERGIES = EnergyGrid(-5.0, 0.1, 250, "gaussian", 0.1)
DOS = torch.sqrt(torch.from_numpy(ENERGIES.values + 5.0))


def system_of(**changes: Any) -> System:
    """Two atoms of Be with a core charge, and four electrons."""
    atoms = be_atoms()
    known: dict[str, Any] = {
        "elements": {"Be": be_element()},
        "xc": "pbe",
        "density_cutoff": 100.0,
        "n_electrons": 4.0,
        "temperatures": (2000.0, 9000.0),
        "reference_temperature": 2000.0,
    }
    grid = Grid(atoms.cell.array.tolist(), (9, 8, 14))
    return System(grid, atoms.positions, atoms.numbers.astype(np.int16), **{**known, **changes})


def states_of(system: System, dos: torch.Tensor = DOS, energies: EnergyGrid = ENERGIES) -> list[FermiState]:
    return fermi_states(dos, energies, system)


# -- as they are told -------------------------------------------------------------------------------------------------


def test_forces_go_down_and_stress_is_that_of_ase() -> None:
    """Pulled apart along z, A grows: the stress along z is positive, and stands third."""
    by_strain = np.array([[1.0, 0.5, 0.0], [0.7, 2.0, 0.3], [0.0, 0.1, 3.0]])
    one = Derivatives(np.array([[0.1, -0.2, 0.3]]), by_strain)
    np.testing.assert_array_equal(one.forces, [[-0.1, 0.2, -0.3]])
    np.testing.assert_allclose(one.stress(2.0), [0.5, 1.0, 1.5, 0.1, 0.0, 0.3])
    rotation = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(Derivatives(one.by_position, by_strain + rotation).stress(2.0), one.stress(2.0))
    both = one + one
    np.testing.assert_array_equal(both.forces, 2 * one.forces)
    np.testing.assert_array_equal(both.by_strain, 2 * by_strain)


def test_a_constant_in_the_potential_changes_nothing() -> None:
    """μ moves with it, so that only what u has beyond its mean is felt."""
    rng, u = np.random.default_rng(0), torch.linspace(-1, 2, 7, dtype=torch.float64)
    felt = Cotangents(rng.normal(size=(2, 5)), rng.normal(size=5), 1.25, mean=0.4, voxel_volume=0.02)
    moved = replace(felt, mean=felt.mean + 3.0)
    torch.testing.assert_close(moved.of_ldos(u + 3.0), felt.of_ldos(u), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(moved.of_channel(u + 3.0), felt.of_channel(u), rtol=1e-12, atol=1e-14)
    at_the_mean = felt.of_ldos(torch.full((1,), 0.4, dtype=torch.float64))
    np.testing.assert_allclose(at_the_mean[:, 0].numpy(), 0.02 * felt.levels, rtol=1e-12)
    assert felt.of_ldos(u).shape == (2, 7, 5) and felt.of_channel(u)[0] == pytest.approx(0.02 * 1.25 * -1.4)


# -- where they are refused -------------------------------------------------------------------------------------------


def test_an_unbalanced_fermi_level_and_a_gap_are_refused() -> None:
    system = system_of()
    states = states_of(system)
    check_stationary(states, DOS, 4.0)
    check_stationary(states, DOS, 4.0 * (1 + 1e-5))  # in a gap N(μ) is met to the rounding of D(ε)
    with pytest.raises(PhysicsError, match="forces: 4"):
        check_stationary(states, DOS, 4.001)
    slope = float(torch.from_numpy(density_slopes(states, ENERGIES, system)) @ DOS)
    check_slope(slope, 4.0)
    for none in (0.0, -0.1, 1e-7, float("nan")):
        with pytest.raises(PhysicsError, match="gap"):
            check_slope(none, 4.0)


def test_what_is_unknown_of_a_is_refused_before_anything_is_computed() -> None:
    np.testing.assert_array_equal(check_known(system_of()), [2.0, 2.0])
    for unknown in ({"xc": None}, {"elements": {}}):
        with pytest.raises(PhysicsError, match=r"no total free energy.*--pseudopotentials"):
            check_known(system_of(**unknown))


def test_slopes_are_those_of_the_weights_at_the_reference_temperature() -> None:
    """By central differences of 1e-4 eV of w(μ), which k_BT of 0.17 eV and more makes smooth: 1e-6 of the largest."""
    system = system_of(reference_temperature=9000.0)
    states = states_of(system)
    assert reference_state(states, system).temperature == 9000.0
    mu, h = states[1].fermi_energy, 1e-4
    there, here = (number_weights(ENERGIES, mu + sign * h, 9000.0, correction=False) for sign in (1, -1))
    wanted = (there - here).numpy() / (2 * h)
    found = density_slopes(states, ENERGIES, system)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())


# -- explicit terms ---------------------------------------------------------------------------------------------------


def test_explicit_are_the_double_counting_the_core_where_there_is_one_and_the_ions() -> None:
    system = system_of()
    density = 0.2 + 0.05 * torch.rand(
        system.grid.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    found = explicit_terms(density, system)
    assert list(found.terms) == ["double_counting", "core", "ewald"]
    assert torch.equal(found.u, potentials(density, system).u)
    assert not found.terms["double_counting"].by_position.any()  # at fixed n it knows of no atom
    ions = ewald_derivatives(
        torch.as_tensor(system.positions), torch.tensor([2.0, 2.0]).double(), system.grid.cell_array
    )
    np.testing.assert_array_equal(found.terms["ewald"].by_position, ions.by_position.numpy())
    bare = replace(be_element(), core_radii=None, core_rab=None, core_density=None)
    assert list(explicit_terms(density, system_of(elements={"Be": bare})).terms) == ["double_counting", "ewald"]


@pytest.mark.parametrize("index", [0, 1])
def test_the_volume_term_is_what_a_free_energy_does_at_a_fixed_ldos(index: int) -> None:
    """D(ε) grows with the volume, μ keeps N, and a zero of energy c/Ω moves all levels: by central differences."""
    system, volume, c, per_volume = system_of(), 17.0, 6.0, DOS / 17.0

    def free(v: float) -> tuple[float, Array]:
        dos, energies = per_volume * v, replace(ENERGIES, origin=ENERGIES.origin + c / v)
        state = states_of(system, dos, energies)[index]
        term = volume_term(state, dos, 4.0, mean=0.0, zero=c / v)
        return state.band_energy(dos, 4.0) + state.entropy_contribution(dos), term

    h = 1e-4
    wanted = (free(volume * (1 + h))[0] - free(volume * (1 - h))[0]) / (2 * h)
    _, found = free(volume)
    np.testing.assert_allclose(found, wanted * np.eye(3), rtol=1e-6, atol=1e-12)
    state = states_of(system)[index]
    shifted = volume_term(state, DOS, 4.0, mean=0.5, zero=0.0) - volume_term(state, DOS, 4.0, mean=0.0, zero=0.0)
    np.testing.assert_allclose(shifted, -0.5 * 4.0 * np.eye(3))
