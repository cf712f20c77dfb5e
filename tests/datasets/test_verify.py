"""An LDOS held against the eigenvalues that it came from: units are a factor, a kernel is a shape."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import ase
import numpy as np
import pytest
import torch

from maladist.datasets.verify import (
    UNIT_FACTORS,
    electrons_at,
    fit_kernel,
    likely_unit,
    spacing_notes,
    verify_density,
    verify_ldos,
)
from maladist.energy_grid import EnergyGrid, Kernel
from maladist.errors import DataFileError
from maladist.io.qe.run import DFTRun
from maladist.physics.broadening import broadened_dos, occupation_sums
from maladist.units import BOLTZMANN

ENERGIES = EnergyGrid(-8.0, 0.1, 200, "gaussian", 0.2)
EIGENVALUES = np.sort(np.random.default_rng(0).uniform(-5, 8, (4, 12)), axis=1)
WEIGHTS = np.full(4, 0.5)


def run_of(**more: object) -> DFTRun:
    atoms = ase.Atoms("Be", cell=[3, 3, 3], pbc=True)
    run = DFTRun(Path("pw.out"), atoms, n_electrons=6.0, temperature=3000.0, eigenvalues=EIGENVALUES, weights=WEIGHTS)
    return replace(run, **more)  # type: ignore[arg-type]


def dos_of(kernel: Kernel) -> np.ndarray:
    energies = replace(ENERGIES, kernel=kernel)
    return np.asarray(broadened_dos(torch.from_numpy(EIGENVALUES), torch.from_numpy(WEIGHTS), energies).numpy())


@pytest.mark.parametrize("kernel", ["gaussian", "fermi-derivative"])
def test_the_kernel_that_was_used_is_recognised(kernel: Kernel) -> None:
    energies, (note,) = verify_ldos(
        run_of(), dos_of(kernel), replace(ENERGIES, kernel="unknown", width=0.2), kernel_given=False
    )
    assert energies.kernel == kernel and "broadening recognised" in note
    fits = fit_kernel(dos_of(kernel), EIGENVALUES, WEIGHTS, ENERGIES)
    assert fits[kernel].difference < 1e-12
    assert min(fits, key=lambda k: fits[k].shape) == kernel


def test_a_kernel_that_was_given_wrongly_is_told_and_stays() -> None:
    energies, (note,) = verify_ldos(run_of(), dos_of("fermi-derivative"), ENERGIES, kernel_given=True)
    assert energies.kernel == "gaussian" and "fits fermi-derivative" in note


@pytest.mark.parametrize("given", [True, False])
def test_an_ldos_of_another_calculation_is_not_taken_for_an_unknown_kernel(given: bool) -> None:
    """Of another k-mesh: "broadening unknown" was all that was said, and nothing where the kernel was given."""
    energies = replace(ENERGIES, kernel="gaussian" if given else "unknown")
    run = run_of(eigenvalues=EIGENVALUES + 0.7)
    kept, (note,) = verify_ldos(run, dos_of("gaussian"), energies, kernel_given=given)
    assert kept == energies and "at best" in note and "another k-mesh, functional, width or snapshot" in note
    assert verify_ldos(run_of(), dos_of("gaussian"), ENERGIES, kernel_given=True) == (ENERGIES, ())


@pytest.mark.parametrize("factor", [f for f in UNIT_FACTORS.values() if not 0.6 < f < 1.6])
def test_wrong_units_are_refused_and_named_by_their_factor(factor: float) -> None:
    with pytest.raises(DataFileError, match="That is the factor of"):
        verify_ldos(run_of(), factor * dos_of("gaussian"), ENERGIES, kernel_given=True)
    assert any(name in likely_unit(factor * 1.02) for name, f in UNIT_FACTORS.items() if f == factor)
    assert likely_unit(factor * 1.05) != likely_unit(factor)


def test_without_eigenvalues_the_electrons_tell_the_units() -> None:
    """Broadened levels hold as many electrons as the levels themselves at one Fermi level, to a few per cent."""
    mu, tau = 0.5, BOLTZMANN * 3000.0
    wanted = occupation_sums(torch.from_numpy(EIGENVALUES), torch.from_numpy(WEIGHTS), mu, tau)[0]
    assert electrons_at(dos_of("gaussian"), ENERGIES, mu, 3000.0) == pytest.approx(wanted, rel=0.05)
    run = run_of(eigenvalues=np.empty((0, 0)), terms={"fermi_energy_eV": mu}, n_electrons=wanted)
    assert verify_ldos(run, dos_of("gaussian"), ENERGIES, kernel_given=False) == (ENERGIES, ())
    with pytest.raises(DataFileError, match=r"an LDOS 7.* times"):
        verify_ldos(run, 7.3 * dos_of("gaussian"), ENERGIES, kernel_given=False)


def test_a_density_must_hold_the_electrons() -> None:
    verify_density(run_of(), 6.02, "n.cube")
    with pytest.raises(DataFileError, match=r"a density of 6\.1 electrons; wanted 6"):
        verify_density(run_of(), 6.1, "n.cube")
    with pytest.raises(DataFileError, match=r"factor of 1/bohr³ taken for 1/Å³: give other"):
        verify_density(run_of(), 6 * 0.529177**3, "n.cube")
    verify_density(run_of(n_electrons=None), 99.0, "n.cube")


def test_energies_that_are_too_far_apart_are_told() -> None:
    assert spacing_notes(ENERGIES) == ()
    (note,) = spacing_notes(replace(ENERGIES, spacing=0.5))
    assert "0.5 eV for a broadening of 0.2 eV" in note
    assert spacing_notes(replace(ENERGIES, spacing=0.5, kernel="unknown")) == ()
