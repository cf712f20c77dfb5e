"""The terms of the total free energy and their sum.

    A = E_b − TS − E_H + E_xc − ∫ v_xc n + E_ii

A term that needs what is not known (a pseudopotential's core charge, the functional) is None, and so is the total.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from maladist.physics.core import core_charge_of
from maladist.physics.ewald import ewald_energy
from maladist.physics.hartree import hartree_energy
from maladist.physics.reciprocal import ReciprocalSlab
from maladist.physics.system import System
from maladist.physics.xc import xc_terms
from maladist.reprs import html_table


class Term(NamedTuple):
    """What stands in one place for a term of A.

    Attributes
    ----------
    attribute
        Name of its field in :class:`Energies`.
    name
        Name in stores and JSON; the unit, eV, is its end.
    sign
        Sign in the sum.
    label
        Description in a line; ``_`` begins an index.
    """

    attribute: str
    name: str
    sign: float
    label: str


def _term(name: str, sign: float, label: str) -> Any:
    return field(default=None, metadata={"name": name, "sign": sign, "label": label})


@dataclass(frozen=True)
class Energies:
    """The terms of A[n], eV for the whole cell, in the order of the sum; None where unknown."""

    n_atoms: int
    band: float | None = _term("band_energy_eV", 1.0, "E_b = ∫ ε f D, band energy")
    entropy: float | None = _term("entropy_contribution_eV", 1.0, "−TS, electronic entropy")
    hartree: float | None = _term("hartree_eV", -1.0, "E_H, Hartree")  # E_b counts it twice
    xc: float | None = _term("xc_eV", 1.0, "E_xc, exchange and correlation")
    xc_potential: float | None = _term("xc_potential_eV", -1.0, "∫ v_xc n")
    ewald: float | None = _term("ewald_eV", 1.0, "E_ii, ions (Ewald)")

    @property
    def total(self) -> float | None:
        """The total free energy A, eV; None where any term is."""
        values = [getattr(self, term.attribute) for term in TERMS]
        # A sum without one of its terms would look like a total.
        if any(value is None for value in values):
            return None
        # fsum: the terms largely cancel, and the order of the sum must not matter.
        return math.fsum(term.sign * value for term, value in zip(TERMS, values, strict=True))

    def __iter__(self) -> Iterator[tuple[str, float | None]]:
        """Terms in their order by the names of the results, the total last."""
        for term in TERMS:
            yield term.name, getattr(self, term.attribute)
        yield TOTAL.name, self.total

    def to_dict(self) -> dict[str, float | None]:
        """The terms and the total by the names of the results, ready for JSON."""
        return dict(self)

    @classmethod
    def from_dict(cls, terms: Mapping[str, float | None], n_atoms: int) -> Energies:
        """The inverse of :meth:`to_dict`; other names are ignored, the total is made anew."""
        return cls(n_atoms, **{term.attribute: terms.get(term.name) for term in TERMS})

    def per_atom(self) -> Energies:
        """The same energies divided by the number of atoms."""
        terms = {term.attribute: getattr(self, term.attribute) for term in TERMS}
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
        return self.table({})

    def table(self, sigmas: Mapping[str, float]) -> str:
        """A table: term, eV, eV/atom; – where unknown; ± where a σ is known.

        Parameters
        ----------
        sigmas
            Standard deviations by the names of the terms with ``_sigma`` before the unit, eV.
        """
        lines = [f"{'':<26}{'eV':>18}{'eV/atom':>16}"]
        for (name, value), (_, each) in zip(self, self.per_atom(), strict=True):
            quantity = name.removesuffix("_eV")
            sigma = sigmas.get(f"{quantity}_sigma_eV")
            error = "" if sigma is None else f" ± {sigma / self.n_atoms:.2g}"
            lines.append(f"{quantity.replace('_', ' '):<26}{_number(value):>18}{_number(each):>16}{error}")
        return "\n".join(lines)


TERMS: Final = tuple(Term(f.name, **f.metadata) for f in fields(Energies) if f.metadata)
TOTAL: Final = Term("total", "total_free_energy_eV", 1.0, "A, total free energy")


def total_free_energy(band: float, entropy: float, density: Tensor, system: System) -> Energies:
    """Every term of A from the band energy, the entropy, the density and the atoms, in one task.

    Parameters
    ----------
    band, entropy
        E_b and −TS, eV.
    density
        n, (Nx, Ny, Nz) float64, 1/Å³, on the device where the work is to be done.
    system
        The cell. Without the valences no Ewald sum; without functional or core charges no XC.

    Returns
    -------
    Energies
        The terms, with None for what cannot be known.
    """
    hartree, xc, xc_potential = density_terms(density, system)
    return Energies(system.n_atoms, band, entropy, hartree, xc, xc_potential, ion_energy(system))


def density_terms(density: Tensor, system: System) -> tuple[float, float | None, float | None]:
    """E_H, E_xc and ∫ v_xc n of a density, eV; the last two None where functional or core charge are not known.

    Parameters are those of :func:`total_free_energy`.
    """
    hartree = float(hartree_energy(density, system.grid, system.assume_isolated))
    # Without the core charge E_xc would be a number, but the wrong one: it is told as not known.
    if system.functional is None:
        return hartree, None, None
    positions = torch.as_tensor(system.positions, device=density.device)
    core_g = core_charge_of(system, ReciprocalSlab.whole(system.grid), positions)
    energy, potential = xc_terms(density, core_g, system.grid, system.functional, system.sphere).tolist()
    return hartree, energy, potential


def ion_energy(system: System) -> float | None:
    """E_ii, eV; None where a valence is not known."""
    charges = system.charges
    if charges is None:
        return None
    positions = torch.as_tensor(system.positions, dtype=torch.float64)
    cell, isolated = system.grid.cell_array, system.assume_isolated
    return float(ewald_energy(positions, torch.from_numpy(charges), cell, isolated))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.6f}"
