"""The known traps of DFT data: what explains that a data set does not hold against the DFT that it came from.

Every trap leaves a pattern: a kernel other than the stated one fits the eigenvalues' D(ε) better; wrong units are a
constant factor; a window that ends too early loses electrons; a loose self-consistency has eigenvalues that do not
belong to its density.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from maladist.datasets.verify import FITS, OTHERWISE, fit_kernel, likely_unit, loose_notes, spacing_notes
from maladist.energy_grid import EnergyGrid
from maladist.physics.fermi import use_correction
from maladist.units import BOLTZMANN


def likely_reasons(
    dataset: xr.Dataset, reference: xr.Dataset | None, terms: Mapping[str, float], energies: EnergyGrid
) -> tuple[str, ...]:
    """What explains a failure, in words; the traps whose pattern is there."""
    reasons = []
    facts = {} if reference is None else reference.attrs
    dos = dataset["dos"].values
    if reference is not None and "eigenvalue" in reference:
        eigenvalues, weights = reference["eigenvalue"].values, reference["k_weight"].values
        reasons += _of_the_window(energies, terms, float(dataset.attrs["temperature_K"]), eigenvalues)
        reasons += _of_the_gap(energies, terms, eigenvalues)
        reasons += states_in_gaps(energies, eigenvalues)
        if energies.width > 0:
            reasons += _of_the_kernel(energies, dos, eigenvalues, weights, facts)
    elif terms.get("fermi_energy_eV") is not None:
        reasons += _of_the_window(energies, terms, float(dataset.attrs["temperature_K"]), None)
    reasons += spacing_notes(energies)
    if energies.kernel == "unknown":
        reasons.append("the kernel of the broadening is not known, so it cannot be corrected for")
    elif not use_correction("auto", energies)[0]:
        reasons.append(f"the broadening correction does not hold: {use_correction('auto', energies)[1]}")
    reasons += loose_notes(facts.get("threshold_Ry_per_atom"))
    if "density_cutoff_eV" not in dataset.attrs:
        reasons.append("the density cutoff (ecutrho) is not known: XC is uncertain by meV/atom")
    return tuple(reasons)


def _of_the_window(
    energies: EnergyGrid, terms: Mapping[str, float], temperature: float, eigenvalues: np.ndarray | None
) -> list[str]:
    reasons, width = [], energies.width
    bottom, top, tau = energies.origin, float(energies.values[-1]), BOLTZMANN * temperature
    mu = terms.get("fermi_energy_eV")
    if mu is not None and top < mu + 12 * tau + 5 * width:
        reasons.append(f"the window truncates: it ends at {top:.2f} eV, short of {mu + 12 * tau + 5 * width:.2f} eV")
    if eigenvalues is not None:
        lowest, reached = float(eigenvalues.min()), float(eigenvalues.max(axis=1).min())
        if bottom > lowest - 4 * width:
            reasons.append(f"the window truncates: it begins at {bottom:.2f} eV, above {lowest - 4 * width:.2f} eV")
        if mu is not None and reached < mu + 12 * tau + 5 * width:
            reasons.append(f"too few bands: they reach {reached:.2f} eV only")
    return reasons


def _of_the_gap(energies: EnergyGrid, terms: Mapping[str, float], eigenvalues: np.ndarray) -> list[str]:
    """A gap around μ in which the kernels of both its edges overlap, so that no correction tells them apart."""
    mu = terms.get("fermi_energy_eV")
    if mu is None:
        return []
    # An insulator has as many filled bands at every k-point.
    filled = (eigenvalues < mu).sum(axis=1)
    if np.ptp(filled) > 0 or not 0 < filled[0] < eigenvalues.shape[1]:  # a metal: another number of bands at other k
        return []
    gap = float(eigenvalues[eigenvalues > mu].min() - eigenvalues[eigenvalues < mu].max())
    return [f"the broadening, {energies.width:g} eV, fills the gap of {gap:.2f} eV"] if gap < 3 * energies.width else []


def states_in_gaps(energies: EnergyGrid, eigenvalues: np.ndarray) -> list[str]:
    """What the gaps between parts of the energies lose, a line each; states at their edges are lost in part."""
    reach, lines = 4 * energies.width, []
    for end, begin in energies.gaps:
        lost = eigenvalues[(eigenvalues > end - reach) & (eigenvalues < begin + reach)]
        if lost.size:
            n = f"{lost.size / len(eigenvalues):.3g} states a k-point, the lowest at {lost.min():.2f} eV,"
            lines.append(f"{n} lie in the gap of the energies from {end:.2f} to {begin:.2f} eV, or at its edge")
    return lines


def _of_the_kernel(
    energies: EnergyGrid, dos: np.ndarray, eigenvalues: np.ndarray, weights: np.ndarray, facts: Mapping[str, object]
) -> list[str]:
    fits = fit_kernel(dos, eigenvalues, weights, energies)
    # By shape first: units are a factor, which must not make another kernel look better.
    best = min(fits, key=lambda k: fits[k].shape)
    fit = fits[best]
    if fit.shape < FITS and abs(fit.factor - 1) > FITS:
        return [f"the LDOS is {fit.factor:.4g} times the eigenvalues': {likely_unit(fit.factor) or 'wrong units'}"]
    if fit.shape < FITS:
        if energies.kernel not in ("unknown", best) and fits[energies.kernel].shape > 2 * fit.shape:
            return [
                f"the broadening is {best}, not {energies.kernel}: with smearing fermi-dirac, pp.x broadens with the"
                " Fermi derivative unless the XML is changed"
            ]
        return []
    if facts.get("ultrasoft") and int(str(facts.get("pools") or 1)) > 1:
        return ["pp.x with pools of k-points and an ultrasoft pseudopotential gives a wrong LDOS: use one pool"]
    return [f"D(ε) of the LDOS differs from the eigenvalues' by {fit.difference:.1%}: {OTHERWISE}"]
