"""What a run is about: its input, checked and made whole once, for `plan` and `predict` alike."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import ase
import numpy as np

from maladist import schema
from maladist.elements import Element
from maladist.engine.block import ModelBlob
from maladist.errors import GridError, InputError, ModelError
from maladist.grid import Grid
from maladist.io.model_file import load_model
from maladist.io.upf import read_pseudopotentials
from maladist.learning.model import LDOSModel
from maladist.neighbors import CellList
from maladist.physics.fermi import CorrectionMode, use_correction
from maladist.physics.functionals import Functional
from maladist.physics.reciprocal import largest_cutoff

BACKENDS: Final = ("auto", "cpu", "torch", "lammps")
KEEPABLE: Final = ("ldos", "descriptors")
XC: Final = ("pbe", "pw92", "pz")


@dataclass(frozen=True)
class Physics:
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


def physics_of(
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
) -> Physics:
    """Check and complete what the energies need.

    Raises
    ------
    InputError
        A temperature that is not positive, an unknown functional, a number of electrons that nothing tells.
    """
    for t in temperatures:
        if not (np.isfinite(t) and t > 0):
            raise InputError("temperature", f"{t} K", "a positive temperature in K")
    if len(set(temperatures)) != len(temperatures):
        raise InputError("temperature", f"{tuple(temperatures)}", "each temperature once")
    if xc is not None and xc not in XC:
        raise InputError("xc", repr(xc), f"one of {', '.join(XC)}")
    notes = [correction[1]] if correction[1] else []
    here = sorted(set(atoms.get_chemical_symbols()))
    if n_electrons is None:
        n_electrons = _count_electrons(atoms, elements, electrons_per_atom)
    missing = [s for s in here if s not in elements or not elements[s].has_pseudopotential]
    if missing:
        notes.append(
            f"no pseudopotential for {', '.join(missing)}: the terms that need its core charge are left out"
            " (--pseudopotentials DIR)"
        )
    if xc is None:
        notes.append("the exchange-correlation functional is not known: XC terms are left out")
    if density_cutoff is None:
        density_cutoff = largest_cutoff(grid)
        notes.append(
            f"no density cutoff is known: XC uses the grid's largest sphere, {density_cutoff:.0f} eV, "
            "and is uncertain by meV/atom (--density-cutoff EV)"
        )
    elif not (np.isfinite(density_cutoff) and density_cutoff > 0):
        raise InputError("density_cutoff", f"{density_cutoff} eV", "a positive cutoff in eV")
    return Physics(
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


@dataclass(frozen=True)
class Setup:
    """A prediction's input, checked.

    Attributes
    ----------
    physics
        The cell and what its energies need.
    model
        The model, with the elements as they are used.
    backend, device, dtype
        Of descriptors and network.
    keep
        Fields to be kept.
    """

    physics: Physics
    model: LDOSModel
    backend: str
    device: str
    dtype: str
    keep: tuple[str, ...]

    @cached_property
    def blob(self) -> ModelBlob:
        """The model as it travels."""
        data = self.model.to_bytes()
        return ModelBlob(data, hashlib.sha256(data).hexdigest())

    @cached_property
    def cell_list(self) -> CellList:
        """The atoms, binned."""
        p = self.physics
        return CellList(p.grid.cell_array, p.positions, p.numbers, self.model.descriptor.cutoff)

    @property
    def itemsize(self) -> int:
        """Bytes of a number in descriptors and network."""
        return np.dtype(self.dtype).itemsize

    def fingerprint(self) -> dict[str, Any]:
        """What a resumed run must have in common with the one that it continues."""
        p = self.physics
        atoms = hashlib.sha256(p.positions.tobytes() + p.numbers.tobytes() + p.grid.cell_array.tobytes()).hexdigest()
        return {
            "model": self.blob.content_hash,
            "grid": list(p.grid.shape),
            "atoms": atoms,
            "temperature": list(p.temperatures),
            "broadening_correction": p.correction,
            "n_electrons": p.n_electrons,
            "precision": self.dtype,
            "descriptors": self.backend,
            "keep": list(self.keep),
        }


def setup(
    atoms: ase.Atoms,
    model: LDOSModel | str | Path,
    *,
    temperature: float | Sequence[float] | None = None,
    grid: Grid | Sequence[int] | None = None,
    pseudopotentials: str | Path | Mapping[str, Element] | None = None,
    density_cutoff: float | None = None,
    correction: CorrectionMode = "auto",
    descriptors: str = "auto",
    device: str = "auto",
    precision: str = "float32",
    keep: Sequence[str] = (),
) -> Setup:
    """Check a prediction's input and complete it from the model; see `predict` for the parameters."""
    model = model if isinstance(model, LDOSModel) else load_model(model)
    if pseudopotentials is not None:
        given = pseudopotentials if isinstance(pseudopotentials, Mapping) else read_pseudopotentials(pseudopotentials)
        model = model.with_pseudopotentials(given)
    schema.check_atoms(atoms, known_elements(model))
    _one_of("descriptors", descriptors, BACKENDS)
    _one_of("precision", precision, ("float32", "float64"))
    for name in keep:
        _one_of("keep", name, KEEPABLE)
    if temperature is None:
        if model.temperature is None:
            raise InputError(
                "temperature", "none, and the model names none", "a temperature in K", "Give --temperature."
            )
        temperature = model.temperature
    temperatures = [float(temperature)] if np.isscalar(temperature) else [float(t) for t in temperature]  # type: ignore[arg-type, union-attr]
    physics = physics_of(
        atoms,
        choose_grid(atoms, model, grid),
        temperatures=temperatures,
        elements=model.elements,
        xc=model.xc,
        density_cutoff=model.density_cutoff if density_cutoff is None else density_cutoff,
        correction=use_correction(correction, model.energy_grid),
        electrons_per_atom=model.electrons_per_atom,
    )
    return Setup(physics, model, descriptors, device, precision, tuple(keep))


def known_elements(model: LDOSModel) -> set[str] | None:
    """Symbols that a model was trained on; None where it does not say."""
    weights = getattr(model.descriptor, "weights", None)
    return set(weights) if weights else (set(model.elements) or None)


def choose_grid(atoms: ase.Atoms, model: LDOSModel, grid: Grid | Sequence[int] | None) -> Grid:
    """The grid that was given, or one with the spacing of the model's training data."""
    cell = atoms.cell.array
    if isinstance(grid, Grid):
        if not np.allclose(grid.cell_array, cell, atol=1e-6):
            raise GridError("grid", "a Grid of another cell", "the cell of the atoms")
        return grid
    if grid is not None:
        return Grid(cell.tolist(), tuple(grid))  # type: ignore[arg-type]
    if model.spacing is None:
        raise ModelError(
            "model", "it does not tell the spacing of its training grid", "a grid", "Give --grid NX NY NZ."
        )
    # Directions of a cell need not be those of the training cell: the finest spacing is right for all of them, and the
    # training cell's own where they agree.
    return Grid.from_spacing(cell, model.spacing)


def _one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise InputError(name, repr(value), f"one of {', '.join(allowed)}")


def announce(notes: Sequence[str]) -> None:
    """Warn of what the user should know, from a library call."""
    for note in notes:
        warnings.warn(note, UserWarning, stacklevel=3)
