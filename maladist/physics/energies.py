"""The terms of the total free energy and their sum.

    A = E_b − TS − E_H + E_xc − ∫ v_xc n + E_ii

A term that needs what is not known (a pseudopotential's core charge, the functional) is None, and so is the total.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy.typing as npt
import torch
from torch import Tensor

from maladist.elements import Element
from maladist.grid import Grid
from maladist.physics.core import core_charge
from maladist.physics.ewald import ewald_energy
from maladist.physics.functionals import Functional
from maladist.physics.hartree import hartree_energy
from maladist.physics.xc import xc_terms
from maladist.reprs import html_table

_TERMS: dict[str, tuple[str, float]] = {  # attribute: its name where results are written, its sign in the sum
    "band": ("band_energy_eV", 1.0),
    "entropy": ("entropy_contribution_eV", 1.0),
    "hartree": ("hartree_eV", -1.0),
    "xc": ("xc_eV", 1.0),
    "xc_potential": ("xc_potential_eV", -1.0),
    "ewald": ("ewald_eV", 1.0),
}
_TOTAL = "total_free_energy_eV"


@dataclass(frozen=True)
class Energies:
    """The terms of A[n], eV for the whole cell; None where unknown.

    Attributes
    ----------
    n_atoms
        Number of atoms.
    band
        E_b = ∫ ε f D.
    entropy
        −TS.
    hartree
        E_H; it enters the sum with a minus, because E_b counts it twice.
    xc
        E_xc[n + n_core].
    xc_potential
        ∫ v_xc[n + n_core] n; enters with a minus.
    ewald
        E_ii.
    """

    n_atoms: int
    band: float | None = None
    entropy: float | None = None
    hartree: float | None = None
    xc: float | None = None
    xc_potential: float | None = None
    ewald: float | None = None

    @property
    def total(self) -> float | None:
        """The total free energy A, eV; None where any term is."""
        terms = [getattr(self, name) for name in _TERMS]
        if any(term is None for term in terms):
            return None
        return math.fsum(sign * term for term, (_, sign) in zip(terms, _TERMS.values(), strict=True))

    def __iter__(self) -> Iterator[tuple[str, float | None]]:
        """Terms in their order by the names of the results, the total last."""
        for attribute, (name, _) in _TERMS.items():
            yield name, getattr(self, attribute)
        yield _TOTAL, self.total

    def to_dict(self) -> dict[str, float | None]:
        """The terms and the total by the names of the results, ready for JSON."""
        return dict(self)

    @classmethod
    def from_dict(cls, terms: Mapping[str, float | None], n_atoms: int) -> Energies:
        """The inverse of :meth:`to_dict`; other names are ignored, the total is made anew."""
        return cls(n_atoms, **{attribute: terms.get(name) for attribute, (name, _) in _TERMS.items()})

    def per_atom(self) -> Energies:
        """The same energies divided by the number of atoms."""
        terms = {name: getattr(self, name) for name in _TERMS}
        return Energies(1, **{name: None if x is None else x / self.n_atoms for name, x in terms.items()})

    def __repr__(self) -> str:
        return f"Energies of {self.n_atoms} atoms\n{self}"

    def _repr_html_(self) -> str:
        rows = [
            (name.removesuffix("_eV").replace("_", " "), _number(value), _number(each))
            for (name, value), (_, each) in zip(self, self.per_atom(), strict=True)
        ]
        return html_table(f"Energies of {self.n_atoms} atoms", rows, ("", "eV", "eV/atom"))

    def __str__(self) -> str:
        """A table: term, eV, eV/atom; – where unknown."""
        lines = [f"{'':<26}{'eV':>18}{'eV/atom':>16}"]
        for (name, value), (_, each) in zip(self, self.per_atom(), strict=True):
            label = name.removesuffix("_eV").replace("_", " ")
            lines.append(f"{label:<26}{_number(value):>18}{_number(each):>16}")
        return "\n".join(lines)


def total_free_energy(
    band: float,
    entropy: float,
    density: Tensor,
    grid: Grid,
    positions: npt.ArrayLike,
    symbols: Sequence[str],
    elements: Mapping[str, Element],
    functional: Functional | None,
    density_cutoff: float,
) -> Energies:
    """Every term of A from the band energy, the entropy, the density and the atoms, in one task.

    Parameters
    ----------
    band, entropy
        E_b and −TS, eV.
    density
        n, (Nx, Ny, Nz) float64, 1/Å³, on the device where the work is to be done.
    grid
        Its grid.
    positions
        (n_atoms, 3), Å.
    symbols
        Chemical symbols, n_atoms of them.
    elements
        Elements by symbol. Without valence no Ewald sum; without pseudopotential no XC.
    functional
        None where unknown: no XC.
    density_cutoff
        Kinetic energy of the sphere of core charge and gradient, eV.

    Returns
    -------
    Energies
        With None for what cannot be known.
    """
    ions = ion_energy(positions, symbols, elements, grid)
    hartree, xc, xc_potential = density_terms(density, grid, positions, symbols, elements, functional, density_cutoff)
    return Energies(len(symbols), band, entropy, hartree, xc, xc_potential, ions)


def density_terms(
    density: Tensor,
    grid: Grid,
    positions: npt.ArrayLike,
    symbols: Sequence[str],
    elements: Mapping[str, Element],
    functional: Functional | None,
    density_cutoff: float,
) -> tuple[float, float | None, float | None]:
    """E_H, E_xc and ∫ v_xc n of a density, eV; the last two None where functional or core charge are not known.

    Parameters are those of :func:`total_free_energy`.
    """
    hartree = float(hartree_energy(density, grid))
    known = [elements.get(symbol) for symbol in symbols]
    if functional is None or not all(e is not None and e.has_pseudopotential for e in known):
        return hartree, None, None
    r = torch.as_tensor(positions, dtype=torch.float64, device=density.device)
    core = core_charge(r, symbols, elements, grid, density_cutoff)
    return hartree, *xc_terms(density, core, grid, functional, density_cutoff)


def ion_energy(
    positions: npt.ArrayLike, symbols: Sequence[str], elements: Mapping[str, Element], grid: Grid
) -> float | None:
    """E_ii, eV; None where a valence is not known. Parameters are those of :func:`total_free_energy`."""
    known = [elements.get(symbol) for symbol in symbols]
    valences = [e.valence for e in known if e is not None and e.valence is not None]
    if len(valences) < len(known):
        return None
    r = torch.as_tensor(positions, dtype=torch.float64)
    return float(ewald_energy(r, torch.tensor(valences, dtype=torch.float64, device=r.device), grid.cell_array))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.6f}"
