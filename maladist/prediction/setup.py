"""What a run is about: its input, checked and made whole once, for `plan` and `predict` alike."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final, Unpack

import ase
import numpy as np

from maladist.atoms import AtomsLike, ase_atoms, check_atoms
from maladist.descriptors import told_apart
from maladist.elements import Element
from maladist.errors import AccuracyWarning, GridError, InputError, ModelError
from maladist.grid import Grid, fft_friendly
from maladist.io.model_file import load_model
from maladist.io.qe.upf import elements_of
from maladist.learning.model import LDOSModel
from maladist.neighbors import CellList
from maladist.numerics import Numerics
from maladist.parallel.progress import Observer
from maladist.physics.energy_zero import zero_of_energy
from maladist.physics.fermi import use_correction
from maladist.physics.forces import check_known
from maladist.physics.isolated import check_no_stress
from maladist.physics.reciprocal import resolving_shape
from maladist.physics.system import SHORT, System, complete, wrapped
from maladist.prediction.block import ModelBlob
from maladist.prediction.novelty import check_cell
from maladist.prediction.options import Chunks, Options, check_chunks, check_names, numerics_of
from maladist.prediction.result import Prediction

KEEPABLE: Final = ("ldos", "descriptors", "force_terms")


@dataclass(frozen=True)
class Setup:
    """A prediction's input, checked.

    Attributes
    ----------
    system
        Cell, and what its energies need.
    model
        The model, with the elements as they are used and the energies of this cell.
    numerics
        Backend, device and precision of descriptors and network.
    keep
        Fields to be kept, each with a value at every point.
    chunks
        Points of a block along the lattice vectors, or 'auto'.
    model_hash
        Hash of the model as it was given, whatever the cell.
    strict
        Whether a cell outside of the model's training is refused.
    given
        Model with the elements as they are used, before it was placed in this cell: what is good for other cells.
    forces, stress
        Whether the derivatives of A by the atoms, and by a strain, are wanted.
    force_terms
        Whether they are kept by term too.
    """

    system: System
    model: LDOSModel
    numerics: Numerics
    keep: tuple[str, ...]
    chunks: Chunks
    model_hash: str
    given: LDOSModel
    strict: bool = False
    forces: bool = False
    stress: bool = False
    force_terms: bool = False

    @property
    def derivatives(self) -> bool:
        """Whether derivatives of A are wanted, which take a second pass over the blocks."""
        return self.forces or self.stress

    @property
    def zero(self) -> float:
        """Zero of energy Σ c/Ω of this cell, eV, by which the energies of the given model are shifted."""
        return zero_of_energy(self.given.energy_zero, self.system.symbols, self.system.grid.volume)

    @property
    def needs_modes(self) -> bool:
        """Whether n(r) needs the LDOS: not where a density channel gives it at the only temperature asked for."""
        s = self.system
        return not self.model.has_density_channel or set(s.temperatures) != {s.reference_temperature}

    @cached_property
    def blob(self) -> ModelBlob:
        """The model as it travels."""
        data = self.model.to_bytes()
        return ModelBlob(data, hashlib.sha256(data).hexdigest())

    @cached_property
    def cell_list(self) -> CellList:
        """The atoms, binned."""
        p = self.system
        return CellList(p.grid.cell_array, p.positions, p.numbers, self.model.descriptor.cutoff)

    def fingerprint(self) -> dict[str, object]:
        """What a resumed run must have in common with the one that it continues."""
        p = self.system
        # To the last bit: blocks of atoms that moved by a rounding would not fit together.
        atoms = hashlib.sha256(p.positions.tobytes() + p.numbers.tobytes() + p.grid.cell_array.tobytes()).hexdigest()
        return {
            # As it was given: placed in another cell it would seem to be another model.
            "model": self.model_hash,
            "grid": list(p.grid.shape),
            "atoms": atoms,
            "temperature": list(p.temperatures),
            "reference_temperature": p.reference_temperature,
            "broadening_correction": p.correction,
            "n_electrons": p.n_electrons,
            "density_cutoff": p.density_cutoff,
            "precision": self.numerics.precision,
            "backend": self.numerics.backend,
            "keep": list(self.keep),
            # Rows of the record had one number less before it: a run of then cannot be gone on with.
            "tally": 2,
        }


def setup(atoms: AtomsLike, model: LDOSModel | str | Path, **options: Unpack[Options]) -> Setup:
    """Check a prediction's input and complete it from the model; see `predict` for the parameters."""
    # An option that is misspelt would be left at its default without a word.
    check_names(options)
    atoms = ase_atoms(atoms)
    model = _with_elements(model, options.get("pseudopotentials"))
    check_atoms(atoms, known_elements(model))
    numerics, chunks = numerics_of(options), options.get("chunks", "auto")
    _one_of("backend", numerics.backend, ("auto", *sorted(model.descriptor.kernels())))
    check_chunks(chunks)
    keep = options.get("keep", ())
    keep = (keep,) if isinstance(keep, str) else tuple(keep)
    for name in keep:
        _one_of("keep", name, KEEPABLE)
    # Those of the user, or that of the training: a model knows no other.
    temperatures = _temperatures(options.get("temperature"), model)
    if "ldos" in keep:
        model.need_ldos("LDOS to keep")
    if other := sorted(set(temperatures) - {model.temperature}):
        model.need_ldos(f"density at {other[0]:g} K")
    cell, cutoff = choose_grid(atoms, model, options.get("grid")), options.get("density_cutoff")
    corrected, not_corrected = use_correction(options.get("broadening_correction", "auto"), model.energy_grid)
    system = System(
        cell,
        wrapped(atoms, cell),
        atoms.numbers.astype(np.int16),
        model.elements,
        model.xc,
        model.density_cutoff if cutoff is None else cutoff,
        temperatures=temperatures,
        correction=corrected,
        double_counting="channel" if model.has_density_channel else "ldos",
        reference_temperature=model.temperature,
        assume_isolated=model.assume_isolated,
        notes=tuple(filter(None, [told_apart(model.descriptor, atoms.get_chemical_symbols())])),
    )
    system = complete(system, not_corrected, model.electrons_per_atom)
    strict = options.get("strict", False)
    system = replace(system, notes=(*system.notes, *check_cell(model, system, strict)))
    # The model's energies are those of this cell from here on; its hash remains that of the file.
    placed = model.placed(atoms.get_chemical_symbols(), atoms.get_volume())
    forces, stress = options.get("forces", False), options.get("stress", False)
    if "force_terms" in keep and not (forces or stress):
        raise InputError("keep", "force_terms without forces or stress", "either of them", "Give --forces or --stress.")
    if forces or stress:
        model.need_ldos("forces or stress")
        check_known(system)
    if stress:
        check_no_stress(system.assume_isolated)
    # No field of the blocks: a stopped run may go on with or without them.
    fields = tuple(name for name in keep if name != "force_terms")
    return Setup(
        system,
        placed,
        numerics,
        fields,
        chunks,
        model.content_hash,
        model,
        strict=strict,
        forces=forces,
        stress=stress,
        force_terms="force_terms" in keep,
    )


def _with_elements(
    model: LDOSModel | str | Path, pseudopotentials: str | Path | Mapping[str, Element] | None
) -> LDOSModel:
    model = model if isinstance(model, LDOSModel) else load_model(model)
    return model if pseudopotentials is None else model.with_pseudopotentials(elements_of(pseudopotentials))


def _temperatures(temperature: float | Sequence[float] | None, model: LDOSModel) -> tuple[float, ...]:
    temperature = model.temperature if temperature is None else temperature
    if temperature is None:
        raise InputError("temperature", "none, and the model names none", "a temperature in K", "Give --temperature.")
    return tuple(float(t) for t in (temperature if isinstance(temperature, Iterable) else (temperature,)))


def known_elements(model: LDOSModel) -> set[str] | None:
    """Symbols that a model was trained on; None where it does not say."""
    # Elements without a weight cannot be described at all, whatever else the model knows of them.
    weights = getattr(model.descriptor, "weights", None)
    return set(weights) if weights else (set(model.elements) or None)


def choose_grid(atoms: ase.Atoms, model: LDOSModel, grid: Grid | Sequence[int] | None) -> Grid:
    """The grid that was given, or one with the spacing of the model's training data that holds its density cutoff."""
    if grid is not None:
        return grid_of(atoms, grid)
    if model.spacing is None:
        raise ModelError(
            "model", "it does not tell the spacing of its training grid", "a grid", "Give --grid NX NY NZ."
        )
    spaced = Grid.from_spacing(atoms.cell.array, model.spacing)
    if model.density_cutoff is None:
        return spaced
    needed = resolving_shape(spaced.cell_array, model.density_cutoff / SHORT)
    # The spacing is that of cells strained otherwise, and in this one may fall short by a little. Where the training's
    # own grid was far from holding the sphere a finer one is the user's to ask for.
    if any(m > 1.1 * n for m, n in zip(needed, spaced.shape, strict=True)):
        return spaced
    nx, ny, nz = (max(n, fft_friendly(m)) for n, m in zip(spaced.shape, needed, strict=True))
    return Grid(spaced.cell, (nx, ny, nz))


def grid_of(atoms: ase.Atoms, grid: Grid | Sequence[int]) -> Grid:
    """A grid of the atoms' cell, from one or from its numbers of points.

    Raises
    ------
    GridError
        The grid is of another cell, or these are not three numbers of points.
    """
    cell = atoms.cell.array
    if not isinstance(grid, Grid):
        return Grid(cell.tolist(), tuple(grid))  # type: ignore[arg-type]
    if not np.allclose(grid.cell_array, cell, atol=1e-6):
        raise GridError("grid", "a Grid of another cell", "the cell of the atoms")
    return grid


def _one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise InputError(name, repr(value), f"one of {', '.join(allowed)}")


def later_notes(prediction: Prediction, ready: Setup) -> list[str]:
    """What the user should know of a result that was not known before it was computed."""
    return [note for note in prediction.dataset.attrs.get("notes", []) if note not in ready.system.notes]


def announce(notes: Sequence[str], observer: Observer | None) -> None:
    """Tell an observer what the user should know; warn of it in a library call that has none."""
    for note in notes:
        if observer is None:
            warnings.warn(note, AccuracyWarning, stacklevel=3)
        else:
            observer.note(note)
