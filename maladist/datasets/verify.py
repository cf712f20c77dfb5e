"""Integrals of an LDOS and a density held against the calculation they came from, and the broadening they betray.

The eigenvalues of the calculation, broadened, give the D(ε) that the LDOS must integrate to. So wrong units are a
constant factor, and the kernel that was used is the one whose D(ε) fits.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch

from maladist.arrays import Array
from maladist.energy_grid import EnergyGrid, Kernel
from maladist.errors import DataFileError
from maladist.io.qe.run import DFTRun
from maladist.physics.broadening import COARSE, aliasing, broadened_dos, coarsest_spacing
from maladist.physics.fermi import number_weights
from maladist.units import BOHR, LDOS_QE, RYDBERG

KERNELS: Final[tuple[Kernel, ...]] = ("gaussian", "fermi-derivative")
FITS: Final = 0.02
"""Largest relative difference of D(ε) from the broadened eigenvalues at which a kernel counts as recognised."""

OTHERWISE: Final = "is the LDOS of another k-mesh, functional, width or snapshot?"
"""What explains an LDOS whose D(ε) fits the eigenvalues with no kernel."""

LOOSE: Final = 1e-6
"""Threshold of the self-consistency, Ry per atom, above which band and density terms do not belong together."""

UNIT_FACTORS: Final = {
    "1/(Ry bohr³) taken for 1/(eV Å³)": 1 / LDOS_QE,
    "1/(eV Å³) taken for 1/(Ry bohr³)": LDOS_QE,
    "1/(eV bohr³) taken for 1/(eV Å³)": BOHR**3,
    "1/(eV bohr³) taken for 1/(Ry bohr³)": 1 / RYDBERG,
    "1/(Ry Å³) taken for 1/(eV Å³)": RYDBERG,
    "1/bohr³ taken for 1/Å³": BOHR**3,
    "1/Å³ taken for 1/bohr³": 1 / BOHR**3,
    "one spin in place of both": 0.5,
}
_OF_A_DENSITY: Final = ("1/bohr³ taken for 1/Å³", "1/Å³ taken for 1/bohr³", "one spin in place of both")


class Fit(NamedTuple):
    """How a DOS compares with the broadened eigenvalues': both as norms over the energies, relative.

    Attributes
    ----------
    difference
        Difference of the two as they are.
    factor
        Factor by which the DOS would fit best.
    shape
        Difference that is left with that factor.
    """

    difference: float
    factor: float
    shape: float


def likely_unit(ratio: float, among: Collection[str] = UNIT_FACTORS) -> str:
    """Which confusions of units a factor betrays, in words; empty where none of these is within 3 %."""
    return ", or ".join(name for name in among if abs(ratio / UNIT_FACTORS[name] - 1) < 0.03)


def fit_kernel(dos: Array, eigenvalues: Array, weights: Array, energies: EnergyGrid) -> dict[Kernel, Fit]:
    """How D(ε) fits the eigenvalues broadened with each kernel, at the energies' width."""
    fits: dict[Kernel, Fit] = {}
    for kernel in KERNELS:
        trial = replace(energies, kernel=kernel)
        wanted = broadened_dos(torch.from_numpy(eigenvalues), torch.from_numpy(weights), trial).numpy()
        size, factor = np.linalg.norm(wanted), float(wanted @ dos / (wanted @ wanted))
        difference, shape = (float(np.linalg.norm(dos - f * wanted) / size) for f in (1.0, factor))
        fits[kernel] = Fit(difference, factor, shape / abs(factor))
    return fits


def electrons_at(dos: Array, energies: EnergyGrid, mu: float, temperature: float) -> float:
    """Number of electrons of a DOS at a Fermi level, plain weights."""
    return float(number_weights(energies, mu, temperature, correction=False).numpy() @ dos)


def verify_ldos(
    run: DFTRun, dos: Array, energies: EnergyGrid, *, kernel_given: bool
) -> tuple[EnergyGrid, tuple[str, ...]]:
    """Refuse an LDOS that cannot be the calculation's; recognise its kernel where it was not given.

    Parameters
    ----------
    dos
        D(ε) of the LDOS, 1/eV.
    energies
        Energies of the LDOS, with their kernel and width.

    Returns
    -------
    tuple
        Energy grid with its kernel, and notes.

    Raises
    ------
    DataFileError
        The LDOS has wrong units, or is of something else.
    """
    if energies.width > 0 and run.eigenvalues.size:
        fits = fit_kernel(dos, run.eigenvalues, run.weights, energies)
        # By the shape, which no confusion of units changes; the factor then tells the units.
        best = min(fits, key=lambda k: fits[k].shape)
        _refuse_units(fits[best].factor)
        if kernel_given:
            return energies, _kernel_note(fits, best, energies)
        if fits[best].difference < FITS:
            how = f"D(ε) within {fits[best].difference:.1%} of the eigenvalues'"
            text = f"broadening recognised: {best}, {energies.width:g} eV ({how})"
            return replace(energies, kernel=best), (text,)
        return energies, (f"broadening unknown: {_unlike(fits, best)}",)
    if run.fermi_energy is not None and run.n_electrons and run.temperature:
        _refuse_units(electrons_at(dos, energies, run.fermi_energy, run.temperature) / run.n_electrons)
    return energies, ()


def _refuse_units(ratio: float) -> None:
    unit = likely_unit(ratio)
    # An LDOS of coarse energies may miss a few tenths of its electrons; units are off by a factor of two or more.
    # Between wrong units and a poor LDOS: the poor one is converted, and `check` tells how poor.
    if 0.6 < ratio < 1.6:
        return
    came = f"an LDOS {ratio:.4g} times what the calculation's eigenvalues or electrons give"
    remedy = f"That is the factor of {unit}: give --ldos-units." if unit else "Is it of another calculation?"
    raise DataFileError("ldos", came, "an LDOS that integrates to the calculation's DOS", remedy)


def _kernel_note(fits: dict[Kernel, Fit], best: Kernel, energies: EnergyGrid) -> tuple[str, ...]:
    if (
        energies.kernel in fits
        and best != energies.kernel
        and fits[best].difference < 0.5 * fits[energies.kernel].difference
    ):
        return (
            f"the kernel was given as {energies.kernel}, but D(ε) fits {best} ({fits[best].difference:.1%} against "
            f"{fits[energies.kernel].difference:.1%}): with smearing fermi-dirac, pp.x broadens"
            " with the Fermi derivative",
        )
    if energies.kernel in fits and fits[best].difference >= FITS:
        return (_unlike(fits, best),)
    return ()


def _unlike(fits: dict[Kernel, Fit], best: Kernel) -> str:
    return f"D(ε) differs from the eigenvalues' by {fits[best].difference:.1%} at best ({best}): {OTHERWISE}"


def spacing_notes(energies: EnergyGrid) -> tuple[str, ...]:
    """The line that says that the energies are too far apart for the broadening; none where they are not."""
    if (amount := aliasing(energies)) is None or amount <= COARSE:
        return ()
    return (
        f"the energies are too far apart: {energies.coarsest:g} eV for a broadening of {energies.width:g} eV"
        f" ({energies.kernel}); with more than {coarsest_spacing(energies):.3g} eV the sums over them miss levels",
    )


def loose_notes(threshold: float | None) -> tuple[str, ...]:
    """The line that says that a self-consistency's threshold, Ry per atom, is loose; none where it is not, or None."""
    if threshold is None or threshold <= LOOSE:
        return ()
    return (f"the DFT is loosely converged ({threshold:.1g} Ry/atom): its eigenvalues do not fit its density",)


def verify_density(run: DFTRun, electrons: float, path: str | Path) -> None:
    """Refuse a density that does not hold the electrons, to 0.5 %.

    Raises
    ------
    DataFileError
        The density has wrong units, or is of something else.
    """
    if run.n_electrons is None or abs(electrons / run.n_electrons - 1) < 5e-3:
        return
    unit = likely_unit(electrons / run.n_electrons, _OF_A_DENSITY)
    remedy = f"That is the factor of {unit}: give other --density-units." if unit else "Is it of another calculation?"
    raise DataFileError(str(path), f"a density of {electrons:.5g} electrons", f"{run.n_electrons:g}", remedy)
