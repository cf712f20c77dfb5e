"""What every DFT calculation of a data set has in common, whatever the code."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, field_validator, model_validator

from maladist.configuration import FilePath, Section
from maladist.elements import Element
from maladist.errors import DFTError
from maladist.grid import EnergyGrid
from maladist.io.qe.upf import read_pseudopotentials
from maladist.io.yaml import Configuration
from maladist.physics.broadening import check_spacing
from maladist.units import BOLTZMANN

Positive = Annotated[float, Field(gt=0)]


class Energies(Section):
    """Energies of the LDOS, eV."""

    origin: float
    spacing: Positive
    levels: int = Field(ge=2)


class DFTSetup(Configuration):
    """Settings that every code has, see `espresso` for those of Quantum ESPRESSO and for their meaning."""

    argument: ClassVar[str] = "setup"

    temperature: Positive
    pseudopotentials: FilePath
    energies: Energies
    broadening: Positive
    threads: int = Field(default=1, ge=1)

    @field_validator("pseudopotentials")
    @classmethod
    def _from_everywhere(cls, value: str) -> str:
        return str(Path(value).absolute())  # workers have other working directories

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> DFTSetup:
        _ = self.elements
        check_spacing(self.energy_grid, "energies.spacing")
        return self

    @property
    def energy_grid(self) -> EnergyGrid:
        """Energies of the LDOS."""
        e = self.energies
        return EnergyGrid(e.origin, e.spacing, e.levels, "gaussian", self.broadening)

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
        Naming what would.
    """
    grid, tau = setup.energy_grid, BOLTZMANN * setup.temperature
    bottom, top = grid.origin, float(grid.values[-1])
    if reached < top:
        came = f"bands up to {reached:.2f} eV, where the window ends at {top:.2f} eV"
        raise DFTError("bands", came, "bands that reach the window's top", "Give more bands.")
    if bottom > lowest - 4 * grid.width or top < mu + 12 * tau + 5 * grid.width:
        wanted = f"{lowest - 4 * grid.width:.2f} to {mu + 12 * tau + 5 * grid.width:.2f} eV or wider"
        raise DFTError("energies", f"a window of {bottom:.2f} to {top:.2f} eV", wanted, "Change energies in the setup.")
