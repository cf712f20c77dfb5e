"""A cell of matter and all that turns its D(ε) and n(r) into energies, checked and made whole."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, get_args

import ase
import numpy as np

from maladist.arrays import Array, Indices, Numbers
from maladist.choices import DoubleCounting, Functional
from maladist.elements import Element
from maladist.errors import GridError, InputError, PhysicsError
from maladist.grid import Grid
from maladist.physics.isolated import Isolated, check_isolated
from maladist.physics.reciprocal import largest_cutoff

COLDEST: Final = 1.0
"""Lowest temperature, K: k_BT is 86 µeV, below what an LDOS resolves. What depends on μ is sampled in steps of it."""
HOTTEST: Final = 1e9
"""Highest temperature, K: k_BT is 86 keV, about the binding energy of the innermost electrons of lead."""


@dataclass(frozen=True, eq=False)
class System:
    """What turns D(ε) and n(r) into energies, whatever the LDOS came from.

    Data on disk tell some of it only; what is not known is None or empty, and :func:`complete` makes it whole.

    Attributes
    ----------
    grid, positions, numbers
        The cell: grid, (n, 3) Å, (n,) int16.
    elements
        Elements by symbol; with the core charge where the pseudopotential is known.
    xc
        Functional, 'pbe', 'pw92' or 'pz'; None where it is not known.
    density_cutoff
        Sphere of n_core, of the gradient and of XC, eV; None where it is not known.
    n_electrons
        Electrons in the cell; None where nothing tells.
    temperatures
        Temperatures of the electrons, K; empty where nothing tells.
    correction
        Whether the broadening of the LDOS is corrected.
    double_counting
        Where n₀ comes from, the density in −E_H + E_xc − ∫ v_xc n: it belongs to the potential that the energies of the
        LDOS are the levels of, and so to one temperature, whatever those of the electrons are (Harris and Foulkes).
    reference_temperature
        Temperature T₀ of that density, K: of the data behind the LDOS; None where it is not known.
    notes
        One line for each thing that the user should know about the result.
    assume_isolated
        '2D' for a slab whose Coulomb interaction is cut off along c, see :mod:`maladist.physics.isolated`; None for a
        crystal.
    """

    grid: Grid
    positions: Array
    numbers: Numbers
    elements: Mapping[str, Element]
    xc: Functional | None = None
    density_cutoff: float | None = None
    n_electrons: float | None = None
    temperatures: tuple[float, ...] = ()
    correction: bool = False
    double_counting: DoubleCounting = "ldos"
    reference_temperature: float | None = None
    notes: tuple[str, ...] = ()
    assume_isolated: Isolated | None = None

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.numbers)

    @property
    def symbols(self) -> list[str]:
        """Chemical symbol of each atom."""
        return [ase.data.chemical_symbols[z] for z in self.numbers]

    @property
    def kinds(self) -> list[str]:
        """Symbol of each element that is there, in the order in which they come."""
        # Not by `symbols`: a task of a large cell would spend its time on names of atoms.
        numbers, first = np.unique(self.numbers, return_index=True)
        return [ase.data.chemical_symbols[z] for z in numbers[np.argsort(first)]]

    def indices(self, symbol: str) -> Indices:
        """Which atoms are of an element."""
        return np.flatnonzero(self.numbers == ase.data.atomic_numbers[symbol])

    @property
    def atoms(self) -> ase.Atoms:
        """The cell as ASE has it."""
        return ase.Atoms(numbers=self.numbers, positions=self.positions, cell=self.grid.cell_array, pbc=True)

    @property
    def charges(self) -> Array | None:
        """Valence charge of each atom, (n,) float64; None where one is not known."""
        valences = valences_of(self.symbols, self.elements)
        return None if valences is None else np.array(valences)

    @property
    def knows_core(self) -> bool:
        """Whether the core charge, or its absence, of every element is known."""
        return all(s in self.elements and self.elements[s].has_pseudopotential for s in self.kinds)

    @property
    def has_core(self) -> bool:
        """Whether any element has a core charge."""
        return any(self.elements[s].core_density is not None for s in self.kinds if s in self.elements)

    @property
    def functional(self) -> Functional | None:
        """Functional of an XC that can be computed: None where it, or the core charge of an element, is not known."""
        # E_xc of the valence alone would be another number, not an approximation.
        return self.xc if self.knows_core else None

    @property
    def solved_temperatures(self) -> tuple[float, ...]:
        """Temperatures at which a Fermi level is needed, K: the system's, and T₀ last where it is not among them."""
        t0 = self.reference_temperature
        return self.temperatures if t0 is None or t0 in self.temperatures else (*self.temperatures, t0)

    @property
    def reference_index(self) -> int:
        """Index of T₀, which must be known, among the solved temperatures, and so among the Fermi states."""
        assert self.reference_temperature is not None
        return self.solved_temperatures.index(self.reference_temperature)

    @property
    def sphere(self) -> float:
        """Kinetic energy of the sphere of n_core, of the gradient and of XC, eV: the cutoff, or what the grid holds."""
        return largest_cutoff(self.grid) if self.density_cutoff is None else self.density_cutoff


def wrapped(atoms: ase.Atoms, grid: Grid) -> Array:
    """Positions of atoms inside of a grid's cell, (n, 3) float64, Å; in fractions they stay where they are."""
    return np.asarray(atoms.get_scaled_positions(wrap=True) @ grid.cell_array)


def complete(system: System, not_corrected: str = "", electrons_per_atom: float | None = None) -> System:
    """Check and complete what the energies need.

    Parameters
    ----------
    system
        System, with what is known of it.
    not_corrected
        Reason why the broadening is not corrected, where it is not.
    electrons_per_atom
        Number of electrons per atom, where the elements' valences do not tell.

    Raises
    ------
    InputError
        A temperature is not positive, the functional is unknown, or nothing tells the number of electrons.
    PhysicsError
        The cell is charged, or does not fit the cut-off of its Coulomb interaction.
    """
    _check_temperatures(system.temperatures)
    check_isolated(system.assume_isolated, system.grid.cell_array, system.positions)
    if system.xc is not None and system.xc not in get_args(Functional):
        raise InputError("xc", repr(system.xc), f"one of {', '.join(get_args(Functional))}")
    # That it is on is as it should be; that it is off changes the energies.
    notes = [] if system.correction or not not_corrected else [f"broadening correction off: {not_corrected}"]
    here = sorted(set(system.symbols))
    t0, of_the_reference = _reference_temperature(system)
    n_electrons = system.n_electrons
    if n_electrons is None:
        n_electrons = _count_electrons(system, electrons_per_atom)
    elif (valences := valences_of(system.symbols, system.elements)) is not None:
        check_neutral(n_electrons, valences, "n_electrons", 0.01)  # some sources print two decimals
    missing = [s for s in here if s not in system.elements or not system.elements[s].has_pseudopotential]
    if missing:
        notes.append(
            f"no pseudopotential for {', '.join(missing)}: the terms that need its core charge are left out"
            " (--pseudopotentials DIR)"
        )
    elif system.xc is None:
        notes.append("the exchange-correlation functional is not known: XC terms are left out")
    return replace(
        system,
        elements={s: system.elements[s] for s in here if s in system.elements},
        density_cutoff=float(system.sphere),
        n_electrons=float(n_electrons),
        reference_temperature=t0,
        notes=(*system.notes, *notes, *_on_the_sphere(system), *of_the_reference),
    )


def check_temperature(temperature: float) -> None:
    """Refuse a temperature at which integrals over the Fermi function would not end or say nothing.

    Raises
    ------
    InputError
        The temperature is not between `COLDEST` and `HOTTEST`.
    """
    if not COLDEST <= temperature <= HOTTEST:
        wanted = f"a positive temperature in K, from {COLDEST:g} to {HOTTEST:.0e}"
        raise InputError("temperature", f"{temperature} K", wanted)


def _check_temperatures(temperatures: Sequence[float]) -> None:
    if not temperatures:
        raise InputError("temperature", "an empty list", "at least one temperature in K")
    for t in temperatures:
        check_temperature(t)
    if len(set(temperatures)) != len(temperatures):
        raise InputError("temperature", f"{tuple(temperatures)}", "each temperature once")


def _reference_temperature(system: System) -> tuple[float, list[str]]:
    """T₀, as the user spells it where it is among the temperatures; and what the user should know of it."""
    t0 = system.reference_temperature
    if t0 is not None:
        _check_temperatures((t0,))
        # 1000 and 1000.0000001 are one temperature: a Fermi level is not to be solved for twice.
        return next((t for t in system.temperatures if math.isclose(t, t0, rel_tol=1e-6)), t0), []
    t0 = min(system.temperatures)
    if len(system.temperatures) == 1:
        return t0, []
    return t0, [f"the temperature of the data behind the LDOS is not known: the double counting is at {t0:g} K"]


SHORT: Final = 1.05
"""Density cutoff over the sphere of a grid that holds it, at most: a DFT code's own grid may fall a bit short."""

_COARSEST: Final = 0.1
"""Share of the density cutoff that a grid must hold: with less, A is off by a tenth of an eV an atom or more."""


def _off(share: float) -> float:
    """Size of the error of A, meV/atom, on a grid that holds this share of the density cutoff.

    Through the errors of be-1000K on a held-out cell of 8 atoms: 2.3 meV/atom at a share of 0.74, 5.3 at 0.51, 22 at
    0.33, 38 at 0.18, 147 at 0.08, 261 at 0.05, nearly all of them of XC. Other cores are softer or harder.
    """
    return 2.0 * share**-1.7


def _on_the_sphere(system: System) -> list[str]:
    """What the user should know of the density cutoff."""
    cutoff, largest = system.density_cutoff, largest_cutoff(system.grid)
    if cutoff is None:
        return [
            f"no density cutoff is known: XC uses the grid's largest sphere, {largest:.0f} eV, "
            "and is uncertain by meV/atom (--density-cutoff EV)"
        ]
    if not (np.isfinite(cutoff) and cutoff > 0):
        raise InputError("density_cutoff", f"{cutoff} eV", "a positive cutoff in eV")
    # Above it waves of the data's density are not on the grid at all.
    if cutoff > SHORT * largest:
        came = f"the grid holds a sphere of {largest:.0f} eV, not the density cutoff of {cutoff:.0f} eV"
        if largest < _COARSEST * cutoff:
            raise GridError("grid", came, f"a sphere of {_COARSEST * cutoff:.0f} eV at least", "Take a finer --grid.")
        return [f"{came}: A is off by about {_off(largest / cutoff):.0f} meV/atom (a finer --grid)"]
    return []


def valences_of(symbols: Sequence[str], elements: Mapping[str, Element]) -> list[float] | None:
    """Valence of each atom; None where one is not known."""
    # All or none: a sum over some of the atoms is no number of electrons.
    valences = [elements[s].valence if s in elements else None for s in symbols]
    known = [v for v in valences if v is not None]
    return known if len(known) == len(valences) else None


def check_neutral(n_electrons: float, valences: Sequence[float], source: str, tolerance: float) -> None:
    """Refuse electrons that do not balance the ions.

    Parameters
    ----------
    n_electrons
        Number of electrons in the cell.
    valences
        Valence of each atom.
    source
        Source of the number, for the error.
    tolerance
        Difference that rounding may have made.

    Raises
    ------
    PhysicsError
        The cell is charged, or the pseudopotentials are not those of the calculation.
    """
    # fsum: the total of many valences must not depend on their order.
    total = math.fsum(valences)
    if abs(n_electrons - total) > tolerance:
        came = f"{n_electrons:g} electrons where the valences add up to {total:g}"
        remedy = "Is the cell charged (tot_charge), or are these other pseudopotentials? Cells here are neutral."
        raise PhysicsError(source, came, "equal numbers", remedy)


def common_functional(system: System) -> Functional | None:
    """The functional that all elements' pseudopotentials were made for; None where they do not agree or tell."""
    kinds = {system.elements[s].xc if s in system.elements else None for s in system.symbols}
    return kinds.pop() if len(kinds) == 1 else None


def _count_electrons(system: System, electrons_per_atom: float | None) -> float:
    charges = system.charges
    if charges is not None:
        return float(sum(charges.tolist()))
    if electrons_per_atom is None:
        known = {s for s, e in system.elements.items() if e.valence is not None}
        raise InputError(
            "n_electrons",
            f"no valence for {', '.join(sorted(set(system.symbols) - known))}",
            "pseudopotentials that tell it",
            "Give --pseudopotentials DIR.",
        )
    return electrons_per_atom * system.n_atoms
