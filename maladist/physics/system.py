"""A cell of matter and all that turns its D(ε) and n(r) into energies, checked and made whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import ase
import numpy as np

from maladist import schema
from maladist.elements import Element
from maladist.errors import InputError
from maladist.grid import Grid
from maladist.physics.functionals import Functional
from maladist.physics.reciprocal import largest_cutoff

XC: Final = ("pbe", "pw92", "pz")


@dataclass(frozen=True)
class System:
    """What turns D(ε) and n(r) into energies, whatever the LDOS came from.

    Attributes
    ----------
    grid, positions, numbers
        The cell: grid, (n, 3) Å wrapped into the cell, (n,) int16.
    temperatures
        K.
    n_electrons
        In the cell.
    elements
        By symbol; with the core charge where the pseudopotential is known.
    xc
        'pbe', 'pw92', 'pz', or None where it is not known.
    density_cutoff
        Sphere of n_core, of the gradient and of XC, eV.
    correction
        Whether the broadening of the LDOS is corrected.
    notes
        One line for each thing that the user should know about the result.
    """

    grid: Grid
    positions: np.ndarray[Any, np.dtype[np.float64]]
    numbers: np.ndarray[Any, np.dtype[np.int16]]
    temperatures: tuple[float, ...]
    n_electrons: float
    elements: Mapping[str, Element]
    xc: Functional | None
    density_cutoff: float
    correction: bool
    notes: tuple[str, ...] = ()

    @property
    def symbols(self) -> list[str]:
        """Chemical symbol of each atom."""
        return [ase.data.chemical_symbols[z] for z in self.numbers]

    @property
    def charges(self) -> np.ndarray[Any, np.dtype[np.float64]] | None:
        """Valence charge of each atom, (n,) float64; None where one is not known."""
        valences = [self.elements[s].valence if s in self.elements else None for s in self.symbols]
        return None if any(v is None for v in valences) else np.array(valences, dtype=float)

    @property
    def knows_core(self) -> bool:
        """Whether the core charge, or its absence, of every element is known."""
        return all(s in self.elements and self.elements[s].has_pseudopotential for s in self.symbols)

    @property
    def has_core(self) -> bool:
        """Whether any element has a core charge."""
        return any(e.core_density is not None for e in self.elements.values())

    def attributes(self) -> dict[str, Any]:
        """Attributes of a store that holds the result."""
        t = self.temperatures
        return {
            **schema.grid_attributes(self.grid),
            "temperature_K": t[0] if len(t) == 1 else list(t),
            "n_electrons": self.n_electrons,
            "xc": self.xc,
            "pseudopotentials": {
                s: {"file": e.pseudopotential, "sha256": e.sha256}
                for s, e in self.elements.items()
                if e.has_pseudopotential
            },
            "density_cutoff_eV": self.density_cutoff,
            "broadening_correction": self.correction,
            "notes": list(self.notes),
        }


def system_of(
    atoms: ase.Atoms,
    grid: Grid,
    *,
    temperatures: Sequence[float],
    elements: Mapping[str, Element],
    xc: Functional | None,
    density_cutoff: float | None,
    correction: tuple[bool, str],
    n_electrons: float | None = None,
    electrons_per_atom: float | None = None,
) -> System:
    """Check and complete what the energies need.

    Raises
    ------
    InputError
        A temperature that is not positive, an unknown functional, a number of electrons that nothing tells.
    """
    if not temperatures:
        raise InputError("temperature", "an empty list", "at least one temperature in K")
    for t in temperatures:
        if not (np.isfinite(t) and t > 0):
            raise InputError("temperature", f"{t} K", "a positive temperature in K")
    if len(set(temperatures)) != len(temperatures):
        raise InputError("temperature", f"{tuple(temperatures)}", "each temperature once")
    if xc is not None and xc not in XC:
        raise InputError("xc", repr(xc), f"one of {', '.join(XC)}")
    # That it is on is as it should be; that it is off changes the energies.
    notes = [f"broadening correction off: {correction[1]}"] if correction[1] and not correction[0] else []
    here = sorted(set(atoms.get_chemical_symbols()))
    if n_electrons is None:
        n_electrons = _count_electrons(atoms, elements, electrons_per_atom)
    missing = [s for s in here if s not in elements or not elements[s].has_pseudopotential]
    if missing:
        notes.append(
            f"no pseudopotential for {', '.join(missing)}: the terms that need its core charge are left out"
            " (--pseudopotentials DIR)"
        )
    elif xc is None:
        notes.append("the exchange-correlation functional is not known: XC terms are left out")
    if density_cutoff is None:
        density_cutoff = largest_cutoff(grid)
        notes.append(
            f"no density cutoff is known: XC uses the grid's largest sphere, {density_cutoff:.0f} eV, "
            "and is uncertain by meV/atom (--density-cutoff EV)"
        )
    elif not (np.isfinite(density_cutoff) and density_cutoff > 0):
        raise InputError("density_cutoff", f"{density_cutoff} eV", "a positive cutoff in eV")
    elif density_cutoff > 1.05 * largest_cutoff(grid):  # a DFT code's own grid may fall short by a percent
        notes.append(
            f"the grid holds a sphere of {largest_cutoff(grid):.0f} eV, not the density cutoff of {density_cutoff:.0f}"
            " eV: XC is uncertain by meV/atom (a finer --grid)"
        )
    return System(
        grid,
        np.asarray(atoms.get_scaled_positions(wrap=True) @ grid.cell_array),
        atoms.numbers.astype(np.int16),
        tuple(map(float, temperatures)),
        float(n_electrons),
        {s: elements[s] for s in here if s in elements},
        xc,
        float(density_cutoff),
        correction[0],
        tuple(notes),
    )


def common_functional(atoms: ase.Atoms, elements: Mapping[str, Element]) -> Functional | None:
    """The functional that all elements' pseudopotentials were made for; None where they do not agree or tell."""
    kinds = {elements[s].xc if s in elements else None for s in atoms.get_chemical_symbols()}
    return kinds.pop() if len(kinds) == 1 else None


def _count_electrons(atoms: ase.Atoms, elements: Mapping[str, Element], electrons_per_atom: float | None) -> float:
    symbols = atoms.get_chemical_symbols()
    valences = [elements[s].valence if s in elements else None for s in symbols]
    if all(v is not None for v in valences):
        return float(sum(v for v in valences if v is not None))
    if electrons_per_atom is None:
        unknown = sorted({s for s, v in zip(symbols, valences, strict=True) if v is None})
        raise InputError(
            "n_electrons",
            f"no valence for {', '.join(unknown)}",
            "pseudopotentials that tell it",
            "Give --pseudopotentials DIR.",
        )
    return electrons_per_atom * len(atoms)
