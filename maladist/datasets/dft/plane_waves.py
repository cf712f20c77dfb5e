"""What DFT codes of plane waves have in common: cutoffs, k-points, and how many bands reach a window's top."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self

import ase
from pydantic import Field, field_validator

from maladist.datasets.dft.kpoints import AUTO, Mesh, of_size, proposed
from maladist.datasets.dft.scratch import Scratch
from maladist.datasets.dft.setup import MARGIN, DFTSetup, Energies, Positive, check_covers, check_gaps
from maladist.datasets.verify import LOOSE
from maladist.errors import DFTError, InputError
from maladist.io.qe.run import DFTRun
from maladist.units import RYDBERG_BOHR2

_TRIES: Final = 4  # calculations with ever more bands, until they reach the window's top


class PlaneWaves(DFTSetup):
    """Settings of a code of plane waves.

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
        Threshold of self-consistency, Ry an atom; at most 1e-6, above which eigenvalues do not fit the density.
    """

    ecutwfc: Positive
    kpoints: Mesh | dict[int, Mesh] | Positive | Literal["auto"]
    ecutrho: Positive | None = None
    bands: Literal["auto"] | Positive = "auto"
    convergence: Annotated[Positive, Field(le=LOOSE)] = 1e-9

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

    def _covering(self, atoms: ase.Atoms, scratch: Scratch) -> tuple[DFTRun, int]:
        """A calculation whose bands reach the window's top, and their number: where it is ours, again with more."""
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
        return run, bands

    @abstractmethod
    def _scf(self, atoms: ase.Atoms, scratch: Scratch, bands: int) -> tuple[DFTRun, float]:
        """A converged calculation with so many bands, and its Fermi level, eV."""

    def _check_one_functional(self) -> None:
        """Refuse pseudopotentials that were made for different functionals."""
        kinds = {symbol: e.xc for symbol, e in self.elements.items() if e.xc is not None}
        if len(set(kinds.values())) > 1:
            came = f"made for different functionals ({', '.join(f'{s} {xc}' for s, xc in kinds.items())})"
            raise InputError("pseudopotentials", came, "files for one functional")

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
