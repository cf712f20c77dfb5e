"""What every DFT calculation of a data set has in common, whatever the code."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self

import ase
from pydantic import Field, field_validator, model_validator

from maladist.arrays import Array
from maladist.configuration import FilePath, Section
from maladist.datasets.dft.scratch import Scratch
from maladist.elements import Element
from maladist.energy_grid import EnergyGrid
from maladist.errors import DFTError, InputError
from maladist.io.qe.upf import read_pseudopotentials
from maladist.io.yaml import Configuration
from maladist.physics.broadening import check_spacing
from maladist.units import BOLTZMANN

Positive = Annotated[float, Field(gt=0)]


MARGIN: Final = 1.5
"""How much wider than the first snapshot needs it a window is proposed at either end, eV: displacements of 0.1 Å and
strains of 2 % move the bands of a cell by less."""

FINE: Final = 0.75
"""Spacing of proposed energies in δ. E_b of SiC at 300 K is off by 0.5 meV/atom at 1 δ, where a level's weight depends
on where it lies between two energies, and by less than 0.01 at 0.75 δ."""


class Energies(Section):
    """Energies of the LDOS, eV.

    Attributes
    ----------
    origin, spacing, levels
        The first one, their distance, and their number.
    states
        Bands of an atom that end below the last energy, at the k-point that has most of them; none where no
        calculation has told.
    """

    origin: float
    spacing: Positive
    levels: int = Field(ge=2)
    states: Positive | None = None


class DFTSetup(Configuration):
    """Settings that every code has; `Espresso` has those of Quantum ESPRESSO, `GPAW` those of GPAW.

    Attributes
    ----------
    temperature
        Temperature of the electrons, K.
    pseudopotentials
        Folder of UPF files, one an element.
    energies
        Window of the LDOS, or a list of several, the lowest first, with gaps that hold no states (for semicore states
        far below the others); or 'auto': one window, from a calculation of the first snapshot.
    broadening
        δ of the Gaussian that broadens the LDOS, eV.
    threads
        OpenMP threads of one calculation.
    """

    argument: ClassVar[str] = "setup"

    temperature: Positive
    pseudopotentials: FilePath
    energies: Energies | list[Energies] | Literal["auto"]
    broadening: Positive
    threads: int = Field(default=1, ge=1)

    @field_validator("pseudopotentials")
    @classmethod
    def _from_everywhere(cls, value: str) -> str:
        return str(Path(value).absolute())  # workers have other working directories

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> DFTSetup:
        _ = self.elements
        if self.energies != "auto":
            # Before a DFT runs: an LDOS of too few energies cannot be mended afterwards.
            check_spacing(self.energy_grid, "energies.spacing")
        return self

    @field_validator("energies", mode="before")
    @classmethod
    def _a_window(cls, value: object) -> object:
        every = value if isinstance(value, list) else [value]
        if value != "auto" and not (every and all(isinstance(one, Mapping | Energies) for one in every)):
            raise ValueError("auto, or a mapping with origin, spacing and levels, or a list of them")
        return value

    @property
    def energy_grid(self) -> EnergyGrid:
        """Energies of the LDOS.

        Raises
        ------
        InputError
            They are still to be proposed.
        """
        e = self.energies
        if e == "auto":
            raise InputError("energies", "auto, and no calculation has proposed them", "origin, spacing and levels")
        windows = [(w.origin, w.spacing, w.levels) for w in (e if isinstance(e, list) else [e])]
        return EnergyGrid.of_parts(windows, "gaussian", self.broadening)

    @property
    def needs_survey(self) -> bool:
        """Whether the energies are still to be proposed; see `DFTCode`."""
        return self.energies == "auto"

    def propose(
        self, snapshots: Sequence[ase.Atoms], others: Iterable[ase.Atoms]
    ) -> tuple[dict[str, object], list[str]]:
        """Propose nothing: see `DFTCode`."""
        del snapshots, others
        return {}, []

    def survey(self, atoms: ase.Atoms, scratch: Scratch) -> dict[str, object]:
        """Refuse to propose energies; see `DFTCode`.

        Raises
        ------
        DFTError
            Always: a code that can derives from this.
        """
        del atoms, scratch
        raise DFTError("energies", "auto", "origin, spacing and levels", "This code proposes none.")

    def settled(self, proposed: Mapping[str, Any]) -> Self:
        """The code with what it left open as it was proposed; see `DFTCode`.

        Raises
        ------
        InputError
            Energies that were proposed for another broadening, or for colder electrons.
        """
        kept = proposed.get("energies")
        if kept is None or self.energies != "auto":
            return self
        if self.broadening != kept["broadening"] or self.temperature > kept["temperature"]:
            came = f"auto, for δ {self.broadening:g} eV at {self.temperature:g} K"
            has = f"what the data set's were proposed for: δ {kept['broadening']:g} eV, {kept['temperature']:g} K"
            raise InputError("energies", came, has, "Take a new data set, or give origin, spacing and levels.")
        values = kept.get("parts") or {k: v for k, v in kept.items() if k in Energies.model_fields}
        return self.of({**self.to_dict(), "energies": values}, self.argument)

    def window(self, eigenvalues: Array, mu: float) -> Energies:
        """Energies that the integrals need, and `MARGIN` more at either end.

        Parameters
        ----------
        eigenvalues
            (k, bands), eV.
        mu
            Fermi level, eV. In a gap it may be anywhere, so the top is above the first level beyond it.
        """
        # In a gap μ is anywhere between the bands: the first empty level is what the tail of f must reach.
        above = eigenvalues[eigenvalues > mu]
        low, _ = self.needed(float(eigenvalues.min()), mu)
        _, high = self.needed(0.0, float(above.min()) if above.size else mu)
        spacing = round(FINE * self.broadening, 6)
        # In tenths of an eV: numbers that a user can write down and compare.
        origin = math.floor((low - MARGIN) * 10) / 10
        return Energies(origin=origin, spacing=spacing, levels=math.ceil((high + MARGIN - origin) / spacing) + 1)

    def needed(self, lowest: float, mu: float) -> tuple[float, float]:
        """First and last energy, eV, that broadened levels and the Fermi function's tail need."""
        return lowest - 4 * self.broadening, mu + 12 * BOLTZMANN * self.temperature + 5 * self.broadening

    @cached_property
    def elements(self) -> dict[str, Element]:
        """Pseudopotentials by symbol, read once."""
        return read_pseudopotentials(self.pseudopotentials)


def check_covers(lowest: float, reached: float, mu: float, setup: DFTSetup) -> None:
    """Refuse bands or a window that do not cover what the integrals need.

    Parameters
    ----------
    lowest
        Lowest eigenvalue, eV.
    reached
        Smallest of the k-points' highest eigenvalues, eV.
    mu
        Fermi level, eV.

    Raises
    ------
    DFTError
        They do not; names what would.
    """
    grid = setup.energy_grid
    bottom, top = grid.origin, float(grid.values[-1])
    # The highest bands of the k-point that ends first: above, other k-points alone would make the LDOS.
    if reached < top:
        came = f"bands up to {reached:.2f} eV, where the window ends at {top:.2f} eV"
        raise DFTError("bands", came, "bands that reach the window's top", "Give more bands.")
    low, high = setup.needed(lowest, mu)
    if bottom > low or top < high:
        wanted = f"{low:.2f} to {high:.2f} eV or wider"
        remedy = "Change energies in the setup, or let dft propose them: energies: auto."
        raise DFTError("energies", f"a window of {bottom:.2f} to {top:.2f} eV", wanted, remedy)


def check_gaps(eigenvalues: Array, mu: float, setup: DFTSetup) -> None:
    """Refuse states that count, and lie in a gap between parts of the energies or so near that their broadening does.

    Parameters
    ----------
    eigenvalues
        (k, bands), eV.
    mu
        Fermi level, eV.

    Raises
    ------
    DFTError
        There are some; names the first.
    """
    low, high = setup.needed(0.0, mu)  # of a state at zero
    for end, begin in setup.energy_grid.gaps:
        lost = eigenvalues[(eigenvalues > end + low) & (eigenvalues < min(begin - low, high))]
        if lost.size:
            came = f"{lost.size} states in the gap from {end:.2f} to {begin:.2f} eV, the lowest at {lost.min():.2f} eV"
            wanted = f"parts that reach {-low:.2f} eV beyond their states"
            raise DFTError("energies", came, wanted, "Change energies in the setup.")
