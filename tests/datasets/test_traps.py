"""Every trap of DFT data leaves a pattern that is named: on made-up eigenvalues."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from maladist import EnergyGrid
from maladist.datasets.traps import likely_reasons
from maladist.datasets.verify import spacing_notes
from maladist.physics.broadening import broadened_dos

GRID = EnergyGrid(-4.0, 0.1, 180, "gaussian", 0.2)
RNG = np.random.default_rng(0)
EIGENVALUES, WEIGHTS = np.sort(RNG.uniform(-3, 13.9, (20, 10)), axis=1), np.full(20, 0.1)
EIGENVALUES[:, -1] = 13.9


def reasons_of(dos_grid: EnergyGrid, *, factor: float = 1.0, **facts: object) -> str:
    """What is said of a DOS that was made with one broadening and is stated to have GRID's."""
    dos = factor * broadened_dos(torch.from_numpy(EIGENVALUES), torch.from_numpy(WEIGHTS), dos_grid).numpy()
    dataset = xr.Dataset({"dos": ("energy", dos)}, attrs={"temperature_K": 1000.0, "density_cutoff_eV": 1000.0})
    reference = xr.Dataset({"eigenvalue": (("k", "band"), EIGENVALUES), "k_weight": ("k", WEIGHTS)}, attrs=facts)
    return "; ".join(likely_reasons(dataset, reference, {"fermi_energy_eV": 5.0}, GRID))


def test_good_data_have_no_reason() -> None:
    assert reasons_of(GRID, threshold_Ry_per_atom=1e-9) == ""


@pytest.mark.parametrize(("kernel", "spacing"), [("gaussian", 0.126), ("fermi-derivative", 0.216)])
def test_energies_that_are_too_far_apart_are_named(kernel: str, spacing: float) -> None:
    """Half an eV with a width of a tenth: A was off by 4.7 eV an atom, for no reason that was named."""
    (note,) = spacing_notes(EnergyGrid(-4.0, 0.5, 36, kernel, 0.1))
    assert f"0.5 eV for a broadening of 0.1 eV ({kernel}); with more than {spacing} eV" in note
    assert spacing_notes(EnergyGrid(-4.0, spacing - 0.001, 36, kernel, 0.1)) == ()
    assert spacing_notes(EnergyGrid(-4.0, 0.5, 36, "unknown", 0.1)) == ()


def test_the_kernel_of_the_fermi_derivative_is_recognised() -> None:
    assert "the broadening is fermi-derivative, not gaussian" in reasons_of(replace(GRID, kernel="fermi-derivative"))


@pytest.mark.parametrize(
    ("factor", "unit"), [(2.01616, "1/(Ry bohr³) taken for 1/(eV Å³)"), (0.5, "one spin in place of both")]
)
def test_units_are_a_constant_factor(factor: float, unit: str) -> None:
    assert unit in reasons_of(GRID, factor=factor)


def test_another_k_mesh_is_named() -> None:
    other = np.random.default_rng(9).uniform(-3, 13.9, (20, 10))
    dos = broadened_dos(torch.from_numpy(other), torch.from_numpy(WEIGHTS), GRID).numpy()
    dataset = xr.Dataset({"dos": ("energy", dos)}, attrs={"temperature_K": 1000.0, "density_cutoff_eV": 1000.0})
    reference = xr.Dataset({"eigenvalue": (("k", "band"), EIGENVALUES), "k_weight": ("k", WEIGHTS)})
    assert "another k-mesh" in "; ".join(likely_reasons(dataset, reference, {"fermi_energy_eV": 5.0}, GRID))
    with_pools = reference.assign_attrs(ultrasoft=True, pools=2)
    assert "pools of k-points and an ultrasoft" in "; ".join(
        likely_reasons(dataset, with_pools, {"fermi_energy_eV": 5.0}, GRID)
    )


def test_loose_convergence_is_named() -> None:
    assert "loosely converged (0.01 Ry/atom)" in reasons_of(GRID, threshold_Ry_per_atom=0.01)


def test_a_gap_that_the_broadening_fills_is_named() -> None:
    edges = np.stack([np.linspace(-3, 5.1, 10), np.linspace(5.8, 13.9, 10)]).reshape(1, -1).repeat(20, axis=0)
    dataset = xr.Dataset({"dos": ("energy", np.ones(GRID.levels))}, attrs={"temperature_K": 300.0})
    reference = xr.Dataset({"eigenvalue": (("k", "band"), edges), "k_weight": ("k", WEIGHTS)})
    wide = replace(GRID, width=0.3)
    said = "; ".join(likely_reasons(dataset, reference, {"fermi_energy_eV": 5.4}, wide))
    assert "the broadening, 0.3 eV, fills the gap of 0.70 eV" in said
    assert "fills the gap" not in "; ".join(likely_reasons(dataset, reference, {"fermi_energy_eV": 5.4}, GRID))
    edges[0] += 0.5  # a metal: not as many bands below the Fermi level at every k
    metal = reference.assign(eigenvalue=(("k", "band"), edges))
    assert "fills the gap" not in "; ".join(likely_reasons(dataset, metal, {"fermi_energy_eV": 5.4}, wide))
