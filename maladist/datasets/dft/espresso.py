"""Quantum ESPRESSO as the code of a data set, with its settings from a YAML file.

    temperature: 1000                        # K
    pseudopotentials: pp                     # folder of UPF files, beside the YAML file
    ecutwfc: 25                              # Ry
    kpoints: {8: [4, 4, 6], 16: [4, 4, 3]}   # by number of atoms
    energies: {origin: -4.0, spacing: 0.1, levels: 130}   # eV
    broadening: 0.1                          # eV

Every key is in the classes `DFTSetup` and `Espresso`.
"""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import ase
import torch
from pydantic import AfterValidator, Field, field_validator, model_validator

from maladist.arrays import Array
from maladist.configuration import no_old_truths
from maladist.datasets.dft.code import Calculated
from maladist.datasets.dft.kpoints import AUTO, Mesh, of_size, proposed
from maladist.datasets.dft.programs import ldos_of_pp, run_program
from maladist.datasets.dft.pulay import at_fixed_cutoff
from maladist.datasets.dft.scratch import Scratch
from maladist.datasets.dft.setup import MARGIN, DFTSetup, Energies, Positive, check_covers, check_gaps
from maladist.errors import DFTError, InputError
from maladist.io.qe.functionals import functional_of
from maladist.io.qe.input import pw_input
from maladist.io.qe.run import DFTRun
from maladist.io.qe.wavefunctions import DENSITY, ldos_of_states, read_density, write_density
from maladist.io.qe.xml import read_qe_xml
from maladist.io.refused import refuse
from maladist.parallel.workers import is_wanted
from maladist.physics.isolated import Isolated, check_isolated
from maladist.units import BOLTZMANN, RYDBERG, RYDBERG_BOHR2


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

_STEP: Final = 0.04
"""Share of the cutoff by which it is changed for ∂A/∂E_c: below, plane waves that enter one by one make A jump."""

_SAMPLED: Final = 750.0
"""k-points times Å³ of the cell that average over those jumps: Pulay's stress of Be is then right to some 3 %."""

_ONE_STEP: Final = {
    "startingpot": "file",
    "electron_maxstep": 1,
    "scf_must_converge": False,
    # Ry, of each level; E_b of 8 atoms of Be is then that of 1e-8 to a µeV.
    "diago_thr_init": 1e-6,
}
"""Entries of ELECTRONS for the levels of the Hamiltonian of a density that is given."""

_TRIES: Final = 4  # calculations with ever more bands, until they reach the window's top


class Espresso(DFTSetup):
    """Quantum ESPRESSO's pw.x and pp.x.

    Attributes
    ----------
    ecutwfc, ecutrho
        Cutoffs of the wavefunctions and of the density, Ry; without the second, four times the first.
    kpoints
        Mesh of k-points: three numbers, or these by the number of atoms, where other sizes get meshes that nest with
        them; or a spacing in 1/Å; or 'auto', 0.3 1/Å.
    bands
        Number of bands an atom, or 'auto': as many as the window of the LDOS needs.
    convergence
        Threshold of self-consistency, Ry an atom.
    pulay
        Whether the stress of a fixed cutoff is kept too, from two more calculations, on a coarser mesh where it can be.
    system, electrons
        Further entries of these namelists.
    """

    ecutwfc: Positive
    kpoints: Mesh | dict[int, Mesh] | Positive | Literal["auto"]
    ecutrho: Positive | None = None
    bands: Literal["auto"] | Positive = "auto"
    convergence: Positive = 1e-9
    pulay: bool = True
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
        """Refuse atoms that there is no mesh of k-points for, or that a cut-off does not fit; see `DFTCode`."""
        self.mesh(atoms)
        check_isolated(self.assume_isolated, atoms.cell.array, atoms.positions)

    @property
    def assume_isolated(self) -> Isolated | None:
        """'2D' where the namelist cuts the Coulomb interaction off along c; None for a crystal."""
        told = {key.strip().lower(): str(value).strip().lower() for key, value in self.system.items()}
        return "2D" if told.get("assume_isolated") == "2d" else None

    def mesh(self, atoms: ase.Atoms) -> Mesh:
        """Mesh of k-points of a cell."""
        if isinstance(self.kpoints, tuple):
            return self.kpoints
        return of_size(self._meshes_of_sizes, atoms)

    @property
    def _meshes_of_sizes(self) -> dict[int, Mesh]:
        return self.kpoints if isinstance(self.kpoints, dict) else {}

    def propose(self, snapshots: Sequence[ase.Atoms], others: Iterable[ase.Atoms]) -> tuple[dict[str, Any], list[str]]:
        """Propose meshes for sizes that have none: nested with one that is given, or spaced; see `DFTCode`."""
        if isinstance(self.kpoints, tuple):
            return {}, []
        spacing = AUTO if self.kpoints == "auto" else self.kpoints if isinstance(self.kpoints, float) else None
        meshes, told = proposed(self._meshes_of_sizes, spacing, snapshots, others)
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
        if isinstance(self.energies, Energies) and self.energies.states is not None:
            return math.ceil(1.1 * self.energies.states * len(atoms)) + 2
        *below, grid = self.energy_grid.parts
        width = grid.spacing * grid.levels + 3 * grid.width
        free, electrons = self._free(atoms.get_volume(), width), self._electrons(atoms)
        # Those of the parts below are nothing like free electrons': at most, they hold all that the cell has.
        return math.ceil(max(1.3 * free + (electrons / 2 if below else 0), 0.6 * electrons)) + 4

    def namelists(self, atoms: ase.Atoms, bands: int, share: float) -> tuple[dict[str, object], dict[str, object]]:
        """Namelists SYSTEM and ELECTRONS of a snapshot, at a share of the cutoffs."""
        system = {
            "ecutwfc": share * self.ecutwfc,
            "ecutrho": share * self._ecutrho,
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
        check_gaps(run.eigenvalues, mu, self)
        assert run.shape is not None
        save = scratch.folder / _SAVE
        density = read_density(save, run.shape)
        ldos = ldos_of_pp(scratch, run, energies) if run.ultrasoft else ldos_of_states(save, run, energies)
        return Calculated(self._at_fixed_cutoff(run, scratch, bands) if self.pulay else run, density, ldos)

    def diagonalise(
        self, atoms: ase.Atoms, scratch: Scratch, density: Array, n_electrons: float
    ) -> tuple[DFTRun, Array]:
        """Levels of the Hamiltonian of a density, without self-consistency, and the density on the grid of pw.x.

        The run's own total is that of the density which comes out.

        Parameters
        ----------
        density
            n(r) on any grid of the cell, (Nx, Ny, Nz), 1/Å³.
        n_electrons
            Electrons to which it is scaled.

        Raises
        ------
        DFTError
            pw.x failed.
        """
        given, save = scratch.folder / "given", scratch.folder / _SAVE
        for folder in (given, save):
            folder.mkdir(parents=True)
        write_density(given / DENSITY, density, atoms.cell.array, RYDBERG * self._ecutrho, n_electrons)
        shutil.copy(given / DENSITY, save)  # pw.x writes over it
        run = self._calculation(atoms, scratch, self.n_bands(atoms), "scf", self.mesh(atoms), once=True)
        assert run.shape is not None
        return run, read_density(given, run.shape)

    def _at_fixed_cutoff(self, run: DFTRun, scratch: Scratch, bands: int) -> DFTRun:
        """The run with its stress at a fixed cutoff; where that cannot be calculated, with a note that says why."""
        # Of a slab with a cut-off no stress is learnt or compared: there is none of the model's.
        if run.stress is None or run.assume_isolated is not None:
            return run
        # What plane waves beyond the cutoff are worth hardly depends on k: every other point of the mesh tells it, as
        # long as there are many, each with another sphere.
        mesh, volume = self.mesh(run.atoms), run.atoms.get_volume()
        coarse = (math.ceil(mesh[0] / 2), math.ceil(mesh[1] / 2), math.ceil(mesh[2] / 2))
        mesh = coarse if math.prod(coarse) * volume >= _SAMPLED else mesh
        try:
            low, high = (
                self._calculation(run.atoms, scratch, bands, f"cutoff{share:g}", mesh, share)
                for share in (1 - _STEP, 1 + _STEP)
            )
        except (InputError, OSError) as error:  # of a program, of what it wrote, of the disk
            if not is_wanted():  # the run was stopped: a second call makes the snapshot, with all that belongs to it
                raise
            return replace(run, notes=(*run.notes, f"no stress at a fixed cutoff: {error}"))
        total = "total_free_energy_eV"
        stress = at_fixed_cutoff(run.stress, low.terms[total], high.terms[total], _STEP, volume)
        return replace(run, stress_fixed_cutoff=stress)

    def _scf(self, atoms: ase.Atoms, scratch: Scratch, bands: int) -> tuple[DFTRun, float]:
        """A converged calculation with so many bands, and its Fermi level, eV."""
        run = self._calculation(atoms, scratch, bands, "scf", self.mesh(atoms))
        if run.fermi_energy is None or run.shape is None:
            raise DFTError("pw.x", "no Fermi energy in its XML", "a metal's calculation with smearing")
        return run, run.fermi_energy

    def _calculation(
        self,
        atoms: ase.Atoms,
        scratch: Scratch,
        bands: int,
        stem: str,
        mesh: Mesh,
        share: float = 1.0,
        once: bool = False,
    ) -> DFTRun:
        """A converged calculation on a mesh, at a share of the cutoffs; only that named scf leaves its states.

        ``once``: not converged, but one step from the density that lies in its folder.
        """
        files = {s: e.pseudopotential for s, e in self.elements.items()}
        system, electrons = self.namelists(atoms, bands, share)
        electrons |= _ONE_STEP if once else {}
        save = _SAVE if stem == "scf" else Path(stem) / _SAVE.name
        text = pw_input(atoms, files, mesh, system, electrons, self.pseudopotentials, f"./{save.parent}", not once)
        (scratch.folder / f"{stem}.in").write_text(text)
        run_program(scratch, "pw.x", stem, converges=not once)
        run = read_qe_xml(scratch.folder / save / "data-file-schema.xml")
        if not once:
            run.check_converged()
        return run

    @property
    def _ecutrho(self) -> float:
        """Cutoff of the density, Ry."""
        return self.ecutrho or 4 * self.ecutwfc

    def _electrons(self, atoms: ase.Atoms) -> float:
        return sum(self.elements[s].valence or 0.0 for s in atoms.get_chemical_symbols())

    @staticmethod
    def _free(volume: float, width: float) -> float:
        """Bands of free electrons in a cell, Å³, up to an energy above their bottom, eV."""
        return volume / (6 * math.pi**2) * (width / RYDBERG_BOHR2) ** 1.5
