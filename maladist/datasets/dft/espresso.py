"""Quantum ESPRESSO as the code of a data set, with its settings from a YAML file.

temperature: 1000            # K
pseudopotentials: pp         # folder of UPF files, beside the YAML file
ecutwfc: 25                  # Ry
ecutrho: 100
kpoints: {8: [4, 4, 6], 16: [4, 4, 3]}   # by number of atoms; other sizes get meshes that nest with these. Or one
                             # mesh for all, a spacing in 1/Å, or auto (0.3 1/Å)
energies: {origin: -4.0, spacing: 0.1, levels: 130}   # eV; or auto: from an scf of the first snapshot
broadening: 0.1              # δ of the Gaussian, eV
bands: auto                  # or a number per atom
threads: 1                   # OpenMP threads of one pw.x
convergence: 1.0e-9          # Ry per atom
system: {}                   # further namelist entries
electrons: {}
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import ase
import numpy as np
import numpy.typing as npt
import torch
from pydantic import AfterValidator, Field, field_validator, model_validator

from maladist.configuration import no_old_truths
from maladist.datasets.dft.code import Calculated
from maladist.datasets.dft.kpoints import AUTO, Mesh, as_dense, named, nested, spaced
from maladist.datasets.dft.scratch import Scratch, ending
from maladist.datasets.dft.setup import MARGIN, DFTSetup, Positive, check_covers
from maladist.errors import DFTError, InputError
from maladist.grid import EnergyGrid
from maladist.io.fields import cube
from maladist.io.qe.functionals import functional_of
from maladist.io.qe.input import force_gaussian, ldos_input, pw_input
from maladist.io.qe.run import DFTRun
from maladist.io.qe.wavefunctions import ldos_of_states, read_density
from maladist.io.qe.xml import read_qe_xml
from maladist.io.refused import refuse
from maladist.units import BOLTZMANN, LDOS_QE, RYDBERG, RYDBERG_BOHR2


def _of_fortran(value: object) -> object:
    """Refuse Fortran's spelling of numbers and truth values: it would be written as a text, in quotes."""
    if isinstance(value, str) and re.fullmatch(r"\.\w+\.|[-+]?[0-9.]+[dD][-+]?[0-9]+", value):
        raise ValueError("true, false or a number as 1.0e-9")
    return value


Namelist = Annotated[dict[str, Annotated[object, AfterValidator(_of_fortran)]], AfterValidator(no_old_truths)]


_OURS: Final = frozenset(
    ("ibrav", "nat", "ntyp", "ecutwfc", "ecutrho", "nbnd", "nosym", "occupations", "smearing", "degauss", "conv_thr")
)
"""Entries of the namelists that follow from other settings."""

_SAVE: Final = Path("out/m.save")  # in a calculation's folder

_TRIES: Final = 4  # calculations with ever more bands, until they reach the window's top


class Espresso(DFTSetup):
    """Quantum ESPRESSO's pw.x and pp.x; see the module's text for the meaning of its settings."""

    ecutwfc: Positive
    kpoints: Mesh | dict[int, Mesh] | Positive | Literal["auto"]
    ecutrho: Positive | None = None
    bands: Literal["auto"] | Positive = "auto"
    convergence: Positive = 1e-9
    system: Namelist = Field(default={})
    electrons: Namelist = Field(default={})

    @field_validator("kpoints", mode="before")
    @classmethod
    def _meshes(cls, value: object) -> object:
        meshes = value.values() if isinstance(value, dict) else [value]
        one = value == "auto" or (isinstance(value, int | float) and not isinstance(value, bool))
        if not (one or all(isinstance(mesh, list | tuple) and len(mesh) == 3 for mesh in meshes)):
            raise ValueError(
                "three numbers, a mapping from numbers of atoms to three numbers, a spacing in 1/Å or auto"
            )
        return value

    @model_validator(mode="after")
    def _is_physics_that_is_here(self) -> Espresso:
        """Refuse, before anything runs, what would be refused of its result."""
        for name in ("system", "electrons"):
            entries = {key.split("(")[0].strip().lower(): value for key, value in getattr(self, name).items()}
            refuse("namelist", entries.get, name)
            functional_of(str(entries.get("input_dft", "")), f"{name}.input_dft")
            if twice := sorted(_OURS & entries.keys()):
                raise InputError(f"{name}.{twice[0]}", "is given", "nothing: it follows from the other settings")
        kinds = {symbol: e.xc for symbol, e in self.elements.items() if e.xc is not None}
        if len(set(kinds.values())) > 1 and "input_dft" not in self.system:
            came = f"made for different functionals ({', '.join(f'{s} {xc}' for s, xc in kinds.items())})"
            raise InputError("pseudopotentials", came, "files for one functional")
        return self

    @property
    def program(self) -> str:
        """Program that must be on every worker."""
        return "pw.x"

    def check(self, atoms: ase.Atoms) -> None:
        """Refuse atoms that there is no mesh of k-points for; see `DFTCode`."""
        self.mesh(atoms)

    def mesh(self, atoms: ase.Atoms) -> Mesh:
        """Mesh of k-points of a cell."""
        if isinstance(self.kpoints, tuple):
            return self.kpoints
        n, meshes = len(atoms), self._meshes_of_sizes
        if n in meshes:
            return meshes[n]
        remedy = ""
        if meshes:
            known = min(meshes, key=lambda size: abs(math.log(size / n)))
            guess = list(as_dense(meshes[known], known, atoms.cell.array, n))
            remedy = (
                f"As dense as that of {known} atoms is {n}: {guess}; with snapshots of {known} atoms it is proposed."
            )
        raise InputError("kpoints", f"none for {n} atoms", "one mesh for all, or a mapping that has this size", remedy)

    @property
    def _meshes_of_sizes(self) -> dict[int, Mesh]:
        return self.kpoints if isinstance(self.kpoints, dict) else {}

    def propose(self, snapshots: Sequence[ase.Atoms], others: Iterable[ase.Atoms]) -> tuple[dict[str, Any], list[str]]:
        """Propose meshes for sizes that have none: nested with one that is given, or spaced; see `DFTCode`."""
        if isinstance(self.kpoints, tuple):
            return {}, []
        meshes, told = dict(self._meshes_of_sizes), list[str]()
        first: dict[int, ase.Atoms] = {}
        for atoms in snapshots:
            first.setdefault(len(atoms), atoms)
        missing = sorted((n for n in first if n not in meshes), reverse=True)
        if missing and not meshes and not isinstance(self.kpoints, dict):
            spacing, largest = AUTO if self.kpoints == "auto" else self.kpoints, missing.pop(0)
            meshes[largest] = spaced(first[largest].cell.array, spacing)
            told.append(f"k-points of {largest} atoms: {named(meshes[largest])}, at most {spacing:g} 1/Å apart")
        if missing and not any(n in meshes for n in first):
            known = next((atoms for atoms in others if len(atoms) in meshes), None)
            if known is None:
                return {}, []
            first[len(known)] = known
        for n in missing:
            size = min((k for k in first if k in meshes), key=lambda k: abs(math.log(k / n)))
            meshes[n], same = nested(meshes[size], first[size].cell.array, first[n].cell.array)
            how = "the same points as" if same else "denser than"
            told.append(f"k-points of {n} atoms: {named(meshes[n])}, {how} {named(meshes[size])} of {size} atoms")
        return {"kpoints": {str(n): list(mesh) for n, mesh in meshes.items()}} if told else {}, told

    def settled(self, proposed: Mapping[str, Any]) -> Self:
        """The code with the energies and meshes that were proposed, where none are given; see `DFTCode`."""
        code = super().settled(proposed)
        meshes = {int(n): tuple(mesh) for n, mesh in proposed.get("kpoints", {}).items()}
        if isinstance(code.kpoints, tuple) or not meshes:
            return code
        return code.model_copy(update={"kpoints": {**meshes, **code._meshes_of_sizes}})

    def n_bands(self, atoms: ase.Atoms) -> int:
        """Bands that reach the window's top: free electrons from its bottom, and a third more."""
        if self.bands != "auto":
            return math.ceil(self.bands * len(atoms))
        if self.energies != "auto" and self.energies.states is not None:
            return math.ceil(1.1 * self.energies.states * len(atoms)) + 2
        grid = self.energy_grid
        width = grid.spacing * grid.levels + 3 * grid.width
        free = self._free(atoms.get_volume(), width)
        return math.ceil(max(1.3 * free, 0.6 * self._electrons(atoms))) + 4

    def namelists(self, atoms: ase.Atoms, bands: int) -> tuple[dict[str, object], dict[str, object]]:
        """Namelists SYSTEM and ELECTRONS of a snapshot."""
        system = {
            "ecutwfc": self.ecutwfc,
            "ecutrho": self.ecutrho or 4 * self.ecutwfc,
            "nbnd": bands,
            # The LDOS is summed over the k-points as they are: a symmetric run has the irreducible ones only.
            "nosym": True,
            "occupations": "smearing",
            "smearing": "fermi-dirac",
            "degauss": BOLTZMANN * self.temperature / RYDBERG,
        }
        # Quantum ESPRESSO's threshold is of the whole cell; ours is per atom, the same for all sizes.
        electrons = {"conv_thr": self.convergence * len(atoms), "electron_maxstep": 100}
        # The user's own entries last; those that follow from other settings have been refused already.
        return {**system, **self.system}, {**electrons, **self.electrons}

    def survey(self, atoms: ase.Atoms, scratch: Scratch) -> dict[str, object]:
        """Propose the window, and the bands that end in it, from one calculation; see `DFTCode`.

        Bands are first those of free electrons up to what the electrons fill and the tail of f; where they do not
        reach the top of the window, a second calculation has more.
        """
        volume, electrons = atoms.get_volume(), self._electrons(atoms)
        filled = RYDBERG_BOHR2 * (3 * math.pi**2 * electrons / volume) ** (2 / 3)
        _, tail = self.needed(0.0, MARGIN)
        bands = math.ceil(max(1.3 * self._free(volume, filled + tail), 0.6 * electrons)) + 4
        for _ in range(_TRIES):
            run, mu = self._scf(atoms, scratch, bands)
            window = self.window(run.eigenvalues, mu)
            top = window.origin + window.spacing * (window.levels - 1)
            if run.eigenvalues.max(axis=1).min() >= top:
                states = float((run.eigenvalues < top).sum(axis=1).max()) / len(atoms)
                settled = {**window.to_dict(), "states": states}
                return {"energies": {**settled, "broadening": self.broadening, "temperature": self.temperature}}
            bands = math.ceil(1.5 * bands)
        raise DFTError("energies", f"auto: {bands} bands do not reach {top:.2f} eV", "origin, spacing and levels")

    def calculate(self, atoms: ase.Atoms, scratch: Scratch) -> Calculated:
        """Calculate a snapshot; see `DFTCode`. Where the number of bands is ours and too small, again with more."""
        torch.set_num_threads(max(1, self.threads))
        bands, energies = self.n_bands(atoms), self.energy_grid
        for _ in range(_TRIES if self.bands == "auto" else 1):
            run, mu = self._scf(atoms, scratch, bands)
            reached = float(run.eigenvalues.max(axis=1).min())
            # Levels above the last band would be missing from the LDOS without a word.
            if reached >= energies.values[-1]:
                break
            bands = math.ceil(1.3 * bands)
        check_covers(float(run.eigenvalues.min()), reached, mu, self)
        assert run.shape is not None
        save = scratch.folder / _SAVE
        density = read_density(save, run.shape)
        ldos = ldos_of_pp(scratch, run, energies) if run.ultrasoft else ldos_of_states(save, run, energies)
        return Calculated(run, density, ldos)

    def _scf(self, atoms: ase.Atoms, scratch: Scratch, bands: int) -> tuple[DFTRun, float]:
        """A converged calculation with so many bands, and its Fermi level, eV."""
        files = {s: e.pseudopotential for s, e in self.elements.items()}
        system, electrons = self.namelists(atoms, bands)
        text = pw_input(atoms, files, self.mesh(atoms), system, electrons, self.pseudopotentials)
        (scratch.folder / "scf.in").write_text(text)
        run_program(scratch, "pw.x", "scf")
        run = read_qe_xml(scratch.folder / _SAVE / "data-file-schema.xml")
        run.check_converged()
        if run.fermi_energy is None or run.shape is None:
            raise DFTError("pw.x", "no Fermi energy in its XML", "a metal's calculation with smearing")
        return run, run.fermi_energy

    def _electrons(self, atoms: ase.Atoms) -> float:
        return sum(self.elements[s].valence or 0.0 for s in atoms.get_chemical_symbols())

    @staticmethod
    def _free(volume: float, width: float) -> float:
        """Bands of free electrons in a cell, Å³, up to an energy above their bottom, eV."""
        return volume / (6 * math.pi**2) * (width / RYDBERG_BOHR2) ** 1.5


def run_program(scratch: Scratch, program: str, stem: str) -> None:
    """Run a program of Quantum ESPRESSO in a scratch folder, from STEM.in to STEM.out.

    Raises
    ------
    DependencyError
        There is no such program.
    DFTError
        The program failed, did not converge, or nobody waits for the task any more.
    """
    status = scratch.run(program, stem)
    text = (scratch.folder / f"{stem}.out").read_text(errors="replace")
    if "convergence NOT achieved" in text:
        remedy = "Try a smaller mixing_beta."
        raise DFTError(program, "the self-consistency did not converge", "convergence", remedy)
    if status != 0 or "JOB DONE" not in text:
        raise DFTError(program, f"it {ending(status)}: {_reason(text)}", "a calculation that ends")


def _reason(text: str) -> str:
    """What a program of Quantum ESPRESSO says between its lines of percent signs, or its last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marks = [i for i, line in enumerate(lines) if line.startswith("%%%")]
    said = lines[marks[0] + 1 : marks[1]] if len(marks) > 1 else lines[-1:]
    return " ".join(said) or "it said nothing"


def ldos_of_pp(scratch: Scratch, run: DFTRun, energies: EnergyGrid) -> npt.NDArray[np.float32]:
    """LDOS of ultrasoft pseudopotentials, whose augmentation only pp.x knows, (Nx, Ny, Nz, levels), 1/(eV Å³).

    Raises
    ------
    DFTError
        pp.x failed, or wrote other levels.
    """
    folder = scratch.folder
    force_gaussian(folder / "out" / "m.save" / "data-file-schema.xml")
    (folder / "pp.in").write_text(ldos_input(energies))
    run_program(scratch, "pp.x", "pp")
    paths = sorted(folder.glob("tmp.pp*ldos.cube"))
    # By the energy that each file tells, not by the order of their names.
    headers = {cube.read_header(p).energy: p for p in paths}
    if len(headers) != energies.levels or run.shape is None:
        raise DFTError("pp.x", f"{len(headers)} levels", f"{energies.levels}")
    ldos = np.empty((*run.shape, energies.levels), np.float32)
    for i, energy in enumerate(sorted(e for e in headers if e is not None)):
        for region, values in cube.read_slabs(headers[energy], run.shape[0]):
            ldos[(*region, i)] = values * LDOS_QE
    return ldos
