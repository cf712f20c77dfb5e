"""The zero of energy of a periodic cell, and the LDOS on another energy axis.

A DFT code sets the average of the electrostatic potential to zero. Built of neutral atoms, the potential at a point is
a sum over near atoms, a local quantity, less the average of that sum over the cell, which is not:

    v̄ = Σ_a c_a / Ω,    c = (2π/3) e² ∫ ρ_atom(r) r² dr

(the spheropole; Ihm, Zunger and Cohen, J. Phys. C 12, 4409 (1979), treat the sums in which it appears). A cell that is
strained or lacks an atom so moves its whole spectrum by up to an electronvolt, which no descriptor of near atoms can
tell. A network that learns d on the axis ε′ = ε − Σ_a c_a/Ω needs not know; c is a parameter of the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy.interpolate import make_interp_spline
from torch import Tensor

from maladist.errors import InputError
from maladist.grid import EnergyGrid

_ORDER = 11  # a Gaussian of δ = 2Δ is met to 6e-5 of its height; its own spectrum beyond the samples is 5e-5
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
        An element without a coefficient where others have one.
    """
    if not coefficients:
        return 0.0
    if missing := sorted(set(symbols) - set(coefficients)):
        raise InputError("energy_zero", f"no coefficient for {', '.join(missing)}", "one for every element, or none")
    return sum(coefficients[symbol] for symbol in symbols) / volume


def resampling(source: EnergyGrid, target: EnergyGrid) -> Tensor:
    """Matrix that takes samples of D or d from one energy grid to another, ``samples @ matrix``.

    Parameters
    ----------
    source, target
        Grids of the same spacing and broadening; beyond its window the source is taken as it is at the end.

    Returns
    -------
    Tensor
        (source levels, target levels) float64; the identity where the grids are the same.

    Raises
    ------
    InputError
        Grids of another spacing or broadening.
    """
    same = (source.spacing, source.kernel, source.width) == (target.spacing, target.kernel, target.width)
    if not same:
        raise InputError("energies", f"{source}", f"the spacing and broadening of {target}")
    if source == target:
        return torch.eye(source.levels, dtype=torch.float64)
    steps = np.arange(-_PAD, source.levels + _PAD)
    held = np.pad(np.eye(source.levels), ((_PAD, _PAD), (0, 0)), mode="edge")
    at = np.clip((target.values - source.origin) / source.spacing, -_PAD, source.levels - 1 + _PAD)
    return torch.from_numpy(np.ascontiguousarray(make_interp_spline(steps, held, k=_ORDER)(at).T))
