"""Quantum ESPRESSO as the code of a data set, with its settings from a YAML file.

    temperature: 1000                        # K
    pseudopotentials: pp                     # folder of UPF files, beside the YAML file
    ecutwfc: 25                              # Ry
    kpoints: {8: [4, 4, 6], 16: [4, 4, 3]}   # by number of atoms
    energies: {origin: -4.0, spacing: 0.1, levels: 130}   # eV
    broadening: 0.1                          # eV

Every key is in the classes `DFTSetup`, `PlaneWaves` and `Espresso`.
"""

from __future__ import annotations

import math
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final, Literal

import ase
import torch
from pydantic import AfterValidator, Field, model_validator

from maladist.arrays import Array
from maladist.configuration import no_old_truths
from maladist.datasets.dft.code import Calculated
from maladist.datasets.dft.kpoints import Mesh
from maladist.datasets.dft.plane_waves import PlaneWaves
from maladist.datasets.dft.programs import ldos_of_pp, run_program
from maladist.datasets.dft.pulay import at_fixed_cutoff
from maladist.datasets.dft.scratch import Scratch
from maladist.errors import DFTError, InputError
from maladist.io.qe.functionals import functional_of
from maladist.io.qe.input import pw_input
from maladist.io.qe.run import DFTRun
from maladist.io.qe.wavefunctions import DENSITY, DENSITY_HDF5, ldos_of_states, read_density, write_density
from maladist.io.qe.xml import read_qe_xml
from maladist.io.refused import refuse
from maladist.parallel.workers import is_wanted
from maladist.physics.isolated import Isolated, check_isolated
from maladist.units import BOLTZMANN, RYDBERG


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


class Espresso(PlaneWaves):
    """Quantum ESPRESSO's pw.x and pp.x.

    Attributes
    ----------
    code
        Name of the code in the YAML file.
    pulay
        Whether the stress of a fixed cutoff is kept too, from two more calculations, on a coarser mesh where it can be.
    system, electrons
        Further entries of these namelists.
    """

    code: Literal["espresso"] = "espresso"
    pulay: bool = True
    system: Namelist = Field(default={})
    electrons: Namelist = Field(default={})

    @model_validator(mode="after")
    def _is_physics_that_is_here(self) -> Espresso:
        """Refuse, before anything runs, what would be refused of its result."""
        for name in ("system", "electrons"):
            entries = {key.split("(")[0].strip().lower(): value for key, value in getattr(self, name).items()}
            refuse("namelist", entries.get, name)
            functional_of(str(entries.get("input_dft", "")), f"{name}.input_dft")
            if twice := sorted(_OURS & entries.keys()):
                raise InputError(f"{name}.{twice[0]}", "is given", "nothing: it follows from the other settings")
            if entries.get("scf_must_converge", True) is not True:
                remedy = "pw.x would stop anywhere and call it converged: give a larger electron_maxstep."
                raise InputError(f"{name}.scf_must_converge", "is false", "calculations that converge", remedy)
        if "input_dft" not in self.system:
            self._check_one_functional()
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

    def calculate(self, atoms: ase.Atoms, scratch: Scratch) -> Calculated:
        """Calculate a snapshot; see `DFTCode`. Where the number of bands is ours and too small, again with more."""
        torch.set_num_threads(max(1, self.threads))
        run, bands = self._covering(atoms, scratch)
        assert run.shape is not None
        save = scratch.folder / _SAVE
        density = read_density(save, run.shape)
        energies = self.energy_grid
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
        for name in (DENSITY, DENSITY_HDF5):  # pw.x reads the one that it was built for
            write_density(given / name, density, atoms.cell.array, RYDBERG * self._ecutrho, n_electrons)
            shutil.copy(given / name, save)  # pw.x writes over it
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
