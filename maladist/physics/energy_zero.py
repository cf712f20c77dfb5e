"""The zero of energy of a periodic cell, and the LDOS on another energy axis.

A DFT code sets the average of the electrostatic potential to zero. Built of neutral atoms, the potential at a point is
a sum over near atoms, a local quantity, less the average of that sum over the cell, which is not:

    v̄ = Σ_a c_a / Ω,    c = (2π/3) e² ∫ ρ_atom(r) r² dr

(the spheropole; Ihm, Zunger and Cohen, J. Phys. C 12, 4409 (1979), treat the sums in which it appears). A cell that is
strained or lacks an atom so moves its whole spectrum by up to an electronvolt, which no descriptor of near atoms can
tell. A network that learns d on the axis ε′ = ε − Σ_a c_a/Ω needs not know; c is a parameter of the model.

c can be guessed, or fitted to data: the shift of each cell's D(ε) against the others' goes with Σ_a c_a/Ω, and with
what strain does to the bands, which near atoms do tell and which a fit cannot tell from it. For Be (strains of 2 %) the
fit gives 58 eV Å³ with a standard error of 1.5; 70 was the best of a few values for the shipped model's errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy.interpolate import make_interp_spline
from torch import Tensor

from maladist.arrays import Array
from maladist.energy_grid import EnergyGrid
from maladist.errors import InputError

_ORDER = 11  # a Gaussian of δ = 2Δ is met to 6e-5 of its height; its own spectrum beyond the samples is 5e-5
_FARTHEST = 3.0  # eV: no strain that a cell survives moves its zero further
_ROUNDS = 50
_PAD = 24  # levels beyond the window, taken as its last: the spline's ends are out of sight


def zero_of_energy(coefficients: Mapping[str, float], symbols: Sequence[str], volume: float) -> float:
    """Σ_a c_a / Ω, eV: what is added to local energies to have the DFT's.

    Parameters
    ----------
    coefficients
        c by element, eV Å³; empty for zero.
    symbols
        Chemical symbol of every atom of the cell.
    volume
        Ω, Å³.

    Raises
    ------
    InputError
        An element has no coefficient where others have one.
    """
    # No zeros were given: energies are the DFT's own.
    if not coefficients:
        return 0.0
    if missing := sorted(set(symbols) - set(coefficients)):
        raise InputError("energy_zero", f"no coefficient for {', '.join(missing)}", "one for every element, or none")
    return sum(coefficients[symbol] for symbol in symbols) / volume


def fit_energy_zero(
    dos: Array, energies: EnergyGrid, symbols: Sequence[Sequence[str]], volumes: Sequence[float]
) -> dict[str, float]:
    """Fit c by element to the shifts of cells' D(ε) against one another.

    Least squares of z_i − ⟨z⟩ against Σ_a c_a (n_a,i/Ω_i − ⟨n_a/Ω⟩), with the means over cells of one composition,
    since others have other bands. Where the data cannot tell elements apart (one composition) c is the one of least
    norm, and gives the same shifts.

    Parameters
    ----------
    dos
        D(ε), (cells, levels) 1/eV.
    energies
        Energies of the levels.
    symbols, volumes
        Chemical symbol of every atom, and Ω in Å³, of each cell.

    Returns
    -------
    dict
        c by element, eV Å³.

    Raises
    ------
    InputError
        There are too few cells, or their volumes are too much alike to tell c: the shifts that they
        explain are less than twice the standard error of those that they do not.
    """
    elements = sorted({symbol for cell in symbols for symbol in cell})
    counts = np.array([[list(cell).count(symbol) for symbol in elements] for cell in symbols], dtype=np.float64)
    density = counts / np.asarray(volumes)[:, None]
    composition = [tuple(np.round(row / row.sum(), 9)) for row in counts]
    shift = np.zeros(len(dos))
    # Of several parts the highest, which all the valence states are in: one shift moves them all.
    highest = energies.parts[-1]
    dos = dos[:, -highest.levels :]
    for kind in set(composition):
        group = [i for i, c in enumerate(composition) if c == kind]
        # Per atom, so that cells of several sizes have spectra of one height.
        shift[group] = relative_shifts(dos[group] / counts[group].sum(axis=1, keepdims=True), highest.spacing)
        density[group] -= density[group].mean(axis=0)
    c = np.linalg.lstsq(density, shift, rcond=1e-6)[0]
    explained, left = np.std(density @ c), np.std(shift - density @ c)
    # Each composition has lost its mean, each element its coefficient.
    freedom = len(dos) - len(set(composition)) - len(elements)
    if freedom < 1 or explained < max(1e-6, 2 * left / np.sqrt(freedom)):
        told = f"explain {1e3 * explained:.1f} meV of their shifts and leave {1e3 * left:.1f}"
        came = f"'fit' to {len(dos)} cells, whose volumes {told}"
        raise InputError("energy_zero", came, "cells of different volumes", "Or give c by element, or leave it out.")
    return {symbol: float(value) for symbol, value in zip(elements, c, strict=True)}


def relative_shifts(dos: Array, spacing: float) -> Array:
    """Shifts of spectra against their mean, (cells,) eV, of sum zero.

    Each spectrum is shifted to where it fits the mean of the shifted ones best (least squares over the levels that all
    have): the least value of a parabola through three shifts, half a level apart, until nothing moves.

    Parameters
    ----------
    dos
        Spectra, (cells, levels), on the same energies.
    spacing
        Spacing of these, eV.
    """
    cells, levels = dos.shape
    reach = max(1, min(levels // 4, round(_FARTHEST / spacing)))
    spectra = make_interp_spline(np.arange(levels), dos, k=3, axis=1)
    # Below its window a spectrum is as at its first level, empty; above nothing is known of it.
    inside, steps = np.arange(levels - reach, dtype=np.float64), np.arange(-2 * reach, 2 * reach + 1) / 2
    z = np.zeros(cells)
    for _ in range(_ROUNDS):
        moved = np.stack([spectra(np.clip(inside + z[i], 0, levels - 1))[i] for i in range(cells)])
        mean, before = moved.mean(axis=0), z
        trial = np.array([((spectra(np.clip(inside + s, 0, levels - 1)) - mean) ** 2).sum(axis=1) for s in steps])
        # Not at the ends: the parabola needs a neighbour on either side.
        best = np.clip(trial.argmin(axis=0), 1, len(steps) - 2)
        left, here, right = (trial[best + d, np.arange(cells)] for d in (-1, 0, 1))
        bend = left - 2 * here + right
        z = steps[best] + np.where(bend > 0, 0.25 * (left - right) / np.where(bend > 0, bend, 1.0), 0.0)
        # Only differences are known: the mean of all is zero by choice, and would drift otherwise.
        z = np.clip(z - z.mean(), -reach, reach)
        if np.abs(z - before).max() < 1e-4:
            break
    return z * spacing


def resampling(source: EnergyGrid, target: EnergyGrid) -> Tensor:
    """Matrix that takes samples of D or d from one energy grid to another, ``samples @ matrix``.

    Parameters
    ----------
    source, target
        Grids of the same spacings and broadening; beyond a part's window the source is taken as it is at its end.

    Returns
    -------
    Tensor
        (source levels, target levels) float64; the identity where the grids are the same.

    Raises
    ------
    InputError
        The grids differ in spacing or broadening.
    """
    same = [[*(part.spacing for part in grid.parts), grid.kernel, grid.width] for grid in (source, target)]
    if same[0] != same[1]:
        raise InputError("energies", f"{source}", f"the spacing and broadening of {target}")
    if source == target:
        return torch.eye(source.levels, dtype=torch.float64)
    return torch.block_diag(*(_of_one_part(a, b) for a, b in zip(source.parts, target.parts, strict=True)))


def _of_one_part(source: EnergyGrid, target: EnergyGrid) -> Tensor:
    steps = np.arange(-_PAD, source.levels + _PAD)
    # The identity's columns go through the spline once: the matrix then serves any number of points.
    held = np.pad(np.eye(source.levels), ((_PAD, _PAD), (0, 0)), mode="edge")
    at = np.clip((target.values - source.origin) / source.spacing, -_PAD, source.levels - 1 + _PAD)
    return torch.from_numpy(np.ascontiguousarray(make_interp_spline(steps, held, k=_ORDER)(at).T))
